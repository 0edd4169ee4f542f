"""Stand-ins for answers."""

import anyio
import pytest

from ttrpg_mcp.recovery.errors import BulkheadFull
from ttrpg_mcp.recovery.events import Events
from ttrpg_mcp.recovery.fallback import Fallback
from ttrpg_mcp.recovery.fault import ErrorClass, EventName, RecoveryEvent
from ttrpg_mcp.recovery.testing import HANG, Flaky, ManualClock, flaky


def _fallback(
    clock: ManualClock, *stand_ins: Flaky[str], error_class: ErrorClass = ErrorClass.TRANSIENT
) -> Fallback[str]:
    actions = {f"stand-in {place}": _Action(stand_in) for place, stand_in in enumerate(stand_ins, start=1)}
    return Fallback(list(actions), actions, clock=clock, classify=lambda _error: error_class)


class _Action:
    """An action that ends as its script says, whatever the error."""

    def __init__(self, stand_in: Flaky[str]) -> None:
        self._stand_in = stand_in

    async def __call__(self, _error: Exception) -> str:
        return await self._stand_in()


@pytest.mark.parametrize(("names", "sentence"), [(["here", "gone"], "called gone"), ([], "needs a name")])
def test_names_are_resolved_when_it_is_made(names: list[str], sentence: str) -> None:
    """R09."""
    with pytest.raises(ValueError, match=sentence):
        Fallback(names, {"here": _Action(flaky("x"))}, clock=ManualClock())


async def test_answer_is_whatever_the_first_working_stand_in_returns() -> None:
    """R09."""
    second, third = flaky("second"), flaky("third")
    fallback = _fallback(ManualClock(), flaky(KeyError("first")), second, third)

    answer = await fallback.run(ConnectionError("gone"))

    assert ("second", 1, 0) == (answer, second.calls, third.calls)


async def test_refusals_are_answered_too() -> None:
    """R09."""
    assert "stale" == await _fallback(ManualClock(), flaky("stale")).run(BulkheadFull("x", 1.0))


@pytest.mark.parametrize("error_class", [ErrorClass.CALLER, ErrorClass.CRITICAL])
async def test_nothing_stands_in_for_the_caller_s_mistake_or_a_critical_error(error_class: ErrorClass) -> None:
    """R09."""
    stand_in, error = flaky("stale"), ValueError("wrong argument")

    with pytest.raises(ValueError, match="wrong argument") as caught:
        await _fallback(ManualClock(), stand_in, error_class=error_class).run(error)

    assert (error, 0) == (caught.value, stand_in.calls)


async def test_failing_stand_in_leaves_the_original_error_with_a_note() -> None:
    """R09."""
    error = ConnectionError("gone")

    with pytest.raises(ConnectionError) as caught:
        await _fallback(ManualClock(), flaky(KeyError("nothing stored"))).run(error)

    assert error is caught.value
    assert ["the fallback stand-in 1 failed as well: KeyError('nothing stored')"] == error.__notes__


async def test_all_stand_ins_together_have_half_a_second() -> None:
    """R09, R33."""
    clock, slow, late = ManualClock(), flaky(HANG), flaky("too late")
    error = ConnectionError("gone")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_turn, clock, 0.5, slow.started)
            with pytest.raises(ConnectionError):
                await _fallback(clock, slow, late).run(error)

    assert 2 == len(error.__notes__)


async def _turn(clock: ManualClock, seconds: float, started: anyio.Event) -> None:
    with anyio.fail_after(5):
        await started.wait()
    clock.advance(seconds)


async def test_cancellation_during_a_stand_in_passes() -> None:
    """R09."""
    stand_in, outcomes = flaky(HANG), list[str]()

    async def work() -> None:
        outcomes.append(await _fallback(ManualClock(), stand_in).run(ConnectionError("gone")))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await stand_in.started.wait()
            tasks.cancel_scope.cancel()

    assert ([], 0) == (outcomes, stand_in.running)


async def test_use_is_told() -> None:
    heard: list[RecoveryEvent] = []
    clock = ManualClock()
    events = Events(clock, [heard.append])
    fallback = Fallback(["stale"], {"stale": _Action(flaky("old"))}, clock=clock, events=events)

    await fallback.run(ConnectionError("gone"))

    assert [(EventName.FALLBACK_USED, "stale", "ConnectionError", True)] == [
        (event.name, event.outcome, event.error_code, event.handled) for event in heard
    ]
