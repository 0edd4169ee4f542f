"""The policies together."""

from dataclasses import replace

import anyio
import pytest

from ttrpg_mcp.recovery.bulkhead import Bulkheads
from ttrpg_mcp.recovery.circuit_breaker import CircuitBreakerConfig, CircuitBreakers, CircuitState
from ttrpg_mcp.recovery.clock import SystemClock
from ttrpg_mcp.recovery.context import OperationContext
from ttrpg_mcp.recovery.deadline import Deadline, within
from ttrpg_mcp.recovery.errors import BulkheadFull, CircuitOpen, DeadlineExceeded
from ttrpg_mcp.recovery.events import Events
from ttrpg_mcp.recovery.fault import EventName, RecoveryEvent
from ttrpg_mcp.recovery.pipeline import Pipeline
from ttrpg_mcp.recovery.retry_policy import Retrier, RetryPolicy
from ttrpg_mcp.recovery.testing import HANG, FixedJitter, Flaky, ManualClock, flaky

READ = OperationContext("read", "db_read", dependency="db", idempotent=True)
GONE = ConnectionError("gone")


class _Built:
    """A pipeline with every policy, and its parts to look at."""

    def __init__(
        self, clock: ManualClock, *, max_attempts: int = 3, failure_threshold: int = 5, slots: int = 2
    ) -> None:
        self.heard: list[RecoveryEvent] = []
        self.events = Events(clock)
        config = CircuitBreakerConfig(failure_threshold=failure_threshold)
        self.breakers = CircuitBreakers(config, clock=clock, events=self.events)
        self.bulkheads = Bulkheads(slots, 9, events=self.events)
        policy = RetryPolicy(max_attempts=max_attempts)
        self.pipeline = Pipeline(
            clock=clock,
            retrier=Retrier(policy, clock=clock, jitter=FixedJitter(0.5), events=self.events),
            breakers=self.breakers,
            bulkheads=self.bulkheads,
            attempt_s=1.0,
            events=self.events,
        )

    def listen(self) -> None:
        self.events.subscribe(self.heard.append)

    async def run(self, call: Flaky[str], operation: OperationContext = READ) -> str:
        with anyio.fail_after(5):
            return await self.pipeline.run(operation, call)


async def _turn(clock: ManualClock, seconds: float, started: anyio.Event) -> None:
    with anyio.fail_after(5):
        await started.wait()
    clock.advance(seconds)


async def test_transient_fault_is_overcome_without_the_caller_s_notice() -> None:
    """R33."""
    built, call = _Built(ManualClock(skips_sleeps=True)), flaky(GONE, "answer")

    assert "answer" == await built.run(call)
    assert (2, 0) == (call.calls, built.breakers["db"].failures)


async def test_pipeline_of_nothing_is_the_call_itself() -> None:
    assert "answer" == await Pipeline(clock=ManualClock()).run(READ, flaky("answer"))


async def test_every_attempt_is_judged_and_an_open_breaker_ends_the_trying() -> None:
    """R45: the third attempt of five finds the circuit open."""
    built = _Built(ManualClock(skips_sleeps=True), max_attempts=5, failure_threshold=2)
    call: Flaky[str] = flaky(GONE)

    with pytest.raises(ConnectionError):
        await built.run(call)

    assert (2, CircuitState.OPEN) == (call.calls, built.breakers["db"].state)


async def test_open_circuit_refuses_without_a_retry() -> None:
    """R45."""
    clock = ManualClock(skips_sleeps=True)
    built, call = _Built(clock), flaky("answer")
    built.breakers.of("db").trip()

    with pytest.raises(CircuitOpen):
        await built.run(call)

    assert (0, []) == (call.calls, clock.sleeps_s)


async def test_no_slot_is_held_while_waiting_to_try_again() -> None:
    """R05."""
    clock = ManualClock()
    built = _Built(clock, slots=1)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(built.run, flaky(GONE, "late"))
            await clock.wait_for_sleepers()
            is_idle = built.bulkheads["db"].is_idle
            clock.advance(1.0)

    assert is_idle


async def test_attempt_that_takes_too_long_is_tried_again() -> None:
    """R09, R33."""
    clock, call = ManualClock(skips_sleeps=True), flaky(HANG, "answer")
    built = _Built(clock)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_turn, clock, 1.0, call.started)
        answer = await built.run(call)

    assert ("answer", 2) == (answer, call.calls)


async def test_timed_out_unkeyed_write_is_never_repeated() -> None:
    """R24."""
    clock, call = ManualClock(skips_sleeps=True), flaky(HANG, "twice")
    built, write = _Built(clock), replace(READ, idempotent=False)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_turn, clock, 1.0, call.started)
        with pytest.raises(DeadlineExceeded) as caught:
            await built.run(call, write)

    assert ("attempt", 1) == (caught.value.scope, call.calls)


async def test_attempt_cut_short_by_the_total_is_neither_retried_nor_held_against_the_dependency() -> None:
    """R09."""
    clock, call = ManualClock(skips_sleeps=True), flaky(HANG, "too late")
    built = _Built(clock)
    operation = replace(READ, deadline=Deadline.after(0.25, clock))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_turn, clock, 0.25, call.started)
        with pytest.raises(DeadlineExceeded) as caught:
            await built.run(call, operation)

    assert ("total", 0.25, 1, 0) == (
        caught.value.scope,
        caught.value.limit_s,
        call.calls,
        built.breakers["db"].failures,
    )


async def test_spent_deadline_calls_nobody() -> None:
    """R09."""
    clock, call = ManualClock(), flaky("too late")

    with pytest.raises(DeadlineExceeded):
        await _Built(clock).run(call, replace(READ, deadline=Deadline.after(0.0, clock)))

    assert 0 == call.calls


async def test_limit_around_the_call_shortens_the_attempt() -> None:
    """R09: the current deadline counts as the operation's own."""
    clock, call = ManualClock(), flaky(HANG)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_turn, clock, 0.5, call.started)
            with pytest.raises(DeadlineExceeded) as caught, within(clock, 0.5, "total"):
                await Pipeline(clock=clock, attempt_s=1.0).run(READ, call)

    assert ("total", 0.5) == (caught.value.scope, caught.value.limit_s)


async def test_cancelled_call_gives_everything_back() -> None:
    """R05, R46."""
    clock, call = ManualClock(), flaky(HANG)
    built = _Built(clock)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(built.run, call)
            await call.started.wait()
            tasks.cancel_scope.cancel()

    assert (True, 0, []) == (built.bulkheads["db"].is_idle, built.breakers["db"].failures, clock.limits)


async def test_waiting_for_a_slot_counts_against_the_deadline() -> None:
    """R05, R09."""
    clock, holder = ManualClock(), flaky(HANG)
    built = _Built(clock, slots=1)
    operation = replace(READ, deadline=Deadline.after(0.5, clock))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            await built.bulkheads.of("db").acquire()
            tasks.start_soon(_turn_once_waiting, clock, 0.5)
            with pytest.raises(DeadlineExceeded) as caught:
                await built.run(holder, operation)

    assert ("total", 0, 0) == (caught.value.scope, holder.calls, built.bulkheads["db"].waiting)


async def _turn_once_waiting(clock: ManualClock, seconds: float) -> None:
    await anyio.wait_all_tasks_blocked()
    clock.advance(seconds)


async def test_call_that_waited_while_the_breaker_opened_is_not_made() -> None:
    """R45: a queue must not go on hammering a dependency that has just been found broken."""
    built, call = _Built(ManualClock(), slots=1), flaky("answer")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            bulkhead = built.bulkheads.of("db")
            await bulkhead.acquire()
            tasks.start_soon(_release_after_trip, built)
            with pytest.raises(CircuitOpen):
                await built.run(call)

    assert (0, True) == (call.calls, bulkhead.is_idle)


async def _release_after_trip(built: _Built) -> None:
    await anyio.wait_all_tasks_blocked()
    built.breakers["db"].trip()
    built.bulkheads["db"].release()


async def test_full_queue_gives_the_probe_s_permit_back() -> None:
    """R46."""
    clock = ManualClock()
    built = _Built(clock, slots=1)
    pipeline = Pipeline(clock=clock, breakers=built.breakers, bulkheads=Bulkheads(1, 0))
    breaker, call = built.breakers.of("db"), flaky(HANG)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.run, READ, call)
            await call.started.wait()
            breaker.trip()
            clock.advance(60.0)
            with pytest.raises(BulkheadFull):
                await pipeline.run(READ, flaky("answer"))
            state, allows = breaker.state, breaker.allow_request()
            tasks.cancel_scope.cancel()

    assert (CircuitState.HALF_OPEN, True) == (state, allows)


async def test_cancelled_probe_gives_its_permit_back() -> None:
    """R45, R46."""
    clock, call = ManualClock(), flaky(HANG, "answer")
    built = _Built(clock)
    breaker = built.breakers.of("db")
    breaker.trip()
    clock.advance(60.0)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(built.run, call)
            await call.started.wait()
            tasks.cancel_scope.cancel()
    state = breaker.state

    assert "answer" == await built.run(call)
    assert (CircuitState.HALF_OPEN, CircuitState.CLOSED) == (state, breaker.state)


async def test_dependencies_of_one_pipeline_know_nothing_of_each_other() -> None:
    """R03, R05."""
    built = _Built(ManualClock(skips_sleeps=True), failure_threshold=1)

    with pytest.raises(ConnectionError):
        await built.run(flaky(GONE))

    assert "answer" == await built.run(flaky("answer"), replace(READ, dependency="another"))


async def test_events_tell_the_whole_story_in_order() -> None:
    built = _Built(ManualClock(skips_sleeps=True))
    built.listen()

    await built.run(flaky(GONE, "answer"))

    assert [
        (1, EventName.ATTEMPT, 1, "failure"),
        (2, EventName.RETRY_SCHEDULED, 1, ""),
        (3, EventName.ATTEMPT, 2, "success"),
    ] == [(event.seq, event.name, event.attempt, event.outcome) for event in built.heard]


async def test_timeout_is_told_with_its_scope() -> None:
    """R09."""
    clock, call = ManualClock(), flaky(HANG)
    built = _Built(clock, max_attempts=1)
    built.listen()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_turn, clock, 1.0, call.started)
        with pytest.raises(DeadlineExceeded):
            await built.run(call)

    assert [("attempt", 1.0)] == [
        (event.outcome, event.duration_s) for event in built.heard if event.name is EventName.TIMEOUT
    ]


async def test_fifty_callers_share_one_pipeline_of_the_real_clock() -> None:
    """R47, R05: every caller gets its own answer, and never more than two are under way."""
    clock = SystemClock()
    policy = RetryPolicy(initial_delay_s=0.0, max_delay_s=0.0)
    bulkheads = Bulkheads(2, 256)
    pipeline = Pipeline(clock=clock, retrier=Retrier(policy, clock=clock), bulkheads=bulkheads, attempt_s=5.0)
    under_way, answers = list[int](), dict[int, int]()

    async def one(number: int) -> None:
        script = flaky(GONE, number)

        async def call() -> int:
            under_way.append(bulkheads["db"].in_use)
            return await script()

        answers[number] = await pipeline.run(READ, call)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(one, number)

    assert ({number: number for number in range(50)}, 2) == (answers, max(under_way))


def test_impossible_attempt_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="attempt_s must be above 0"):
        Pipeline(clock=ManualClock(), attempt_s=0.0)
