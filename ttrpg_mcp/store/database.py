"""One file, open: its writer, its readers and its lock."""

import logging
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import aiosqlite
import anyio
from anyio import to_thread

from ttrpg_mcp.play.errors import StoreBusy
from ttrpg_mcp.recovery.clock import Clock
from ttrpg_mcp.store.connection import Connection, connect, hop
from ttrpg_mcp.store.errors import as_store_error
from ttrpg_mcp.store.folders import create_file
from ttrpg_mcp.store.identity import require_ours, was_cut_off
from ttrpg_mcp.store.locks import FileLock
from ttrpg_mcp.store.migrations import Schema
from ttrpg_mcp.store.pragmas import Synchronous, switch_to_wal
from ttrpg_mcp.store.readers import Readers
from ttrpg_mcp.store.writer import Writer

__all__ = ["Database", "DatabaseFile", "Spawn"]

T = TypeVar("T")
Spawn = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]

_logger = logging.getLogger(__name__)

_READERS = 2
_CHECKPOINT = "PRAGMA wal_checkpoint(TRUNCATE)"


@dataclass(frozen=True, slots=True)
class DatabaseFile:
    """A file to open.

    Attributes:
        compartment: The campaign id, or "server".
        is_new: The file may be made, and what an earlier attempt at that left may be completed.
        before_migration: Called once, under the file's lock, before the tables of an older release are changed.
    """

    compartment: str
    path: Path
    schema: Schema
    is_new: bool = False
    before_migration: Callable[[Connection], None] | None = None


class Database:
    """An open file.

    Attributes:
        head_seq: Number of the campaign's newest change or roll, as this process last saw it.
    """

    def __init__(
        self, compartment: str, lock: FileLock, connections: tuple[aiosqlite.Connection, ...], clock: Clock
    ) -> None:
        """The first connection writes, the others read."""
        self._compartment = compartment
        self._lock = lock
        self._connection = connections[0]
        self._readers = Readers(compartment, connections[1:], clock)
        self.writer = Writer(compartment, self._connection, lock, clock)
        self.head_seq = 0

    @classmethod
    async def open(cls, file: DatabaseFile, clock: Clock, synchronous: Synchronous, spawn: Spawn) -> Self:
        """Check the file, bring its tables up to date and open it. Raises StoreError; the file is then as it was.

        Not to be cancelled, since threads and locks would leak; it is bounded by the limits of the locks.
        """
        with anyio.CancelScope(shield=True):
            lock = FileLock(file.compartment, file.path, clock)
            try:
                async with lock.held():
                    connections = await _connect_all(file, synchronous)
            except BaseException as error:
                lock.close()
                translated = as_store_error(file.compartment, error)
                if translated is not None:
                    raise translated from error
                raise
        database = cls(file.compartment, lock, connections, clock)
        spawn(database.writer.run)
        return database

    async def write(self, work: Callable[[Connection], T]) -> T:
        """What the work returns, committed. Raises BulkheadFull, StoreError and what the work raises."""
        return await self.writer.submit(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """What the work returns, from one consistent picture. Raises StoreError and what the work raises."""
        try:
            return await self._readers.read(work)
        except sqlite3.Error as error:
            translated = as_store_error(self._compartment, error)
            if translated is not None:
                raise translated from error
            raise

    def note_head(self, head_seq: int) -> None:
        """Remember the campaign's newest `seq`; writes may report out of order."""
        self.head_seq = max(self.head_seq, head_seq)

    async def close(self) -> None:
        """Finish what waits, then close. Once, by one owner: a second concurrent close would hang in aiosqlite."""
        with anyio.CancelScope(shield=True):
            await self.writer.stop()
            # The last connection to close checkpoints, and only the writer may do that.
            await self._readers.close()
            try:
                async with self._lock.held():
                    await self._checkpoint_and_close()
            except StoreBusy:
                # Another program is at the file: ours is not its last connection, so closing it checkpoints nothing.
                await self._connection.close()
            finally:
                self._lock.close()

    async def _checkpoint_and_close(self) -> None:
        try:
            await hop(self._connection, lambda connection: connection.one(_CHECKPOINT))
        except sqlite3.Error:
            _logger.exception("%s: the checkpoint at close failed; the log stays for the next start", self._compartment)
        finally:
            await self._connection.close()


async def _connect_all(file: DatabaseFile, synchronous: Synchronous) -> tuple[aiosqlite.Connection, ...]:
    """The writer and the readers of a file that was checked; the caller holds the file's lock."""
    await to_thread.run_sync(_prepare, file)
    async with AsyncExitStack() as on_failure:
        writer = await connect(file.path, "rw", synchronous)
        on_failure.push_async_callback(writer.close)
        await hop(writer, lambda connection: _set_up(connection, file))
        connections = [writer]
        # At once, not when the first read comes: a reader that is opened while writes fail cannot set itself up.
        for _ in range(_READERS):
            connections.append(await connect(file.path, "ro"))
            on_failure.push_async_callback(connections[-1].close)
        on_failure.pop_all()
    return tuple(connections)


def _prepare(file: DatabaseFile) -> None:
    """Make the file, or make sure that it is ours."""
    if file.is_new and (create_file(file.path) or was_cut_off(file.path)):
        return
    require_ours(file.path, file.schema, file.compartment)


def _set_up(connection: Connection, file: DatabaseFile) -> None:
    # The tables come before the log is switched on, so that the main file alone tells what it is.
    file.schema.migrate(connection, file.compartment, file.before_migration)
    switch_to_wal(connection)
