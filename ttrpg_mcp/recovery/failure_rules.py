"""When outcomes say that a dependency is broken."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from ttrpg_mcp.recovery.clock import Clock

__all__ = ["ConsecutiveFailures", "FailureRatio", "FailureRule"]

_BUCKETS = 10


class FailureRule(Protocol):
    """Remembers outcomes and judges them. Without awaits, so each step is atomic in the event loop."""

    @property
    def failures(self) -> int:
        """How many failures count now."""
        ...

    @property
    def ratio(self) -> float | None:
        """The share of failures among the outcomes that count now; None if the rule does not know."""
        ...

    @property
    def is_empty(self) -> bool:
        """Whether nothing is remembered that could still matter."""
        ...

    def success(self) -> None:
        """Remember a success."""
        ...

    def failure(self) -> bool:
        """Remember a failure; True if the dependency is now taken for broken."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...


class ConsecutiveFailures:
    """Broken after threshold failures in a row within period_s seconds. A success forgets them all."""

    __slots__ = ("_clock", "_failed_at", "_period_s")

    def __init__(self, clock: Clock, threshold: int, period_s: float) -> None:
        self._clock = clock
        self._period_s = period_s
        self._failed_at: deque[float] = deque(maxlen=threshold)

    @property
    def failures(self) -> int:
        """How many failures in a row are not too old."""
        since = self._clock.monotonic() - self._period_s
        return sum(failed_at >= since for failed_at in self._failed_at)

    @property
    def ratio(self) -> float | None:
        """Always None: successes are not counted."""
        return None

    @property
    def is_empty(self) -> bool:
        """Whether no failure counts."""
        return not self.failures

    def success(self) -> None:
        """Forget the failures."""
        if self._failed_at:
            self._failed_at.clear()

    def failure(self) -> bool:
        """Remember a failure; True if it completes the row in time."""
        now = self._clock.monotonic()
        self._failed_at.append(now)
        return len(self._failed_at) == self._failed_at.maxlen and now - self._failed_at[0] <= self._period_s

    def clear(self) -> None:
        """Forget the failures."""
        self._failed_at.clear()


class FailureRatio:
    """Broken when at least minimum_calls outcomes within period_s seconds hold this share of failures.

    Outcomes are kept as counts in ten buckets of time, so every step takes the same time however many there are. They
    age out bucket by bucket: after nine to ten tenths of the period. Only a failure can complete the share; opening on
    a success would be odd.
    """

    __slots__ = ("_bucket", "_bucket_s", "_calls", "_clock", "_failed", "_minimum_calls", "_threshold", "_totals")

    def __init__(self, clock: Clock, threshold: float, minimum_calls: int, period_s: float) -> None:
        self._clock = clock
        self._threshold = threshold
        self._minimum_calls = minimum_calls
        self._bucket_s = period_s / _BUCKETS
        self._bucket = 0
        self.clear()

    @property
    def failures(self) -> int:
        """How many failures are not too old."""
        self._turn()
        return self._totals[1]

    @property
    def ratio(self) -> float | None:
        """The share of failures; None without outcomes."""
        self._turn()
        calls, failed = self._totals
        return failed / calls if calls else None

    @property
    def is_empty(self) -> bool:
        """Whether no outcome counts."""
        self._turn()
        return not self._totals[0]

    def success(self) -> None:
        """Remember a success."""
        self._calls[self._turn()] += 1
        self._totals[0] += 1

    def failure(self) -> bool:
        """Remember a failure; True if the share is reached."""
        place = self._turn()
        self._calls[place] += 1
        self._failed[place] += 1
        self._totals[0] += 1
        self._totals[1] += 1
        calls, failed = self._totals
        return calls >= self._minimum_calls and failed >= self._threshold * calls

    def clear(self) -> None:
        """Forget all outcomes."""
        self._calls = [0] * _BUCKETS
        self._failed = [0] * _BUCKETS
        self._totals = [0, 0]  # calls, failed

    def _turn(self) -> int:
        """Empty the buckets that have become too old; the place of the bucket of now."""
        bucket = int(self._clock.monotonic() // self._bucket_s)
        if bucket != self._bucket:
            for old in range(max(self._bucket, bucket - _BUCKETS) + 1, bucket + 1):
                self._empty(old % _BUCKETS)
            self._bucket = bucket
        return bucket % _BUCKETS

    def _empty(self, place: int) -> None:
        self._totals[0] -= self._calls[place]
        self._totals[1] -= self._failed[place]
        self._calls[place] = self._failed[place] = 0
