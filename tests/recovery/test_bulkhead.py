"""Slots and queues."""

from collections.abc import Callable

import anyio
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ttrpg_mcp.recovery.bulkhead import Bulkhead, Bulkheads
from ttrpg_mcp.recovery.errors import BulkheadFull
from ttrpg_mcp.recovery.events import Events
from ttrpg_mcp.recovery.fault import EventName, RecoveryEvent
from ttrpg_mcp.recovery.testing import HANG, Flaky, ManualClock, flaky


async def _hold(bulkhead: Bulkhead, operation: Flaky[None]) -> None:
    async with bulkhead:
        await operation()


async def _note(bulkhead: Bulkhead, number: int, order: list[int]) -> None:
    async with bulkhead:
        order.append(number)


async def test_free_slot_is_taken_without_waiting() -> None:
    bulkhead = Bulkhead("x", 2, 0)

    taken = [bulkhead.try_acquire() for _ in range(3)]

    assert ([True, True, False], 2) == (taken, bulkhead.in_use)


async def test_call_265_is_refused_at_once() -> None:
    """R05: 8 run, 256 wait, and one more has no room."""
    bulkhead, operation = Bulkhead("x", 8, 256, retry_after_s=1.5), flaky(HANG)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(264):
                tasks.start_soon(_hold, bulkhead, operation)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(BulkheadFull) as caught:
                await bulkhead.acquire()
            counts = (bulkhead.in_use, bulkhead.waiting, operation.running)
            tasks.cancel_scope.cancel()

    assert (8, 256, 8) == counts
    assert ("x", 1.5) == (caught.value.key, caught.value.retry_after_s)


async def test_waiters_are_served_in_their_order() -> None:
    """R05."""
    bulkhead, order = Bulkhead("x", 1, 9), list[int]()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            await bulkhead.acquire()
            for number in range(5):
                tasks.start_soon(_note, bulkhead, number, order)
            await anyio.wait_all_tasks_blocked()
            bulkhead.release()

    assert [0, 1, 2, 3, 4] == order


async def test_newcomer_cannot_take_a_slot_that_was_freed_for_a_waiter() -> None:
    """R05: the slot is handed over, it is not up for grabs."""
    bulkhead, order = Bulkhead("x", 1, 9), list[int]()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            await bulkhead.acquire()
            tasks.start_soon(_note, bulkhead, 1, order)
            await anyio.wait_all_tasks_blocked()
            bulkhead.release()
            barged = bulkhead.try_acquire()

    assert (False, [1], True) == (barged, order, bulkhead.is_idle)


async def test_cancelled_waiter_leaves_the_queue() -> None:
    """R05."""
    bulkhead, order = Bulkhead("x", 1, 9), list[int]()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            await bulkhead.acquire()
            async with anyio.create_task_group() as impatient:
                impatient.start_soon(_note, bulkhead, 1, order)
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(_note, bulkhead, 2, order)
                await anyio.wait_all_tasks_blocked()
                impatient.cancel_scope.cancel()
            bulkhead.release()

    assert ([2], True) == (order, bulkhead.is_idle)


@pytest.mark.parametrize(("first", "served"), [("hand over", [1, 2]), ("cancel", [2])])
async def test_slot_handed_to_a_waiter_cancelled_in_the_same_instant_is_passed_on(
    first: str, served: list[int]
) -> None:
    """R05: else the slot is lost for ever. A waiter that was woken before it was cancelled still runs."""
    bulkhead, order = Bulkhead("x", 1, 9), list[int]()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            await bulkhead.acquire()
            async with anyio.create_task_group() as impatient:
                impatient.start_soon(_note, bulkhead, 1, order)
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(_note, bulkhead, 2, order)
                await anyio.wait_all_tasks_blocked()
                steps: list[Callable[[], None]] = [bulkhead.release, impatient.cancel_scope.cancel]
                for step in steps if first == "hand over" else reversed(steps):
                    step()

    assert (served, True) == (order, bulkhead.is_idle)


async def test_failing_work_gives_its_slot_back() -> None:
    bulkhead = Bulkhead("x", 1, 0)

    with pytest.raises(KeyError):
        await _hold(bulkhead, flaky(KeyError()))

    assert bulkhead.is_idle


def test_slot_that_nobody_took_cannot_come_back() -> None:
    with pytest.raises(RuntimeError, match="nobody had taken"):
        Bulkhead("x", 1, 0).release()


@pytest.mark.parametrize(("slots", "queue"), [(0, 1), (1, -1), (True, 1)])
def test_impossible_sizes_are_refused(slots: int, queue: int) -> None:
    with pytest.raises(ValueError, match="must be a whole number"):
        Bulkheads(slots, queue)


async def test_queueing_and_refusing_are_told() -> None:
    heard: list[RecoveryEvent] = []
    bulkhead = Bulkhead("x", 1, 1, events=Events(ManualClock(), [heard.append]))
    await bulkhead.acquire()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bulkhead.acquire)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(BulkheadFull):
                await bulkhead.acquire()
            bulkhead.release()

    assert [(EventName.BULKHEAD_QUEUED, "x", None), (EventName.BULKHEAD_REJECTED, "x", 1.0)] == [
        (event.name, event.dependency, event.retry_after_s) for event in heard
    ]


async def test_busy_compartment_leaves_the_others_free() -> None:
    """R05."""
    bulkheads = Bulkheads(1, 0)
    await bulkheads.of("flooded").acquire()

    with pytest.raises(BulkheadFull):
        await bulkheads.of("flooded").acquire()

    assert bulkheads.of("quiet").try_acquire()


def test_only_idle_compartments_make_room_for_new_ones() -> None:
    """R05."""
    bulkheads = Bulkheads(1, 0, max_keys=2)
    busy = bulkheads.of("busy")
    busy.try_acquire()

    for key in ("idle", "new", "newer"):
        bulkheads.of(key)

    assert ["busy", "newer"] == list(bulkheads)
    assert busy is bulkheads.of("busy")


def test_no_room_for_a_new_compartment_is_a_full_bulkhead() -> None:
    bulkheads = Bulkheads(1, 0, max_keys=1)
    bulkheads.of("busy").try_acquire()

    with pytest.raises(BulkheadFull):
        bulkheads.of("new")


class _Counts(RuleBasedStateMachine):
    """However slots are taken and given back, they add up."""

    def __init__(self) -> None:
        super().__init__()
        self.bulkhead = Bulkhead("x", 3, 0)
        self.taken = 0

    @rule(times=st.integers(1, 4))
    def take(self, times: int) -> None:
        self.taken += sum(self.bulkhead.try_acquire() for _ in range(times))

    @precondition(lambda self: self.taken > 0)
    @rule()
    def give_back(self) -> None:
        self.bulkhead.release()
        self.taken -= 1

    @invariant()
    def counts_agree(self) -> None:
        assert self.taken == self.bulkhead.in_use <= 3
        assert (self.taken == 0) == self.bulkhead.is_idle


test_slots_add_up = settings(max_examples=25, stateful_step_count=20, deadline=None)(_Counts).TestCase
