"""One file, open: its writer, its readers and its lock."""

import logging
import secrets
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import aiosqlite
import anyio
from anyio import to_thread

from ttrpg_mcp.play.errors import StoreBusy, StoreCorrupt, StoreError, StoreUnavailable
from ttrpg_mcp.recovery.clock import Clock
from ttrpg_mcp.store.backups import Backup, BackupReason
from ttrpg_mcp.store.batch import Trace
from ttrpg_mcp.store.connection import Connection, connect, hop
from ttrpg_mcp.store.damage import KnownHead
from ttrpg_mcp.store.errors import as_store_error
from ttrpg_mcp.store.keeping import Keeping, Opening, Prepared
from ttrpg_mcp.store.locks import FileLock, FileReplaced
from ttrpg_mcp.store.migrations import Schema
from ttrpg_mcp.store.pragmas import Synchronous, switch_to_wal
from ttrpg_mcp.store.readers import Readers
from ttrpg_mcp.store.suspect import settle_suspect
from ttrpg_mcp.store.writer import Writer

__all__ = ["Database", "DatabaseFile", "Spawn"]

T = TypeVar("T")
Spawn = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]

_logger = logging.getLogger(__name__)

_READERS = 2
_CLOSING_LOCK_S = 0.3  # a few batches of another server
_BACKUP_PAUSE_S = 600.0  # after one that failed
_CHECKPOINT = "PRAGMA wal_checkpoint(TRUNCATE)"
_CLEAN = "UPDATE campaign SET clean = 1 WHERE campaign_id = :campaign_id AND clean = 0"


@dataclass(frozen=True, slots=True)
class DatabaseFile:
    """A file to open.

    Attributes:
        compartment: The campaign id, or "server".
        is_new: The file may be made, and what an earlier attempt at that left may be completed.
        known: How far the campaign had come, as others say.
        seed: Gives 32 unpredictable bytes, for a restore that has to begin another epoch of rolls.
    """

    compartment: str
    path: Path
    schema: Schema
    is_new: bool = False
    known: tuple[KnownHead, ...] = ()
    seed: Callable[[], bytes] = lambda: secrets.token_bytes(32)


class Database:
    """An open file.

    Attributes:
        head_seq: Number of the campaign's newest change or roll, as this process last saw it.
        opened: How the file was found.
        is_retired: Another file takes the place of this one.
    """

    def __init__(
        self,
        file: DatabaseFile,
        lock: FileLock,
        keeping: Keeping,
        connections: tuple[aiosqlite.Connection, ...],
        clock: Clock,
        *,
        prepared: Prepared,
    ) -> None:
        """The first connection writes, the others read."""
        compartment = self._compartment = file.compartment
        self._clock = clock
        self._keeping = keeping
        self._backing_up = anyio.Lock()
        self._next_backup_at = 0.0
        self._is_damaged = False
        self._has_written = False
        self.is_retired = False
        self._lock = lock
        self._connection = connections[0]
        self._readers = Readers(compartment, connections[1:], clock)
        self.writer = Writer(
            (compartment, file.path),
            self._connection,
            lock,
            clock,
            safe_seq=lambda: self.head_seq,
            journal=keeping.journal,
        )
        self.head_seq = 0
        self.opened = prepared

    @classmethod
    async def open(cls, file: DatabaseFile, clock: Clock, synchronous: Synchronous, spawn: Spawn) -> Self:
        """Check the file, bring its tables up to date and open it. Raises StoreError; the file is then as it was.

        Not to be cancelled, since threads and locks would leak; it is bounded by the limits of the locks.
        """
        with anyio.CancelScope(shield=True):
            lock = FileLock(file.compartment, file.path, clock)
            keeping = Keeping(file.compartment, file.path, file.schema)
            opening = Opening(clock.wall(), file.seed(), file.is_new, file.known)
            try:
                async with lock.held():
                    prepared = await to_thread.run_sync(keeping.prepare, opening, lock)
                    connections = await _connect_all(file, keeping, prepared, lock, synchronous)
            except BaseException as error:
                lock.close()
                translated = as_store_error(file.compartment, error)
                if translated is not None:
                    raise translated from error
                raise
        database = cls(file, lock, keeping, connections, clock, prepared=prepared)
        spawn(database.writer.run)
        return database

    async def write(self, work: Callable[[Connection], T], trace: Trace | None = None) -> T:
        """What the work returns, committed. Raises BulkheadFull, StoreError and what the work raises.

        FileReplaced and StoreCorrupt mean that nothing happened and that the file has to be opened anew.
        """
        try:
            value = await self.writer.submit(work, trace)
        except StoreUnavailable as error:
            self._require_in_use(error)
            raise
        except StoreCorrupt:
            self._is_damaged = True
            raise
        self._has_written = True
        return value

    async def read(self, work: Callable[[Connection], T]) -> T:
        """What the work returns, from one consistent picture. Raises as write()."""
        try:
            self._lock.require_current()
            return await self._readers.read(work)
        except StoreUnavailable as error:
            self._require_in_use(error)
            raise
        except StoreCorrupt:
            self._is_damaged = True
            raise
        except sqlite3.Error as error:
            translated = as_store_error(self._compartment, error)
            self._is_damaged = self._is_damaged or isinstance(translated, StoreCorrupt)
            if translated is not None:
                raise translated from error
            raise

    def _require_in_use(self, error: StoreUnavailable) -> None:
        """A file that is being closed because another takes its place is there again in a moment."""
        if self.is_retired:
            raise FileReplaced(self._compartment, error.detail) from error

    async def back_up(self, why: BackupReason) -> Backup | None:
        """Make a backup while everything goes on; None, and a line in the log, when that fails."""
        async with self._backing_up:
            try:
                return await to_thread.run_sync(self._keeping.back_up, why, self._clock.wall())
            except (sqlite3.Error, OSError, StoreError):
                _logger.exception("%s: no backup could be made", self._compartment)
                self._next_backup_at = self._clock.monotonic() + _BACKUP_PAUSE_S
                return None

    def back_up_if_due(self, spawn: Spawn) -> None:
        """Begin a backup beside everything else when one is due; from memory otherwise."""
        if self._backing_up.locked() or self._clock.monotonic() < self._next_backup_at:
            return
        why = self._keeping.backup_due(self.head_seq, self._clock.wall())
        if why is not None:
            self._next_backup_at = self._clock.monotonic() + 1.0  # until it has begun

            async def make() -> None:
                await self.back_up(why)

            spawn(make)

    def needs_backup_at_close(self) -> bool:
        """Whether something was written since the newest backup."""
        if self._keeping.journal is None:
            return self._has_written
        return self._has_written and not self._keeping.is_backed_up(self.head_seq)

    async def sync_journal(self) -> None:
        """Bring the journal to the disk; the database is there already. Raises StoreError."""
        if self._keeping.journal is not None:
            try:
                await to_thread.run_sync(self._keeping.journal.sync)
            except OSError as error:
                raise as_store_error(self._compartment, error) or error from error

    def note_head(self, head_seq: int) -> None:
        """Remember the campaign's newest `seq`; writes may report out of order."""
        self.head_seq = max(self.head_seq, head_seq)

    async def close(self) -> None:
        """Finish what waits, then close. Once, by one owner: a second concurrent close would hang in aiosqlite."""
        with anyio.CancelScope(shield=True):
            await self.writer.stop()
            async with self._backing_up:  # its connection must not be the last one
                await self._close_connections()

    async def _close_connections(self) -> None:
        # The last connection to close checkpoints, and only the writer may do that.
        await self._readers.close()
        try:
            async with self._lock.held(_CLOSING_LOCK_S):
                if self._is_damaged:
                    await self._set_aside_and_close()
                else:
                    await self._checkpoint_and_close()
        except StoreBusy:
            # Another program is at the file, or another file in its place: then closing ours checkpoints nothing.
            await self._connection.close()
        finally:
            if self._keeping.journal is not None:
                self._keeping.journal.close()
            self._lock.close()

    async def _set_aside_and_close(self) -> None:
        """Close what is damaged without another byte written: SQLite leaves alone a file that has moved."""
        try:
            await to_thread.run_sync(self._keeping.set_aside, self._clock.wall(), self._lock)
        except OSError:
            _logger.exception("%s: the damaged file cannot be moved while it is open", self._compartment)
        finally:
            await self._connection.close()

    async def _checkpoint_and_close(self) -> None:
        try:
            await hop(self._connection, self._end_in_order)
        except sqlite3.Error:
            _logger.exception("%s: the checkpoint at close failed; the log stays for the next start", self._compartment)
        finally:
            await self._connection.close()

    def _end_in_order(self, connection: Connection) -> None:
        if self._keeping.journal is not None and not self.writer.mode.is_on:
            connection.run(_CLEAN, campaign_id=self._compartment)
        connection.one(_CHECKPOINT)


async def _connect_all(
    file: DatabaseFile, keeping: Keeping, prepared: Prepared, lock: FileLock, synchronous: Synchronous
) -> tuple[aiosqlite.Connection, ...]:
    """The writer and the readers of a file that was checked; the caller holds the file's lock."""
    async with AsyncExitStack() as on_failure:
        writer = await connect(file.path, "rw", synchronous)
        on_failure.push_async_callback(writer.close)

        def before_migration(_: Connection) -> None:
            if not prepared.is_new:
                keeping.back_up("migration", prepared.at)
                lock.start_generation()

        def set_up(connection: Connection) -> None:
            settle_suspect(connection, file.path)
            # The tables come before the log is switched on, so that the main file alone tells what it is.
            file.schema.migrate(connection, file.compartment, before_migration)
            switch_to_wal(connection)
            keeping.top_up(connection)

        await hop(writer, set_up)
        connections = [writer]
        # At once, not when the first read comes: a reader that is opened while writes fail cannot set itself up.
        for _ in range(_READERS):
            connections.append(await connect(file.path, "ro"))
            on_failure.push_async_callback(connections[-1].close)
        on_failure.pop_all()
    return tuple(connections)
