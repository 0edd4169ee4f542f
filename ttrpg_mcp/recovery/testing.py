"""Doubles for tests: a clock that is turned by hand, chance without surprise, operations that fail as scripted."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar, overload

import anyio
import anyio.lowlevel

from ttrpg_mcp.recovery.clock import Limit

__all__ = ["HANG", "FixedJitter", "Flaky", "Hang", "ManualClock", "flaky"]

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class _Sleeper:
    due: float
    woken: anyio.Event = field(default_factory=anyio.Event)


class _ManualLimit:
    """A cancel scope that a ManualClock cancels."""

    __slots__ = ("_clock", "_scope", "due")

    def __init__(self, clock: ManualClock, due: float, *, shield: bool) -> None:
        self._clock = clock
        self._scope = anyio.CancelScope(shield=shield)
        self.due = due

    @property
    def cancelled_caught(self) -> bool:
        return self._scope.cancelled_caught

    def cancel(self) -> None:
        self._scope.cancel()

    def __enter__(self) -> Self:
        self._clock.limits.append(self)
        if self.due <= self._clock.monotonic():
            self.cancel()
        self._scope.__enter__()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None, /
    ) -> bool:
        self._clock.limits.remove(self)
        return self._scope.__exit__(exc_type, exc_val, exc_tb)


class ManualClock:
    """A clock that stands still until it is turned.

    Attributes:
        sleepers: Who sleeps now, in the order of going to sleep.
        limits: The time limits in force, outer before inner.
        sleeps_s: Every sleep that was ever asked for, in seconds and in order.
        skips_sleeps: Whether a sleep turns the clock by itself, so that nobody waits.
    """

    def __init__(self, *, skips_sleeps: bool = False) -> None:
        self.sleepers: list[_Sleeper] = []
        self.limits: list[_ManualLimit] = []
        self.sleeps_s: list[float] = []
        self.skips_sleeps = skips_sleeps
        self._now = 1000.0
        self._wall = datetime(2024, 1, 1, tzinfo=UTC)
        self._gone_to_sleep = anyio.Event()

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return self._now

    def wall(self) -> datetime:
        """The time of day, aware UTC."""
        return self._wall

    def advance(self, seconds: float) -> None:
        """Turn the clock on, then wake all sleepers and cancel all limits that are due, earliest first.

        They run when the caller next awaits, and find the clock fully turned. Sleepers of the same moment wake in the
        order of going to sleep; among limits of the same moment the outer one comes first.

        Raises:
            ValueError: seconds is negative; monotonic time never goes back.
        """
        if seconds < 0:
            raise ValueError(f"monotonic time never goes back, so not by {seconds} s")
        self._now += seconds
        self._wall += timedelta(seconds=seconds)
        for sleeper in sorted(self.sleepers, key=lambda sleeper: sleeper.due):
            if sleeper.due <= self._now:
                sleeper.woken.set()
        for limit in sorted(self.limits, key=lambda limit: limit.due):
            if limit.due <= self._now:
                limit.cancel()

    def jump_wall(self, seconds: float) -> None:
        """Set the time of day on, or back if seconds is negative; monotonic time does not notice."""
        self._wall += timedelta(seconds=seconds)

    async def sleep(self, delay_s: float) -> None:
        """Return once the clock has been turned by delay_s seconds."""
        self.sleeps_s.append(delay_s)
        if self.skips_sleeps:
            self.advance(max(0.0, delay_s))
        if self.skips_sleeps or delay_s <= 0:
            await anyio.lowlevel.checkpoint()
            return
        sleeper = _Sleeper(self._now + delay_s)
        self.sleepers.append(sleeper)
        self._gone_to_sleep.set()
        try:
            await sleeper.woken.wait()
        finally:
            self.sleepers.remove(sleeper)

    async def wait_for_sleepers(self, count: int = 1) -> None:
        """Return as soon as at least this many tasks sleep."""
        while len(self.sleepers) < count:
            self._gone_to_sleep = anyio.Event()
            await self._gone_to_sleep.wait()

    def limit(self, limit_s: float | None, *, shield: bool = False) -> Limit:
        """A scope that is cancelled once the clock has been turned by limit_s seconds."""
        return _ManualLimit(self, float("inf") if limit_s is None else self._now + limit_s, shield=shield)

    def scope_remaining_s(self) -> float:
        """Always infinite: a hand-turned clock knows deadlines only from values."""
        return float("inf")


class FixedJitter:
    """Gives these numbers, one after the other and then again from the first."""

    def __init__(self, *numbers: float) -> None:
        if not numbers or not all(0 <= number < 1 for number in numbers):
            raise ValueError("jitter needs numbers of at least 0 and below 1")
        self._numbers = itertools.cycle(numbers)

    def __call__(self) -> float:
        """The next number, in [0, 1)."""
        return next(self._numbers)


class Hang:
    """In a script: this call never ends by itself."""


HANG: Final = Hang()


class Flaky(Generic[T]):
    """An operation that ends as scripted; made by flaky().

    Attributes:
        calls: How often it was called.
        running: How many calls are under way.
        most_running: How many calls were under way at once, at most.
        started: Set once it was called.
    """

    def __init__(self, script: Sequence[T | BaseException | Hang]) -> None:
        self._script = list(script)
        self.calls = 0
        self.running = 0
        self.most_running = 0
        self.started = anyio.Event()

    async def __call__(self) -> T:
        """End as the script says at this place; the last entry serves all further calls."""
        outcome = self._script[min(self.calls, len(self._script) - 1)]
        self.calls += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.started.set()
        try:
            return await self._end(outcome)
        finally:
            self.running -= 1

    async def _end(self, outcome: T | BaseException | Hang) -> T:
        await anyio.lowlevel.checkpoint()
        if isinstance(outcome, Hang):
            await anyio.Event().wait()
            raise AssertionError("nobody sets this event")  # noqa: TRY004 - it is about reaching the line, not a type
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


@overload
def flaky(*script: BaseException | Hang) -> Flaky[Any]: ...
@overload
def flaky(*script: T | BaseException | Hang) -> Flaky[T]: ...
def flaky(*script: Any) -> Flaky[Any]:
    """An operation whose first call ends like the first entry, and so on: errors are raised, HANG never ends.

    Every other entry is returned. The last entry serves all further calls.

    >>> operation = flaky(ConnectionError("gone"), "answer")
    """
    if not script:
        raise ValueError("a script needs at least one entry")
    return Flaky(script)
