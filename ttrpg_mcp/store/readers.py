"""The connections that only read. Each read is one transaction in one hop: one consistent picture, never kept open."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

import aiosqlite
import anyio

from ttrpg_mcp.play.errors import StoreUnavailable
from ttrpg_mcp.recovery.clock import Clock
from ttrpg_mcp.store.connection import Connection, hop

__all__ = ["Readers"]

T = TypeVar("T")

_CANCELLED_LIMIT_S = 2.0


class Readers:
    """A few read-only connections of one file, lent in turn; who waits is served in order."""

    def __init__(self, compartment: str, databases: Sequence[aiosqlite.Connection], clock: Clock) -> None:
        self._compartment = compartment
        self._is_closed = False
        self._databases = tuple(databases)
        self._idle = deque(databases)
        self._free = anyio.Semaphore(len(databases), fast_acquire=True)
        self._clock = clock

    async def read(self, work: Callable[[Connection], T]) -> T:
        """What the work returns, from one consistent picture that includes every commit before the call."""
        async with self._free:
            if self._is_closed:
                raise StoreUnavailable(self._compartment, "the file is being closed")
            database = self._idle.popleft()
            try:
                return await self._run(database, work)
            finally:
                self._idle.append(database)

    async def _run(self, database: aiosqlite.Connection, work: Callable[[Connection], T]) -> T:
        is_abandoned = threading.Event()
        try:
            return await hop(database, lambda connection: _in_transaction(connection, work, is_abandoned.is_set))
        except anyio.get_cancelled_exc_class():
            # The thread is still at it. Nobody wants the answer, and the next read has to find the connection free.
            # Not interrupt(): between two statements it would do nothing.
            is_abandoned.set()
            with self._clock.limit(_CANCELLED_LIMIT_S, shield=True):
                await hop(database, lambda connection: connection.in_transaction)
            raise

    async def close(self) -> None:
        """Close all connections, after the reads that are under way; later ones are refused."""
        self._is_closed = True
        for database in self._databases:
            await database.close()


def _in_transaction(connection: Connection, work: Callable[[Connection], T], is_abandoned: Callable[[], bool]) -> T:
    connection.run("BEGIN")
    connection.stop_when(is_abandoned)
    try:
        return work(connection)
    finally:
        connection.stop_when(None)
        if connection.in_transaction:  # an error may have ended it
            connection.run("ROLLBACK")
