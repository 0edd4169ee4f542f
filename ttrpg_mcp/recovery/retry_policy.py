"""Trying again: who may, how often, and when to stop."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from ttrpg_mcp.recovery.backoff import Backoff, Jitter, backoff_s
from ttrpg_mcp.recovery.clock import Clock, SystemClock
from ttrpg_mcp.recovery.context import OperationContext
from ttrpg_mcp.recovery.deadline import nearest
from ttrpg_mcp.recovery.errors import BulkheadFull, CircuitOpen, DeadlineExceeded
from ttrpg_mcp.recovery.events import Events
from ttrpg_mcp.recovery.fault import Classify, ErrorClass, EventName, classify_builtin, unwrap
from ttrpg_mcp.recovery.options import read_options, require_count

__all__ = ["LEAST_ATTEMPT_S", "ExponentialBackoff", "OnRetry", "Retrier", "RetryPolicy", "retry"]

T = TypeVar("T")
OnRetry = Callable[[int, BaseException, float], None]
"""Called before a wait with the number of the failed attempt (1-based), its error and the delay in seconds."""

LEAST_ATTEMPT_S = 0.05
"""A wait that would leave the next attempt less time than this is not begun."""

_log = logging.getLogger(__name__)
_PLAIN = {"maxAttempts": "max_attempts", "backoffStrategy": "backoff_strategy"}
_IN_MS = {"initialDelay": "initial_delay_s", "baseDelay": "initial_delay_s", "maxDelay": "max_delay_s"}
_JITTER_BY_FLAG = {True: "proportional", False: "none"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy(Backoff):
    """How often to try, and how long to wait in between. Without state: one policy serves any number of tasks.

    Attributes:
        max_attempts: All tries together, the first included; at least 1.
    """

    max_attempts: int = 5

    def __post_init__(self) -> None:
        # Not super(): a slotted dataclass is a new class, which the zero-argument form does not find.
        Backoff.__post_init__(self)
        require_count("max_attempts", self.max_attempts)

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any]) -> Self:
        """The policy of a plain mapping.

        Takes our field names, in seconds, and maxAttempts, backoffStrategy, initialDelay (or baseDelay), maxDelay and
        jitter, with delays in milliseconds. A jitter of true means proportional and of false none.

        Raises:
            ValueError: a key is unknown or given twice, or a value is impossible.
        """
        jitter = raw.get("jitter")
        if isinstance(jitter, bool):
            raw = {**raw, "jitter": _JITTER_BY_FLAG[jitter]}
        return read_options(cls, raw, _PLAIN, _IN_MS)


class Retrier:
    """A retry policy with what it needs to act. Without state: one serves any number of tasks."""

    __slots__ = ("classify", "clock", "events", "jitter", "policy")

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        clock: Clock,
        classify: Classify = classify_builtin,
        jitter: Jitter = random.random,
        events: Events | None = None,
    ) -> None:
        self.policy = policy
        self.clock = clock
        self.classify = classify
        self.jitter = jitter
        self.events = events or Events(clock)

    def may_retry(self, error: BaseException, operation: OperationContext) -> bool:
        """Whether the operation may be tried again after this error, if tries and time are left."""
        error = unwrap(error)
        if (
            self.policy.max_attempts == 1
            or not isinstance(error, Exception)
            or isinstance(error, CircuitOpen | BulkheadFull)
        ):
            return False
        if isinstance(error, DeadlineExceeded) and error.scope == "total":
            return False
        if not operation.is_repeatable and getattr(error, "nothing_happened", False) is not True:
            return False
        return self.classify(error) is ErrorClass.TRANSIENT

    async def resume(
        self,
        error: Exception,
        operation: OperationContext,
        call: Callable[[], Awaitable[T]],
        on_retry: OnRetry | None = None,
    ) -> T:
        """The result of a later attempt, after the first one failed with error, which may_retry() allowed.

        Raises:
            Exception: the error of the last attempt that was made, with a note of how many there were. If a breaker or
                a bulkhead then refused one more attempt, the note says so.
        """
        return await _Run(self, error, operation, call, on_retry).finish()

    def delay_s(self, attempt: int, error: BaseException) -> float:
        """Seconds to wait after this 1-based attempt: what the error advises, else the policy's delay."""
        advised_s = _advised_s(unwrap(error))
        return backoff_s(attempt, self.policy, self.jitter) if advised_s is None else advised_s

    def remaining_s(self, operation: OperationContext) -> float:
        """Seconds that all limits around the operation leave; infinite without one."""
        ends = nearest(operation.deadline)
        return min(math.inf if ends is None else ends.remaining_s(), self.clock.scope_remaining_s())


class _Run(Generic[T]):
    """One call whose first attempt failed.

    It owns its AsyncRetrying, because that keeps its state per thread: shared by tasks, it gives them each other's.
    The first "attempt" raises the error in hand, so that numbers and waits are right.
    """

    def __init__(
        self,
        retrier: Retrier,
        error: Exception,
        operation: OperationContext,
        call: Callable[[], Awaitable[T]],
        on_retry: OnRetry | None,
    ) -> None:
        self._retrier = retrier
        self._pending: Exception | None = error
        self._failed: Exception = error
        self._operation = operation
        self._call = call
        self._on_retry = on_retry
        self._attempts = 0

    async def finish(self) -> T:
        retrying = AsyncRetrying(
            stop=self._is_over,
            wait=self._wait_s,
            retry=retry_if_exception(self._may_retry),
            sleep=self._retrier.clock.sleep,
            before_sleep=self._announce,
            reraise=True,
        )
        try:
            return await retrying(self._attempt)
        except Exception as error:  # noqa: BLE001 - every failure ends here, and is raised again with its note.
            last = self._verdict(error)
        raise last

    async def _attempt(self) -> T:
        self._attempts += 1
        if self._pending is not None:
            error, self._pending = self._pending, None
            raise error
        return await self._call()

    def _may_retry(self, error: BaseException) -> bool:
        if not self._retrier.may_retry(error, self._operation):
            return False
        if isinstance(error, Exception):
            self._failed = error
        return True

    def _wait_s(self, state: RetryCallState) -> float:
        return self._retrier.delay_s(state.attempt_number, self._failed)

    def _is_over(self, state: RetryCallState) -> bool:
        if state.attempt_number >= self._retrier.policy.max_attempts:
            return True
        return state.upcoming_sleep > self._retrier.remaining_s(self._operation) - LEAST_ATTEMPT_S

    def _announce(self, state: RetryCallState) -> None:
        delay_s = state.upcoming_sleep
        self._retrier.events.emit(
            EventName.RETRY_SCHEDULED,
            operation=self._operation,
            attempt=self._attempts,
            error=self._failed,
            retry_after_s=delay_s,
        )
        if self._on_retry is None:
            return
        try:
            self._on_retry(self._attempts, self._failed, delay_s)
        except Exception:  # noqa: BLE001 - the hook is a guest here: whatever it raises, the retry goes on.
            _log.exception("the retry hook failed after attempt %d", self._attempts)

    def _verdict(self, error: Exception) -> Exception:
        """The error to raise: never a refusal, since an earlier attempt was made and may have had an effect."""
        made = self._attempts
        if isinstance(unwrap(error), CircuitOpen | BulkheadFull):
            made -= 1
            self._failed.add_note(f"one more attempt was refused: {error}")
            error = self._failed
        error.add_note(f"{made} of {self._retrier.policy.max_attempts} attempts were made")
        self._retrier.events.emit(
            EventName.RETRIES_EXCEEDED, operation=self._operation, attempt=made, outcome="failure", error=error
        )
        return error


def _advised_s(error: BaseException) -> float | None:
    """The error's own retry_after_s: not below 0, and None if it is missing or no finite number."""
    advised_s = getattr(error, "retry_after_s", None)
    if isinstance(advised_s, bool) or not isinstance(advised_s, int | float) or not math.isfinite(advised_s):
        return None
    return max(0.0, advised_s)


async def retry(
    call: Callable[[], Awaitable[T]],
    retrier: Retrier,
    operation: OperationContext,
    on_retry: OnRetry | None = None,
) -> T:
    """The result of the first attempt that succeeds.

    The first attempt is made directly, so a call that succeeds at once costs nothing more.

    Raises:
        Exception: the error of the last attempt, with a note of how many there were if there was more than one.
    """
    try:
        return await call()
    except Exception as error:
        if not retrier.may_retry(error, operation):
            raise
        failed = error
    return await retrier.resume(failed, operation, call, on_retry)


class ExponentialBackoff:
    """Tries again with doubled delays, give or take a quarter. Without state: one serves any number of tasks."""

    __slots__ = ("_retrier",)

    def __init__(
        self,
        max_attempts: int = 5,
        base_delay_s: float = 1.0,
        max_delay_s: float = 30.0,
        *,
        clock: Clock | None = None,
        classify: Classify = classify_builtin,
        jitter: Jitter = random.random,
    ) -> None:
        policy = RetryPolicy(max_attempts=max_attempts, initial_delay_s=base_delay_s, max_delay_s=max_delay_s)
        self._retrier = Retrier(policy, clock=clock or SystemClock(), classify=classify, jitter=jitter)

    async def execute(
        self, fn: Callable[[], Awaitable[T]], on_retry: Callable[[int, BaseException], None] | None = None
    ) -> T:
        """The result of the first attempt that succeeds; fn must be harmless to repeat.

        on_retry gets the number of the failed attempt (1-based) and its error before each wait, and nothing after the
        last failure. What it raises is logged.

        Raises:
            Exception: the error of the last attempt, with a note of how many there were.
        """
        hook: OnRetry | None = None
        if on_retry is not None:
            tell = on_retry

            def hook(attempt: int, error: BaseException, _delay_s: float) -> None:
                tell(attempt, error)

        return await retry(fn, self._retrier, OperationContext("execute", idempotent=True), hook)
