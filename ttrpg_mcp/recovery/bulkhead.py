"""Slots that keep one compartment from taking what the others need."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Self

import anyio

from ttrpg_mcp.recovery.errors import BulkheadFull
from ttrpg_mcp.recovery.events import Events
from ttrpg_mcp.recovery.fault import EventName
from ttrpg_mcp.recovery.options import require_count, require_seconds
from ttrpg_mcp.recovery.registry import MAX_KEYS, Registry

__all__ = ["Bulkhead", "Bulkheads"]


class Bulkhead:
    """A number of slots and a bounded queue in front of them, first come, first served.

    A freed slot is handed to the first waiter, so that a newcomer cannot take it. As an async context manager it holds
    one slot; it is not reentrant.

    Attributes:
        key: The compartment; it names the bulkhead in errors and events.
        slots: How many calls run at once, at least 1.
        queue: How many more may wait, at least 0.
        retry_after_s: What a refused caller is told, in seconds.
    """

    __slots__ = ("_events", "_free", "_waiters", "key", "queue", "retry_after_s", "slots")

    def __init__(
        self, key: str, slots: int, queue: int, *, retry_after_s: float = 1.0, events: Events | None = None
    ) -> None:
        require_count("slots", slots)
        require_count("queue", queue, at_least=0)
        require_seconds("retry_after_s", retry_after_s)
        self.key = key
        self.slots = slots
        self.queue = queue
        self.retry_after_s = retry_after_s
        self._events = events
        self._free = slots
        self._waiters: deque[anyio.Event] = deque()

    @property
    def in_use(self) -> int:
        """How many slots are taken."""
        return self.slots - self._free

    @property
    def waiting(self) -> int:
        """How many callers wait."""
        return len(self._waiters)

    @property
    def is_idle(self) -> bool:
        """Whether every slot is free; then nobody waits."""
        return self._free == self.slots

    def try_acquire(self) -> bool:
        """Take a free slot and say so; never waits."""
        # A freed slot goes to a waiter first, so a free one means that nobody waits.
        if self._free:
            self._free -= 1
            return True
        return False

    async def acquire(self) -> None:
        """Take a slot, waiting for it if need be.

        Raises:
            BulkheadFull: all slots are taken and the queue is full; known at once.
        """
        if not self.try_acquire():
            await self._wait()

    def release(self) -> None:
        """Give a slot back, to the first waiter if there is one.

        Raises:
            RuntimeError: more slots came back than were taken.
        """
        if self._waiters:
            self._waiters.popleft().set()
        elif self._free < self.slots:
            self._free += 1
        else:
            raise RuntimeError(f"a slot of {self.key!r} came back that nobody had taken")

    async def __aenter__(self) -> Self:
        await self.acquire()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self.release()

    async def _wait(self) -> None:
        if len(self._waiters) >= self.queue:
            self._report(EventName.BULKHEAD_REJECTED, self.retry_after_s)
            raise BulkheadFull(self.key, self.retry_after_s)
        handed = anyio.Event()
        self._waiters.append(handed)
        self._report(EventName.BULKHEAD_QUEUED)
        try:
            await handed.wait()
        except BaseException:
            self._leave(handed)
            raise

    def _leave(self, handed: anyio.Event) -> None:
        """Stop waiting; a slot that was handed over in the same instant is passed on."""
        if handed.is_set():
            self.release()
        else:
            self._waiters.remove(handed)

    def _report(self, name: EventName, retry_after_s: float | None = None) -> None:
        if self._events is not None:
            self._events.emit(name, dependency=self.key, retry_after_s=retry_after_s)


class Bulkheads(Registry[Bulkhead]):
    """One bulkhead per key, all of the same size.

    of() raises BulkheadFull when max_keys compartments are all busy.
    """

    def __init__(
        self,
        slots: int,
        queue: int,
        *,
        retry_after_s: float = 1.0,
        events: Events | None = None,
        max_keys: int = MAX_KEYS,
    ) -> None:
        super().__init__(max_keys)
        self._slots = slots
        self._queue = queue
        self._retry_after_s = retry_after_s
        self._events = events
        self._make("")  # Refuses impossible sizes now, not at the first call.

    def _make(self, key: str) -> Bulkhead:
        return Bulkhead(key, self._slots, self._queue, retry_after_s=self._retry_after_s, events=self._events)

    def _is_idle(self, kept: Bulkhead) -> bool:
        return kept.is_idle

    def _make_without_room(self, key: str) -> Bulkhead:
        raise BulkheadFull(key, self._retry_after_s)
