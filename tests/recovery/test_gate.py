"""The policies around a whole operation."""

from typing import Any

import anyio
import pytest

from ttrpg_mcp.recovery.bulkhead import Bulkheads
from ttrpg_mcp.recovery.context import OperationContext, current_operation
from ttrpg_mcp.recovery.deadline import Deadline, current_deadline
from ttrpg_mcp.recovery.errors import BulkheadFull, DeadlineExceeded
from ttrpg_mcp.recovery.events import Events
from ttrpg_mcp.recovery.fallback import Fallback
from ttrpg_mcp.recovery.fault import EventName, RecoveryEvent
from ttrpg_mcp.recovery.pipeline import Gate
from ttrpg_mcp.recovery.testing import HANG, Flaky, ManualClock, flaky

OPERATION = OperationContext("look", compartment="c1")


def _naming_the_error(clock: ManualClock) -> Fallback[Any]:
    async def stale(error: Exception) -> str:
        return f"stale after {type(error).__name__}"

    return Fallback(["stale"], {"stale": stale}, clock=clock)


async def _turn(clock: ManualClock, seconds: float, started: anyio.Event) -> None:
    with anyio.fail_after(5):
        await started.wait()
    clock.advance(seconds)


async def _time_out(gate: Gate, clock: ManualClock, seconds: float, operation: OperationContext = OPERATION) -> str:
    call: Flaky[str] = flaky(HANG)
    outcome = "none"
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_turn, clock, seconds, call.started)
            try:
                outcome = await gate.run(operation, call)
            except DeadlineExceeded as error:
                outcome = f"{error.scope} {error.limit_s}"
    return outcome


async def test_gate_passes_results_and_errors_as_they_are() -> None:
    gate, error = Gate(clock=ManualClock(), total_s=4.5, bulkheads=Bulkheads(8, 256)), KeyError("x")

    answer = await gate.run(OPERATION, flaky("answer"))
    with pytest.raises(KeyError) as caught:
        await gate.run(OPERATION, flaky(error))

    assert ("answer", error) == (answer, caught.value)


async def test_operation_and_its_deadline_are_current_inside_and_only_there() -> None:
    clock = ManualClock()

    async def look() -> tuple[OperationContext | None, Deadline | None]:
        return current_operation(), current_deadline()

    inside = await Gate(clock=clock, total_s=4.5).run(OPERATION, look)

    assert (OPERATION, Deadline.after(4.5, clock)) == inside
    assert (None, None) == await look()


async def test_total_limit_ends_the_operation() -> None:
    """R09, R33."""
    clock = ManualClock()

    assert "total 4.5" == await _time_out(Gate(clock=clock, total_s=4.5), clock, 4.5)


async def test_earlier_deadline_of_the_operation_counts() -> None:
    """R09."""
    clock = ManualClock()
    operation = OperationContext("look", deadline=Deadline.after(2.0, clock))

    assert "total 2.0" == await _time_out(Gate(clock=clock, total_s=4.5), clock, 2.0, operation)


async def test_fallback_answers_when_the_time_is_over() -> None:
    """R09."""
    clock = ManualClock()
    gate = Gate(clock=clock, total_s=4.5, fallback=_naming_the_error(clock))

    assert "stale after DeadlineExceeded" == await _time_out(gate, clock, 4.5)


async def test_fallback_answers_a_refusal_too() -> None:
    """R05, R09."""
    clock, bulkheads = ManualClock(), Bulkheads(1, 0)
    gate = Gate(clock=clock, bulkheads=bulkheads, fallback=_naming_the_error(clock))
    await bulkheads.of("c1").acquire()

    assert "stale after BulkheadFull" == await gate.run(OPERATION, flaky("answer"))


async def test_cancellation_gets_no_fallback() -> None:
    """R09."""
    clock, call, answers = ManualClock(), flaky(HANG), list[str]()
    gate = Gate(clock=clock, total_s=4.5, fallback=_naming_the_error(clock))

    async def work() -> None:
        answers.append(await gate.run(OPERATION, call))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await call.started.wait()
            tasks.cancel_scope.cancel()

    assert ([], []) == (answers, clock.limits)


async def test_waiting_at_the_gate_counts_against_the_total() -> None:
    """R05, R09."""
    clock, bulkheads = ManualClock(), Bulkheads(1, 9)
    gate = Gate(clock=clock, total_s=4.5, bulkheads=bulkheads)
    await bulkheads.of("c1").acquire()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_turn_once_waiting, clock)
            with pytest.raises(DeadlineExceeded):
                await gate.run(OPERATION, flaky("answer"))

    assert (1, 0) == (bulkheads["c1"].in_use, bulkheads["c1"].waiting)


async def _turn_once_waiting(clock: ManualClock) -> None:
    await anyio.wait_all_tasks_blocked()
    clock.advance(4.5)


async def test_flooded_compartment_refuses_while_others_and_those_without_one_pass() -> None:
    """R05."""
    bulkheads = Bulkheads(1, 0)
    gate = Gate(clock=ManualClock(), bulkheads=bulkheads)
    await bulkheads.of("c1").acquire()

    with pytest.raises(BulkheadFull):
        await gate.run(OPERATION, flaky("answer"))
    answers = [await gate.run(OperationContext("look", compartment=key), flaky("answer")) for key in ("c2", "")]

    assert ["answer", "answer"] == answers


async def test_passed_total_is_told_once() -> None:
    """R09."""
    heard: list[RecoveryEvent] = []
    clock = ManualClock()

    await _time_out(Gate(clock=clock, total_s=4.5, events=Events(clock, [heard.append])), clock, 4.5)

    assert [(EventName.TIMEOUT, "look", "total", 4.5)] == [
        (event.name, event.operation, event.outcome, event.duration_s) for event in heard
    ]
