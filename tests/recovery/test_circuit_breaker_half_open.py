"""The half-open breaker: who may probe, and what becomes of it."""

import anyio
import pytest

from ttrpg_mcp.recovery.circuit_breaker import CircuitBreaker, CircuitBreakerConfig, CircuitState
from ttrpg_mcp.recovery.errors import BulkheadFull, CircuitOpen
from ttrpg_mcp.recovery.events import Events
from ttrpg_mcp.recovery.fault import EventName
from ttrpg_mcp.recovery.testing import HANG, ManualClock, flaky

ERROR = ConnectionError("gone")


def _ready_to_probe(clock: ManualClock, half_open_limit: int = 1, events: Events | None = None) -> CircuitBreaker:
    config = CircuitBreakerConfig(half_open_limit=half_open_limit, probe_lease_s=10.0)
    breaker = CircuitBreaker("x", config, clock=clock, events=events)
    breaker.trip()
    clock.advance(60.0)
    return breaker


@pytest.mark.parametrize("half_open_limit", [1, 3])
async def test_of_twenty_callers_after_the_period_only_the_limit_reaches_the_service(half_open_limit: int) -> None:
    """R45."""
    breaker, service = _ready_to_probe(ManualClock(), half_open_limit), flaky(HANG)
    refused: list[CircuitOpen] = []

    async def caller() -> None:
        try:
            await breaker.execute(service)
        except CircuitOpen as error:
            refused.append(error)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(caller)
            await anyio.wait_all_tasks_blocked()
            counts = (service.calls, len(refused))
            tasks.cancel_scope.cancel()

    assert (half_open_limit, 20 - half_open_limit) == counts


def test_refused_caller_is_told_when_the_probe_must_have_ended() -> None:
    """R45."""
    clock = ManualClock()
    breaker = _ready_to_probe(clock)
    breaker.acquire()
    clock.advance(4.0)

    with pytest.raises(CircuitOpen) as caught:
        breaker.acquire()

    assert 6.0 == caught.value.retry_after_s


def test_looking_a_thousand_times_takes_no_permit() -> None:
    """R22."""
    breaker = _ready_to_probe(ManualClock())

    looks = {breaker.allow_request() for _ in range(1000)}
    state = breaker.state
    breaker.acquire()

    assert ({True}, CircuitState.OPEN, False) == (looks, state, breaker.allow_request())


def test_as_many_successes_as_permits_close() -> None:
    """R16, R46."""
    breaker = _ready_to_probe(ManualClock(), half_open_limit=2)
    probes = [breaker.acquire(), breaker.acquire()]

    states = []
    for probe in probes:
        breaker.succeeded(probe)
        states.append(breaker.state)

    assert [CircuitState.HALF_OPEN, CircuitState.CLOSED] == states


def test_successful_probe_does_not_free_its_permit_for_another_call() -> None:
    """R45: a limit of two is two probes in all, not two at a time."""
    breaker = _ready_to_probe(ManualClock(), half_open_limit=2)
    first, _second = breaker.acquire(), breaker.acquire()

    breaker.succeeded(first)

    assert not breaker.allow_request()


def test_one_failure_opens_again_and_the_other_probe_is_late() -> None:
    """R46."""
    breaker = _ready_to_probe(ManualClock(), half_open_limit=2)
    first, second = breaker.acquire(), breaker.acquire()

    breaker.failed(first, ERROR)
    breaker.succeeded(second)

    assert (CircuitState.OPEN, 1, 120.0) == (breaker.state, breaker.late_outcomes, breaker.retry_after_s)


async def test_cancelled_probe_gives_its_permit_back() -> None:
    """R45, R46: else the breaker would refuse for ever."""
    breaker, service = _ready_to_probe(ManualClock()), flaky(HANG, "answer")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(breaker.execute, service)
            await service.started.wait()
            tasks.cancel_scope.cancel()
        state = breaker.state
        answer = await breaker.execute(service)

    assert (CircuitState.HALF_OPEN, "answer", CircuitState.CLOSED) == (state, answer, breaker.state)


def test_ignored_probe_gives_its_permit_back() -> None:
    """R46."""
    breaker = _ready_to_probe(ManualClock())

    breaker.failed(breaker.acquire(), BulkheadFull("x", 1.0))

    assert (CircuitState.HALF_OPEN, True) == (breaker.state, breaker.allow_request())


def test_probe_that_never_reports_loses_its_lease() -> None:
    """R45: its permit is free again, which is told."""
    clock, heard = ManualClock(), list[EventName]()
    breaker = _ready_to_probe(clock, events=Events(clock, [lambda event: heard.append(event.name)]))
    breaker.acquire()

    clock.advance(9.9)
    before = breaker.allow_request()
    clock.advance(0.1)
    after = breaker.allow_request()
    breaker.acquire()

    assert (False, True) == (before, after)
    assert [EventName.BREAKER_OPENED, EventName.BREAKER_HALF_OPENED, EventName.BREAKER_PROBE_LOST] == heard


@pytest.mark.parametrize("error", [None, ERROR])
def test_late_outcome_of_a_lost_probe_is_ignored(error: Exception | None) -> None:
    """R45: even before anybody else has asked for a permit."""
    clock = ManualClock()
    breaker = _ready_to_probe(clock)
    lost = breaker.acquire()
    clock.advance(10.0)

    if error is None:
        breaker.succeeded(lost)
    else:
        breaker.failed(lost, error)

    assert (CircuitState.HALF_OPEN, 1) == (breaker.state, breaker.late_outcomes)


def test_probe_that_reports_twice_counts_once() -> None:
    breaker = _ready_to_probe(ManualClock(), half_open_limit=2)
    probe = breaker.acquire()

    breaker.succeeded(probe)
    breaker.succeeded(probe)

    assert (CircuitState.HALF_OPEN, 1) == (breaker.state, breaker.late_outcomes)


def test_tripping_while_half_open_opens_as_a_failed_probe_would() -> None:
    breaker = _ready_to_probe(ManualClock())
    breaker.acquire()

    breaker.trip()

    assert (CircuitState.OPEN, 120.0) == (breaker.state, breaker.retry_after_s)
