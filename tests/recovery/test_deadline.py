"""Time limits: whose limit ended the work?"""

import anyio
import anyio.lowlevel
import pytest

from ttrpg_mcp.recovery.clock import SystemClock
from ttrpg_mcp.recovery.deadline import Deadline, current_deadline, nearest, within
from ttrpg_mcp.recovery.errors import DeadlineExceeded, DeadlineScope
from ttrpg_mcp.recovery.testing import HANG, Flaky, ManualClock, flaky


async def _turn(clock: ManualClock, seconds: float, started: anyio.Event) -> None:
    with anyio.fail_after(5):
        await started.wait()
    clock.advance(seconds)


async def _exceed(clock: ManualClock, seconds: float, outer_s: float | None, inner_s: float) -> DeadlineExceeded:
    """What comes out of two nested limits around work that hangs."""
    operation: Flaky[None] = flaky(HANG)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_turn, clock, seconds, operation.started)
            with pytest.raises(DeadlineExceeded) as caught:
                await _nested(clock, outer_s, inner_s, operation)
    return caught.value


async def _nested(clock: ManualClock, outer_s: float | None, inner_s: float, operation: Flaky[None]) -> None:
    with within(clock, outer_s, "total"), within(clock, inner_s, "attempt"):
        await operation()


@pytest.mark.parametrize(
    ("outer_s", "inner_s", "turned_s", "scope", "limit_s"),
    [
        (None, 1.0, 1.0, "attempt", 1.0),
        (4.0, 1.0, 1.0, "attempt", 1.0),
        (1.0, 4.0, 1.0, "total", 1.0),
        (1.0, 1.0, 1.0, "total", 1.0),
        (2.0, 1.0, 9.0, "total", 2.0),
    ],
)
async def test_passed_limit_says_whose_it_was(
    outer_s: float | None, inner_s: float, turned_s: float, scope: DeadlineScope, limit_s: float
) -> None:
    """R09: a limit inside a limit never has more time than its parent."""
    exceeded = await _exceed(ManualClock(), turned_s, outer_s, inner_s)

    assert (scope, limit_s) == (exceeded.scope, exceeded.limit_s)


async def test_inner_timeout_error_stays_what_it_is() -> None:
    """R09: also when our own limit passes in the same moment."""
    clock, inner = ManualClock(), TimeoutError("the socket's own limit")

    async def work() -> None:
        clock.advance(1.0)
        raise inner

    with pytest.raises(TimeoutError) as caught, within(clock, 1.0, "attempt"):
        await work()

    assert inner is caught.value


async def test_cancellation_by_the_caller_passes_unchanged() -> None:
    """R09."""
    clock, operation = ManualClock(), flaky(HANG)
    seen: list[type[BaseException]] = []

    async def work() -> None:
        try:
            with within(clock, 1.0, "attempt"):
                await operation()
        except BaseException as error:
            seen.append(type(error))
            raise

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await operation.started.wait()
            tasks.cancel_scope.cancel()

    assert [anyio.get_cancelled_exc_class()] == seen


async def test_shielded_work_that_ended_late_keeps_its_result() -> None:
    """A commit that was written is not turned into a timeout."""
    clock = ManualClock()

    async def commit() -> str:
        with anyio.CancelScope(shield=True):
            clock.advance(9.0)
            await anyio.lowlevel.checkpoint()
        return "committed"

    with anyio.fail_after(5), within(clock, 1.0, "total"):
        result = await commit()

    assert "committed" == result


async def test_shielded_limit_has_its_own_time_although_the_outer_one_is_over() -> None:
    clock = ManualClock()

    with anyio.fail_after(5), within(clock, 1.0, "total"):
        clock.advance(9.0)
        with within(clock, 2.0, "attempt", shield=True):
            await anyio.lowlevel.checkpoint()
            remaining_s = _remaining_s()

    assert 2.0 == remaining_s


async def test_spent_limit_ends_the_work_at_its_first_await() -> None:
    with anyio.fail_after(5), pytest.raises(DeadlineExceeded), within(ManualClock(), 0.0, "attempt"):
        await anyio.lowlevel.checkpoint()


def _remaining_s() -> float | None:
    deadline = current_deadline()
    return None if deadline is None else deadline.remaining_s()


async def test_current_deadline_is_the_innermost_and_comes_back() -> None:
    """R09."""
    clock = ManualClock()

    seen = [_remaining_s()]
    with within(clock, 3.0, "total"):
        seen.append(_remaining_s())
        with within(clock, 1.0, "attempt"):
            seen.append(_remaining_s())
        with within(clock, 9.0, "attempt"):
            seen.append(_remaining_s())
        with within(clock, None, "attempt"):
            seen.append(_remaining_s())
    seen.append(_remaining_s())

    assert [None, 3.0, 1.0, 3.0, 3.0, None] == seen


async def test_nearest_is_the_earlier_of_two() -> None:
    clock = ManualClock()
    early, late = Deadline.after(1.0, clock), Deadline.after(9.0, clock)

    with within(clock, 3.0, "total"):
        around = current_deadline()
        seen = [nearest(early), nearest(late), nearest(None)]

    assert [early, around, around] == seen


def test_deadline_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a number"):
        Deadline(float("nan"), ManualClock())


async def test_system_clock_ends_work_that_has_no_time_left() -> None:
    """R09: the same with the real clock, and without waiting."""
    with anyio.fail_after(5), pytest.raises(DeadlineExceeded), within(SystemClock(), 0.0, "attempt"):
        await anyio.sleep_forever()
