"""The policies in their order: around a call to a dependency, and around a whole operation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from ttrpg_mcp.recovery.bulkhead import Bulkhead, Bulkheads
from ttrpg_mcp.recovery.circuit_breaker import CircuitBreaker, CircuitBreakers, Permit
from ttrpg_mcp.recovery.clock import Clock
from ttrpg_mcp.recovery.context import OperationContext, enter_operation, leave_operation
from ttrpg_mcp.recovery.deadline import nearest, within
from ttrpg_mcp.recovery.errors import CircuitOpen, DeadlineExceeded, DeadlineScope
from ttrpg_mcp.recovery.events import Events
from ttrpg_mcp.recovery.fallback import Fallback
from ttrpg_mcp.recovery.fault import EventName
from ttrpg_mcp.recovery.options import require_seconds
from ttrpg_mcp.recovery.retry_policy import Retrier

__all__ = ["Gate", "Pipeline"]

T = TypeVar("T")


class Pipeline:
    """Around one call to a dependency: retry, breaker, slots, attempt limit, call. Each is optional.

    Breaker and slots are those of the operation's dependency. Retrying is outermost, so every attempt is judged, an
    open breaker ends the trying, and no slot is held while waiting to try again. One pipeline serves any number of
    tasks and dependencies.
    """

    __slots__ = ("_attempt_s", "_breakers", "_bulkheads", "_clock", "_events", "_retrier")

    def __init__(
        self,
        *,
        clock: Clock,
        retrier: Retrier | None = None,
        breakers: CircuitBreakers | None = None,
        bulkheads: Bulkheads | None = None,
        attempt_s: float | None = None,
        events: Events | None = None,
    ) -> None:
        """Join the policies; attempt_s is the limit of one attempt in seconds, above 0, or None for no own limit."""
        if attempt_s is not None:
            require_seconds("attempt_s", attempt_s, above=0)
        self._clock = clock
        self._retrier = retrier
        self._breakers = breakers
        self._bulkheads = bulkheads
        self._attempt_s = attempt_s
        self._events = events or Events(clock)

    async def run(self, operation: OperationContext, call: Callable[[], Awaitable[T]]) -> T:
        """The result of the first attempt that succeeds.

        Raises:
            CircuitOpen: the dependency is known to be broken.
            BulkheadFull: too many calls to it wait already.
            DeadlineExceeded: the last attempt ("attempt") or the operation ("total") ran out of time.
            Exception: what the last attempt raised.
        """
        if self._events.has_listeners:
            call = _Reported(self._events, self._clock, operation, call)
        try:
            return await self._attempt(operation, call)
        except Exception as error:
            if self._retrier is None or not self._retrier.may_retry(error, operation):
                raise
            failed = error
        return await self._retrier.resume(failed, operation, lambda: self._attempt(operation, call))

    async def _attempt(self, operation: OperationContext, call: Callable[[], Awaitable[T]]) -> T:
        if self._breakers is None:
            return await self._in_slot(operation, call, None)
        breaker = self._breakers.of(operation.dependency)
        permit = breaker.acquire()
        try:
            result = await self._in_slot(operation, call, (breaker, permit))
        except BaseException as error:
            breaker.failed(permit, error)
            raise
        breaker.succeeded(permit)
        return result

    async def _in_slot(
        self,
        operation: OperationContext,
        call: Callable[[], Awaitable[T]],
        admitted: tuple[CircuitBreaker, Permit] | None,
    ) -> T:
        if self._bulkheads is None:
            return await self._limited(operation, call)
        bulkhead = self._bulkheads.of(operation.dependency)
        if not bulkhead.try_acquire():
            await self._wait_for_slot(operation, bulkhead, admitted)
        try:
            return await self._limited(operation, call)
        finally:
            bulkhead.release()

    async def _wait_for_slot(
        self, operation: OperationContext, bulkhead: Bulkhead, admitted: tuple[CircuitBreaker, Permit] | None
    ) -> None:
        ends = nearest(operation.deadline)
        with within(self._clock, None if ends is None else ends.remaining_s(), "total"):
            await bulkhead.acquire()
        # The breaker may have opened while this caller waited; then its permit is worth nothing any more.
        if admitted is not None and not admitted[0].still_allows(admitted[1]):
            bulkhead.release()
            raise CircuitOpen(admitted[0].key, admitted[0].retry_after_s)

    async def _limited(self, operation: OperationContext, call: Callable[[], Awaitable[T]]) -> T:
        limit_s, scope = self._attempt_limit(operation)
        if limit_s is None:
            return await call()
        with self._clock.limit(limit_s):
            return await call()
        # Reached only if our own limit cancelled the call: everything else returns or raises above.
        exceeded = DeadlineExceeded(scope, limit_s)
        self._events.emit(EventName.TIMEOUT, operation=operation, outcome=scope, duration_s=limit_s, error=exceeded)
        raise exceeded

    def _attempt_limit(self, operation: OperationContext) -> tuple[float | None, DeadlineScope]:
        ends = nearest(operation.deadline)
        if ends is None:
            return self._attempt_s, "attempt"
        remaining_s = ends.remaining_s()
        if remaining_s <= 0:
            raise DeadlineExceeded("total", 0.0)
        if self._attempt_s is None or remaining_s < self._attempt_s:
            return remaining_s, "total"
        return self._attempt_s, "attempt"


class _Reported(Generic[T]):
    """A call that reports each of its attempts; only made when somebody listens."""

    __slots__ = ("_attempt", "_call", "_clock", "_events", "_operation")

    def __init__(
        self, events: Events, clock: Clock, operation: OperationContext, call: Callable[[], Awaitable[T]]
    ) -> None:
        self._events = events
        self._clock = clock
        self._operation = operation
        self._call = call
        self._attempt = 0

    async def __call__(self) -> T:
        self._attempt += 1
        began_at = self._clock.monotonic()
        try:
            result = await self._call()
        except BaseException as error:
            self._report(began_at, "failure", error)
            raise
        self._report(began_at, "success", None)
        return result

    def _report(self, began_at: float, outcome: str, error: BaseException | None) -> None:
        self._events.emit(
            EventName.ATTEMPT,
            operation=self._operation,
            attempt=self._attempt,
            outcome=outcome,
            duration_s=self._clock.monotonic() - began_at,
            error=error,
        )


class Gate:
    """Around a whole operation: fallback, total deadline, slots of its compartment, operation. Each is optional.

    The deadline is outside the queue, so waiting counts. The fallback is outside both, so that a refusal may be
    answered too. Enter a gate once per operation: one inside another would wait for itself.
    """

    __slots__ = ("_bulkheads", "_clock", "_events", "_fallback", "_total_s")

    def __init__(
        self,
        *,
        clock: Clock,
        total_s: float | None = None,
        bulkheads: Bulkheads | None = None,
        fallback: Fallback[Any] | None = None,
        events: Events | None = None,
    ) -> None:
        """Join the policies; total_s is the limit of the operation in seconds, above 0, or None for no own limit."""
        if total_s is not None:
            require_seconds("total_s", total_s, above=0)
        self._clock = clock
        self._total_s = total_s
        self._bulkheads = bulkheads
        self._fallback = fallback
        self._events = events or Events(clock)

    async def run(self, operation: OperationContext, call: Callable[[], Awaitable[T]]) -> T:
        """The operation's result, or the answer of the fallback. Meanwhile it is the current operation.

        Raises:
            BulkheadFull: its compartment has no room.
            DeadlineExceeded: it ran out of time.
            Exception: what it raised.
        """
        token = enter_operation(operation)
        try:
            return await self._or_fallback(operation, call)
        finally:
            leave_operation(token)

    async def _or_fallback(self, operation: OperationContext, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await self._limited(operation, call)
        except Exception as error:
            if self._fallback is None or not self._fallback.handles(error):
                raise
            failed = error
        answer: T = await self._fallback.run(failed)
        return answer

    async def _limited(self, operation: OperationContext, call: Callable[[], Awaitable[T]]) -> T:
        limit = within(self._clock, self._limit_s(operation), "total")
        try:
            with limit:
                return await self._in_slot(operation, call)
        except DeadlineExceeded as error:
            if limit.has_expired:
                self._events.emit(EventName.TIMEOUT, outcome="total", duration_s=error.limit_s, error=error)
            raise

    def _limit_s(self, operation: OperationContext) -> float | None:
        if operation.deadline is None:
            return self._total_s
        remaining_s = operation.deadline.remaining_s()
        return remaining_s if self._total_s is None else min(self._total_s, remaining_s)

    async def _in_slot(self, operation: OperationContext, call: Callable[[], Awaitable[T]]) -> T:
        if self._bulkheads is None or not operation.compartment:
            return await call()
        async with self._bulkheads.of(operation.compartment):
            return await call()
