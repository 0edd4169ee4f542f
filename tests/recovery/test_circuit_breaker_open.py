"""The open breaker: whom it refuses and for how long."""

import pytest

from ttrpg_mcp.recovery.circuit_breaker import CircuitBreaker, CircuitBreakerConfig, CircuitState
from ttrpg_mcp.recovery.errors import CircuitOpen
from ttrpg_mcp.recovery.events import Events
from ttrpg_mcp.recovery.fault import EventName
from ttrpg_mcp.recovery.testing import ManualClock, flaky

ERROR = ConnectionError("gone")


def _opened(clock: ManualClock, config: CircuitBreakerConfig | None = None) -> CircuitBreaker:
    breaker = CircuitBreaker("x", config, clock=clock)
    breaker.trip()
    return breaker


def _fail_probe(breaker: CircuitBreaker) -> None:
    breaker.failed(breaker.acquire(), ERROR)


async def test_open_circuit_refuses_without_calling_the_service() -> None:
    """R45."""
    clock, service = ManualClock(), flaky("answer")
    breaker = _opened(clock)
    clock.advance(20.0)

    with pytest.raises(CircuitOpen) as caught:
        await breaker.execute(service)

    assert ("x", 40.0, 0) == (caught.value.key, caught.value.retry_after_s, service.calls)


def test_late_failure_does_not_prolong_the_open_period() -> None:
    """R46."""
    clock = ManualClock()
    breaker = CircuitBreaker("x", clock=clock)
    early = breaker.acquire()
    breaker.trip()
    clock.advance(30.0)

    breaker.failed(early, ERROR)

    assert (30.0, 1) == (breaker.retry_after_s, breaker.late_outcomes)


def test_late_success_does_not_close() -> None:
    """R46: neither the open breaker nor the half-open one."""
    clock = ManualClock()
    breaker = CircuitBreaker("x", clock=clock)
    early, other = breaker.acquire(), breaker.acquire()
    breaker.trip()

    breaker.succeeded(early)
    open_state = breaker.state
    clock.advance(60.0)
    breaker.acquire()
    breaker.succeeded(other)

    assert (CircuitState.OPEN, CircuitState.HALF_OPEN, 2) == (open_state, breaker.state, breaker.late_outcomes)


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0])
def test_wall_clock_that_jumps_changes_nothing(jump_s: float) -> None:
    """R45."""
    clock = ManualClock()
    breaker = _opened(clock)

    clock.jump_wall(jump_s)
    before = breaker.allow_request()
    clock.advance(60.0)

    assert (False, True) == (before, breaker.allow_request())


def test_open_period_grows_at_each_reopening_up_to_its_maximum_and_starts_anew_after_a_close() -> None:
    """R16."""
    clock = ManualClock()
    breaker = _opened(clock, CircuitBreakerConfig(reset_timeout_s=10.0, open_growth=2.0, max_open_s=30.0))

    periods_s = [breaker.retry_after_s]
    for _ in range(3):
        clock.advance(breaker.retry_after_s or 0.0)
        _fail_probe(breaker)
        periods_s.append(breaker.retry_after_s)
    clock.advance(30.0)
    breaker.succeeded(breaker.acquire())
    breaker.trip()
    periods_s.append(breaker.retry_after_s)

    assert [10.0, 20.0, 30.0, 30.0, 10.0] == periods_s


def test_open_period_without_growth_stays_the_same() -> None:
    clock = ManualClock()
    breaker = _opened(clock, CircuitBreakerConfig(reset_timeout_s=1.0, open_growth=1.0))

    clock.advance(1.0)
    _fail_probe(breaker)

    assert 1.0 == breaker.retry_after_s


def test_tripping_an_open_breaker_does_not_prolong() -> None:
    clock = ManualClock()
    breaker = _opened(clock)
    clock.advance(30.0)

    breaker.trip()

    assert 30.0 == breaker.retry_after_s


def test_transition_into_the_same_state_is_not_told() -> None:
    """R16: closed to closed, open to open (before and after its period), isolated to isolated."""
    clock, heard = ManualClock(), list[EventName]()
    breaker = CircuitBreaker("x", clock=clock, events=Events(clock, [lambda event: heard.append(event.name)]))

    breaker.reset()
    breaker.trip()
    breaker.trip()
    clock.advance(60.0)
    breaker.trip()
    breaker.isolate()
    breaker.isolate()

    assert [EventName.BREAKER_OPENED, EventName.BREAKER_ISOLATED] == heard


def test_tripping_after_the_open_period_refuses_again() -> None:
    clock = ManualClock()
    breaker = _opened(clock)
    clock.advance(60.0)

    breaker.trip()

    assert (False, 60.0) == (breaker.allow_request(), breaker.retry_after_s)


def test_isolated_breaker_refuses_until_it_is_reset() -> None:
    """R22, R44: neither time nor tripping ends it."""
    clock = ManualClock()
    breaker = CircuitBreaker("x", clock=clock)
    breaker.isolate()
    breaker.trip()
    clock.advance(1e6)

    with pytest.raises(CircuitOpen) as caught:
        breaker.acquire()
    breaker.reset()

    assert (None, CircuitState.CLOSED) == (caught.value.retry_after_s, breaker.state)


def test_reset_closes_and_forgets() -> None:
    """R22: outcomes of calls under way no longer count."""
    breaker = CircuitBreaker("x", clock=ManualClock(), failure_threshold=2)
    early = breaker.acquire()
    breaker.failed(breaker.acquire(), ERROR)

    breaker.reset()
    breaker.failed(early, ERROR)

    assert (CircuitState.CLOSED, 0, None) == (breaker.state, breaker.failures, breaker.opened_at)


def test_every_transition_raises_the_generation() -> None:
    """R46."""
    clock = ManualClock()
    breaker = CircuitBreaker("x", clock=clock)

    seen = [breaker.generation]
    breaker.trip()
    seen.append(breaker.generation)
    clock.advance(60.0)
    probe = breaker.acquire()
    seen.append(breaker.generation)
    breaker.succeeded(probe)
    seen.append(breaker.generation)
    breaker.isolate()
    seen.append(breaker.generation)

    assert [1, 2, 3, 4, 5] == seen
