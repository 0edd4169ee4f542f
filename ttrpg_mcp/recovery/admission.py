"""Who is inside: counts running work, refuses new work once closed, and waits for the rest to leave."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from ttrpg_mcp.recovery.clock import Clock
from ttrpg_mcp.recovery.errors import AdmissionClosed

__all__ = ["Admission"]

_RETRY_AFTER_S = 2.0


class Admission:
    """The door of a server."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._inside: set[anyio.CancelScope] = set()
        self._is_closed = False
        self._emptied = anyio.Event()

    @property
    def running(self) -> int:
        """How many pieces of work are inside."""
        return len(self._inside)

    @property
    def is_closed(self) -> bool:
        """Whether new work is refused."""
        return self._is_closed

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Be inside for the length of the block.

        Raises:
            AdmissionClosed: The door is closed, or the drain ended this work.
        """
        if self._is_closed:
            raise AdmissionClosed(_RETRY_AFTER_S)
        scope = anyio.CancelScope()
        self._inside.add(scope)
        try:
            with scope:
                yield
        finally:
            self._inside.discard(scope)
            if not self._inside:
                self._emptied.set()
                self._emptied = anyio.Event()
        if scope.cancelled_caught:
            raise AdmissionClosed(_RETRY_AFTER_S)

    async def wait_until_empty(self, limit_s: float) -> bool:
        """Wait for everybody to leave, at most limit_s seconds; says whether they did."""
        with self._clock.limit(limit_s):
            while self._inside:
                await self._emptied.wait()
        return not self._inside

    async def close(self, *, drain_s: float, cancel_s: float) -> None:
        """Refuse new work, wait drain_s seconds for what runs, cancel the rest and wait cancel_s seconds for it.

        Work that shields itself, such as a commit under way, uses the second wait to finish.
        """
        self._is_closed = True
        if not await self.wait_until_empty(drain_s):
            for scope in self._inside:
                scope.cancel()
            await self.wait_until_empty(cancel_s)
