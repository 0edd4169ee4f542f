"""The only module that reads time: clocks, sleep and time limits."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol

import anyio

__all__ = ["Clock", "Limit", "SystemClock"]


class Limit(Protocol):
    """A cancel scope: entered once, it cancels what runs inside when its time is over."""

    @property
    def cancelled_caught(self) -> bool:
        """Whether leaving the scope swallowed its own cancellation. Nothing else ever sets it."""
        ...

    def __enter__(self) -> Limit: ...

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None, /
    ) -> bool: ...


class Clock(Protocol):
    """Where time comes from."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment. Never goes back; every decision is made with it."""
        ...

    def wall(self) -> datetime:
        """The time of day, aware UTC. For people; it may jump."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Return after delay_s seconds; 0 or less lets others run once."""
        ...

    def limit(self, limit_s: float | None, *, shield: bool = False) -> Limit:
        """A scope that cancels its content after limit_s seconds, counted from now; None never does.

        With shield the cancellation of outer scopes does not reach the content.
        """
        ...

    def scope_remaining_s(self) -> float:
        """Seconds until the cancel scopes around the caller end, as far as this clock knows; else infinite."""
        ...


class SystemClock:
    """The clock of the running machine and its event loop."""

    __slots__ = ()

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()

    def wall(self) -> datetime:
        """The time of day, aware UTC."""
        return datetime.now(UTC)

    async def sleep(self, delay_s: float) -> None:
        """Return after delay_s seconds."""
        await anyio.sleep(max(0.0, delay_s))

    def limit(self, limit_s: float | None, *, shield: bool = False) -> Limit:
        """A scope that cancels its content after limit_s seconds."""
        if limit_s is None:
            return anyio.CancelScope(shield=shield)
        return anyio.CancelScope(deadline=anyio.current_time() + limit_s, shield=shield)

    def scope_remaining_s(self) -> float:
        """Seconds until the nearest deadline of the event loop's scopes around the caller."""
        return anyio.current_effective_deadline() - anyio.current_time()
