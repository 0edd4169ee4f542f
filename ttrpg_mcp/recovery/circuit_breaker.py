"""Stops calling a dependency that is broken, and finds out gently when it is well again."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self, TypeVar

from ttrpg_mcp.recovery.clock import Clock, SystemClock
from ttrpg_mcp.recovery.errors import BulkheadFull, CircuitOpen, DeadlineExceeded
from ttrpg_mcp.recovery.events import Events
from ttrpg_mcp.recovery.failure_rules import ConsecutiveFailures, FailureRatio, FailureRule
from ttrpg_mcp.recovery.fault import EventName, unwrap
from ttrpg_mcp.recovery.options import read_options, require_count, require_seconds, require_share
from ttrpg_mcp.recovery.registry import MAX_KEYS, Registry

__all__ = [
    "CircuitBreaker",
    "CircuitBreakerConfig",
    "CircuitBreakers",
    "CircuitState",
    "Outcome",
    "OutcomeOf",
    "Permit",
    "outcome_of",
]

T = TypeVar("T")

_PLAIN = {"failureThreshold": "failure_threshold", "halfOpenLimit": "half_open_limit"}
_IN_MS = {"resetTimeout": "reset_timeout_s", "monitoringPeriod": "monitoring_period_s"}


class CircuitState(StrEnum):
    """What a breaker does with calls."""

    CLOSED = "closed"
    """It lets them pass and watches them."""
    OPEN = "open"
    """It refuses them for a while."""
    HALF_OPEN = "half_open"
    """It lets a few pass as probes."""
    ISOLATED = "isolated"
    """It refuses them until it is reset by hand."""


class Outcome(StrEnum):
    """What the end of a call says about the dependency."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORE = "ignore"
    """Nothing; a probe gives its permit back."""


OutcomeOf = Callable[[Exception], Outcome]
"""Judges an error, which it gets unwrapped. Cancellation and our own refusals are ignored without asking it."""


def outcome_of(error: Exception) -> Outcome:
    """Every error is a failure of the dependency, except that the caller's whole time is over."""
    if isinstance(error, DeadlineExceeded) and error.scope == "total":
        return Outcome.IGNORE
    return Outcome.FAILURE


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreakerConfig:
    """When a breaker opens, and how it closes again.

    Attributes:
        failure_threshold: Failures in a row that open it; at least 1. Without effect if failure_ratio is set.
        reset_timeout_s: Seconds that it stays open at first; 0 or more.
        half_open_limit: Probes let through at once, and successes needed to close; at least 1.
        monitoring_period_s: Seconds after which an outcome no longer counts; above 0.
        failure_ratio: Share of failures that opens it, above 0 and at most 1; None counts failures in a row.
        minimum_calls: Outcomes within the period before failure_ratio is looked at; at least 1.
        open_growth: Factor on the open period at each re-opening; at least 1.
        max_open_s: Longest open period in seconds; at least reset_timeout_s.
        probe_lease_s: Seconds after which a probe that has not reported is given up; above 0. Choose twice the limit
            of an attempt, or 10 if that is longer.
    """

    failure_threshold: int = 5
    reset_timeout_s: float = 60.0
    half_open_limit: int = 1
    monitoring_period_s: float = 30.0
    failure_ratio: float | None = None
    minimum_calls: int = 10
    open_growth: float = 2.0
    max_open_s: float = 120.0
    probe_lease_s: float = 10.0

    def __post_init__(self) -> None:
        require_count("failure_threshold", self.failure_threshold)
        require_count("half_open_limit", self.half_open_limit)
        require_count("minimum_calls", self.minimum_calls)
        require_seconds("reset_timeout_s", self.reset_timeout_s)
        require_seconds("monitoring_period_s", self.monitoring_period_s, above=0)
        require_seconds("max_open_s", self.max_open_s, at_least=self.reset_timeout_s)
        require_seconds("probe_lease_s", self.probe_lease_s, above=0)
        require_seconds("open_growth", self.open_growth, at_least=1)
        if self.failure_ratio is not None:
            require_share("failure_ratio", self.failure_ratio)

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any]) -> Self:
        """The configuration of a plain mapping.

        Takes our field names, in seconds, and failureThreshold, halfOpenLimit, resetTimeout and monitoringPeriod, the
        last two in milliseconds.

        Raises:
            ValueError: a key is unknown or given twice, or a value is impossible.
        """
        return read_options(cls, raw, _PLAIN, _IN_MS)

    def rule(self, clock: Clock) -> FailureRule:
        """A new memory of outcomes that judges by this configuration."""
        if self.failure_ratio is None:
            return ConsecutiveFailures(clock, self.failure_threshold, self.monitoring_period_s)
        return FailureRatio(clock, self.failure_ratio, self.minimum_calls, self.monitoring_period_s)


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call.

    Attributes:
        generation: Number of the breaker's state; an outcome counts only while that state lasts.
        probe: 1-based number of the probe within its generation; 0 for an ordinary call.
    """

    generation: int
    probe: int = 0


class CircuitBreaker:
    """Guards one dependency.

    It has no awaits between looking and acting, so in one event loop every step is atomic. Decisions use monotonic time
    only. Listeners hear of a transition when it is complete.

    Attributes:
        key: The dependency; it names the breaker in errors and events.
        config: When it opens and closes.
        late_outcomes: How many outcomes came too late to count: from before a transition, or from a lost probe.
    """

    __slots__ = (
        "_clock",
        "_events",
        "_expected",
        "_last_failure_at",
        "_open_s",
        "_open_until",
        "_opened_at",
        "_outcome_of",
        "_permit",
        "_probe_count",
        "_probe_successes",
        "_probes",
        "_rule",
        "_state",
        "config",
        "key",
        "late_outcomes",
    )

    def __init__(
        self,
        key: str = "dependency",
        config: CircuitBreakerConfig | None = None,
        *,
        clock: Clock | None = None,
        outcome_of: OutcomeOf = outcome_of,
        events: Events | None = None,
        failure_threshold: int | None = None,
        recovery_timeout: float | None = None,
        expected_exception: type[BaseException] | tuple[type[BaseException], ...] = Exception,
    ) -> None:
        """Make a closed breaker.

        failure_threshold and recovery_timeout (seconds) take the place of what config says; errors that are no
        expected_exception do not count.
        """
        self.key = key
        self.config = _adjusted(config or CircuitBreakerConfig(), failure_threshold, recovery_timeout)
        self.late_outcomes = 0
        self._clock = clock or SystemClock()
        self._outcome_of = outcome_of
        self._expected = expected_exception
        self._events = events or Events(self._clock)
        self._rule = self.config.rule(self._clock)
        self._state = CircuitState.CLOSED
        self._permit = Permit(1)  # Calls of one generation share it while the breaker is closed.
        self._probes: dict[int, float] = {}  # Number of a probe under way, and when its lease ends.
        self._probe_count = 0
        self._probe_successes = 0
        self._open_s = 0.0
        self._open_until = 0.0
        self._opened_at: datetime | None = None
        self._last_failure_at: datetime | None = None

    @property
    def state(self) -> CircuitState:
        """What it does with calls. Open lasts until the first acquire() after the open period."""
        return self._state

    @property
    def generation(self) -> int:
        """Number of the present state, from 1; every transition raises it."""
        return self._permit.generation

    @property
    def failures(self) -> int:
        """How many failures count now."""
        return self._rule.failures

    @property
    def failure_ratio(self) -> float | None:
        """Share of failures among the outcomes that count now; None if there are none or only rows are counted."""
        return self._rule.ratio

    @property
    def last_failure_at(self) -> datetime | None:
        """When a failure last counted, aware UTC; None if none ever did."""
        return self._last_failure_at

    @property
    def opened_at(self) -> datetime | None:
        """When it last opened, aware UTC; None while it is closed or was never opened."""
        return self._opened_at

    @property
    def retry_after_s(self) -> float | None:
        """Seconds until a call may pass: 0 if one may now, None if only a person can say (isolated)."""
        if self._state is CircuitState.ISOLATED:
            return None
        if self.allow_request():
            return 0.0
        now = self._clock.monotonic()
        if self._state is CircuitState.OPEN:
            return self._open_until - now
        return min(self._open_s, min(self._probes.values(), default=now) - now)

    @property
    def is_idle(self) -> bool:
        """Whether it is closed and remembers nothing, so that a new one could take its place."""
        return self._state is CircuitState.CLOSED and self._rule.is_empty

    def allow_request(self) -> bool:
        """Whether acquire() would give a permit now. Only looks: it takes none and changes nothing."""
        if self._state is CircuitState.CLOSED:
            return True
        now = self._clock.monotonic()
        if self._state is CircuitState.HALF_OPEN:
            leased = sum(lease_ends > now for lease_ends in self._probes.values())
            return leased + self._probe_successes < self.config.half_open_limit
        return self._state is CircuitState.OPEN and now >= self._open_until

    def acquire(self) -> Permit:
        """Leave to make one call. Report how it ended with succeeded() or failed(), in every case.

        Raises:
            CircuitOpen: calls are refused now.
        """
        if self._state is CircuitState.CLOSED:
            return self._permit
        if not self.allow_request():
            raise self._refusal()
        if self._state is CircuitState.OPEN:
            self._enter(CircuitState.HALF_OPEN, EventName.BREAKER_HALF_OPENED)
        self._drop_lost_probes()
        return self._new_probe()

    def is_current(self, permit: Permit) -> bool:
        """Whether no transition has happened since the permit was given."""
        return permit.generation == self._permit.generation

    def still_allows(self, permit: Permit) -> bool:
        """Whether a call with this permit, begun only now, would be right. False once the breaker has opened."""
        return self._state is CircuitState.CLOSED or self.is_current(permit)

    def succeeded(self, permit: Permit) -> None:
        """Report that the call succeeded."""
        if permit is self._permit:
            self._rule.success()
        elif self._is_counted_probe(permit):
            self._probe_successes += 1
            if self._probe_successes >= self.config.half_open_limit:
                self._close()

    def failed(self, permit: Permit, error: BaseException) -> None:
        """Report that the call ended with this error; what that says about the dependency is judged here."""
        outcome = self._judge(unwrap(error))
        if outcome is Outcome.SUCCESS:
            self.succeeded(permit)
        elif permit is self._permit:
            if outcome is Outcome.FAILURE and self._count_failure():
                self._open(self.config.reset_timeout_s)
        elif self._is_counted_probe(permit) and outcome is Outcome.FAILURE:
            self._count_failure()
            self._open(self._grown_open_s())

    async def execute(self, op: Callable[[], Awaitable[T]]) -> T:
        """The result of the operation.

        Raises:
            CircuitOpen: calls are refused now; the operation was not started.
        """
        permit = self.acquire()
        try:
            result = await op()
        except BaseException as error:
            self.failed(permit, error)
            raise
        self.succeeded(permit)
        return result

    async def call(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The result of a function, which may be async or not.

        Raises:
            CircuitOpen: calls are refused now; the function was not called.
        """

        async def op() -> Any:
            result = func(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result

        return await self.execute(op)

    def trip(self) -> None:
        """Open as failures would. Without effect while it refuses calls anyway."""
        if self._state is CircuitState.HALF_OPEN:
            self._open(self._grown_open_s())
        elif self._state is CircuitState.CLOSED or self.allow_request():
            self._open(self.config.reset_timeout_s)

    def isolate(self) -> None:
        """Refuse all calls until reset()."""
        if self._state is not CircuitState.ISOLATED:
            self._enter(CircuitState.ISOLATED, EventName.BREAKER_ISOLATED)

    def reset(self) -> None:
        """Close and forget everything; outcomes of calls under way no longer count."""
        self._close()

    def _judge(self, error: BaseException) -> Outcome:
        if not isinstance(error, Exception) or isinstance(error, CircuitOpen | BulkheadFull):
            return Outcome.IGNORE
        return self._outcome_of(error) if isinstance(error, self._expected) else Outcome.IGNORE

    def _count_failure(self) -> bool:
        self._last_failure_at = self._clock.wall()
        return self._rule.failure()

    def _grown_open_s(self) -> float:
        return min(self._open_s * self.config.open_growth, self.config.max_open_s)

    def _open(self, open_s: float) -> None:
        self._open_s = open_s
        self._open_until = self._clock.monotonic() + open_s
        self._opened_at = self._clock.wall()
        self._enter(CircuitState.OPEN, EventName.BREAKER_OPENED, retry_after_s=open_s)

    def _close(self) -> None:
        self._rule.clear()
        self._opened_at = None
        self._enter(CircuitState.CLOSED, EventName.BREAKER_CLOSED)

    def _enter(self, state: CircuitState, name: EventName, retry_after_s: float | None = None) -> None:
        is_new = state is not self._state
        self._state = state
        self._permit = Permit(self._permit.generation + 1)
        self._probes = {}
        self._probe_count = 0
        self._probe_successes = 0
        if is_new:
            self._events.emit(name, dependency=self.key, retry_after_s=retry_after_s)

    def _new_probe(self) -> Permit:
        self._probe_count += 1
        self._probes[self._probe_count] = self._clock.monotonic() + self.config.probe_lease_s
        return Permit(self._permit.generation, self._probe_count)

    def _is_counted_probe(self, permit: Permit) -> bool:
        """Take the probe's permit back; False if its outcome comes too late to count."""
        if self.is_current(permit):
            self._drop_lost_probes()
            if self._probes.pop(permit.probe, None) is not None:
                return True
        self.late_outcomes += 1
        return False

    def _drop_lost_probes(self) -> None:
        now = self._clock.monotonic()
        for probe in [probe for probe, lease_ends in self._probes.items() if lease_ends <= now]:
            del self._probes[probe]
            self._events.emit(EventName.BREAKER_PROBE_LOST, dependency=self.key, attempt=probe)

    def _refusal(self) -> CircuitOpen:
        refusal = CircuitOpen(self.key, self.retry_after_s)
        self._events.emit(
            EventName.BREAKER_REJECTED, dependency=self.key, error=refusal, retry_after_s=refusal.retry_after_s
        )
        return refusal


def _adjusted(
    config: CircuitBreakerConfig, failure_threshold: int | None, recovery_timeout_s: float | None
) -> CircuitBreakerConfig:
    if failure_threshold is not None:
        config = replace(config, failure_threshold=failure_threshold)
    if recovery_timeout_s is not None:
        longest_s = max(config.max_open_s, recovery_timeout_s)
        config = replace(config, reset_timeout_s=recovery_timeout_s, max_open_s=longest_s)
    return config


class CircuitBreakers(Registry[CircuitBreaker]):
    """One breaker per dependency, all of the same configuration.

    When max_keys dependencies are all in trouble, of() gives a further one a breaker that is forgotten after use: it
    is not guarded, but not harmed by the others either.
    """

    def __init__(
        self,
        config: CircuitBreakerConfig,
        *,
        clock: Clock,
        outcome_of: OutcomeOf = outcome_of,
        events: Events | None = None,
        max_keys: int = MAX_KEYS,
    ) -> None:
        super().__init__(max_keys)
        self._config = config
        self._clock = clock
        self._outcome_of = outcome_of
        self._events = events

    def _make(self, key: str) -> CircuitBreaker:
        return CircuitBreaker(key, self._config, clock=self._clock, outcome_of=self._outcome_of, events=self._events)

    def _is_idle(self, kept: CircuitBreaker) -> bool:
        return kept.is_idle

    def _make_without_room(self, key: str) -> CircuitBreaker:
        return self._make(key)
