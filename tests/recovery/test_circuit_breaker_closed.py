"""The closed breaker: what opens it and what does not."""

import anyio
import pytest

from ttrpg_mcp.recovery.circuit_breaker import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakers,
    CircuitState,
    Outcome,
    outcome_of,
)
from ttrpg_mcp.recovery.errors import BulkheadFull, CircuitOpen, DeadlineExceeded
from ttrpg_mcp.recovery.events import Events
from ttrpg_mcp.recovery.fault import EventName, EventSeverity, RecoveryEvent
from ttrpg_mcp.recovery.testing import HANG, ManualClock, flaky


def _fail(breaker: CircuitBreaker, times: int = 1, error: BaseException | None = None) -> None:
    for _ in range(times):
        breaker.failed(breaker.acquire(), error or ConnectionError("gone"))


def test_states_have_the_founding_names() -> None:
    """R44."""
    assert ["closed", "open", "half_open", "isolated"] == [state.value for state in CircuitState]


def test_fifth_failure_in_a_row_opens() -> None:
    """R16, R45."""
    breaker = CircuitBreaker("x", clock=ManualClock())

    states = []
    for _ in range(5):
        _fail(breaker)
        states.append(breaker.state)

    assert [CircuitState.CLOSED] * 4 + [CircuitState.OPEN] == states


def test_success_resets_the_count() -> None:
    """R46."""
    breaker = CircuitBreaker("x", clock=ManualClock())

    _fail(breaker, 4)
    breaker.succeeded(breaker.acquire())
    _fail(breaker, 4)

    assert (CircuitState.CLOSED, 4) == (breaker.state, breaker.failures)


def test_failures_age_out() -> None:
    """R16, R45."""
    clock = ManualClock()
    breaker = CircuitBreaker("x", clock=clock)

    for _ in range(10):
        _fail(breaker)
        clock.advance(8.0)

    assert CircuitState.CLOSED is breaker.state


def test_share_of_failures_opens_in_place_of_a_row() -> None:
    """R16."""
    config = CircuitBreakerConfig(failure_ratio=0.5, minimum_calls=10)
    breaker = CircuitBreaker("x", config, clock=ManualClock())

    _fail(breaker, 9)
    before = breaker.state
    _fail(breaker)

    assert (CircuitState.CLOSED, CircuitState.OPEN, 1.0) == (before, breaker.state, breaker.failure_ratio)


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        CircuitOpen("inner", 1.0),
        BulkheadFull("x", 1.0),
        DeadlineExceeded("total", 0.1),
        ExceptionGroup("tasks", [BulkheadFull("x", 1.0)]),
    ],
)
def test_own_refusals_and_the_caller_s_haste_do_not_count(error: BaseException) -> None:
    """R46: not even where every exception is expected."""
    breaker = CircuitBreaker("x", clock=ManualClock(), expected_exception=BaseException)

    _fail(breaker, 20, error)

    assert (CircuitState.CLOSED, 0) == (breaker.state, breaker.failures)


def test_only_expected_exceptions_count() -> None:
    """R46."""
    breaker = CircuitBreaker("x", clock=ManualClock(), expected_exception=OSError)

    _fail(breaker, 4)
    _fail(breaker, 20, ValueError("the caller's mistake"))

    assert (CircuitState.CLOSED, 4) == (breaker.state, breaker.failures)


def test_judgement_of_errors_is_injected() -> None:
    """R46: a not-found answer shows that the service is well."""

    def judge(error: Exception) -> Outcome:
        return Outcome.SUCCESS if isinstance(error, LookupError) else outcome_of(error)

    breaker = CircuitBreaker("x", clock=ManualClock(), outcome_of=judge)

    _fail(breaker, 4)
    _fail(breaker, 1, KeyError("not found"))

    assert 0 == breaker.failures


async def test_ten_healthy_calls_cancelled_by_the_client_leave_it_closed() -> None:
    """R46."""
    breaker, operation = CircuitBreaker("x", clock=ManualClock()), flaky(HANG)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(breaker.execute, operation)
            await anyio.wait_all_tasks_blocked()
            running = operation.running
            tasks.cancel_scope.cancel()

    assert (10, CircuitState.CLOSED, 0) == (running, breaker.state, breaker.failures)


async def test_execute_gives_results_and_errors_as_they_are() -> None:
    """R22."""
    breaker, error = CircuitBreaker("x", clock=ManualClock()), ConnectionError("gone")

    answer = await breaker.execute(flaky("answer"))
    with pytest.raises(ConnectionError) as caught:
        await breaker.execute(flaky(error))

    assert ("answer", error, 1) == (answer, caught.value, breaker.failures)


async def test_call_takes_functions_of_both_kinds_with_arguments() -> None:
    """R22."""

    async def double(number: int) -> int:
        return 2 * number

    breaker = CircuitBreaker("x", clock=ManualClock())

    assert [6, "6"] == [await breaker.call(double, 3), await breaker.call(str, object=6)]


async def test_failing_async_function_counts_as_failure() -> None:
    """R22: judging the coroutine instead of its end would count a success."""
    breaker = CircuitBreaker("x", clock=ManualClock(), failure_threshold=1)

    with pytest.raises(ConnectionError):
        await breaker.call(flaky(ConnectionError("gone")))

    assert CircuitState.OPEN is breaker.state


def test_failures_and_times_are_shown() -> None:
    """R22."""
    clock = ManualClock()
    breaker = CircuitBreaker("x", clock=clock, failure_threshold=2)

    _fail(breaker)
    clock.advance(1.0)
    _fail(breaker)

    assert (2, clock.wall(), clock.wall(), 60.0) == (
        breaker.failures,
        breaker.last_failure_at,
        breaker.opened_at,
        breaker.retry_after_s,
    )


def test_listeners_hear_of_a_complete_transition_and_cannot_harm_it() -> None:
    """R16."""
    clock, heard = ManualClock(), list[tuple[RecoveryEvent, CircuitState]]()

    def listen(event: RecoveryEvent) -> None:
        heard.append((event, breaker.state))
        raise KeyError("a broken listener")

    breaker = CircuitBreaker("x", clock=clock, events=Events(clock, [listen]), failure_threshold=1)
    _fail(breaker)

    ((event, state),) = heard
    assert (EventName.BREAKER_OPENED, EventSeverity.ERROR, "x", 60.0, CircuitState.OPEN) == (
        event.name,
        event.severity,
        event.dependency,
        event.retry_after_s,
        state,
    )


def test_breakers_of_different_keys_know_nothing_of_each_other() -> None:
    """R03."""
    breakers = CircuitBreakers(CircuitBreakerConfig(), clock=ManualClock())

    _fail(breakers.of("broken"), 5)

    assert {"broken": "open", "well": "closed"} == {key: breakers.of(key).state for key in ("broken", "well")}


def test_only_closed_idle_breakers_make_room() -> None:
    """R03."""
    breakers = CircuitBreakers(CircuitBreakerConfig(), clock=ManualClock(), max_keys=3)
    _fail(breakers.of("open"), 5)
    _fail(breakers.of("failing"))

    for number in range(2000):
        breakers.of(f"idle {number}")

    assert ["open", "failing", "idle 1999"] == list(breakers)


def test_registry_keeps_1024_breakers_unless_told_otherwise() -> None:
    """R03."""
    breakers = CircuitBreakers(CircuitBreakerConfig(), clock=ManualClock())

    for number in range(1100):
        breakers.of(f"http:host-{number}")

    assert 1024 == len(breakers)


def test_dependency_without_room_is_unguarded_but_not_refused() -> None:
    """R03."""
    breakers = CircuitBreakers(CircuitBreakerConfig(), clock=ManualClock(), max_keys=1)
    _fail(breakers.of("open"), 5)

    breakers.of("another").acquire()

    assert ["open"] == list(breakers)
