"""Admission: who is inside, and how everybody leaves."""

import anyio
import pytest

from ttrpg_mcp.recovery.admission import Admission
from ttrpg_mcp.recovery.errors import AdmissionClosed
from ttrpg_mcp.recovery.testing import ManualClock


async def test_a_closed_door_lets_nobody_in() -> None:
    """R32."""
    admission = Admission(ManualClock())
    await admission.close(drain_s=2, cancel_s=2)

    with pytest.raises(AdmissionClosed) as caught, admission.enter():
        raise AssertionError("inside")

    assert 2.0 == caught.value.retry_after_s
    assert 0 == admission.running


async def test_closing_waits_for_who_is_inside() -> None:
    """R32."""
    admission = Admission(ManualClock())
    leave, left = anyio.Event(), []

    async def work() -> None:
        with admission.enter():
            await leave.wait()
            left.append("work")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(lambda: admission.close(drain_s=2, cancel_s=2))
            await anyio.wait_all_tasks_blocked()
            running_meanwhile = admission.running
            leave.set()

    assert (1, ["work"], 0) == (running_meanwhile, left, admission.running)


async def test_who_outlasts_the_drain_is_cancelled_and_told_so() -> None:
    """R32: also with a call that never ends."""
    clock = ManualClock()
    admission = Admission(clock)
    told = []

    async def endless() -> None:
        try:
            with admission.enter():
                await anyio.sleep_forever()
        except AdmissionClosed as error:
            told.append(error.retry_after_s)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(endless)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(lambda: admission.close(drain_s=2, cancel_s=2))
            await anyio.wait_all_tasks_blocked()
            clock.advance(2)

    assert [2.0] == told


async def test_shielded_work_finishes_in_the_second_wait() -> None:
    """R34: a commit under way ends first."""
    clock = ManualClock()
    admission = Admission(clock)
    commit, finished = anyio.Event(), []

    async def write() -> None:
        with admission.enter(), anyio.CancelScope(shield=True):
            await commit.wait()
            finished.append("committed")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(lambda: admission.close(drain_s=1, cancel_s=1))
            await anyio.wait_all_tasks_blocked()
            clock.advance(1)
            await anyio.wait_all_tasks_blocked()
            commit.set()

    assert ["committed"] == finished


async def test_the_callers_own_cancellation_passes_as_it_is() -> None:
    admission = Admission(ManualClock())

    with anyio.CancelScope() as scope, admission.enter():
        scope.cancel()
        await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert 0 == admission.running
