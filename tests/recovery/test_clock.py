"""The real clock and the one turned by hand."""

import math
from datetime import UTC

import anyio
import pytest

from ttrpg_mcp.recovery.clock import SystemClock
from ttrpg_mcp.recovery.testing import HANG, FixedJitter, ManualClock, flaky


async def test_system_clock_knows_the_limits_around_the_caller() -> None:
    clock = SystemClock()

    without_s = clock.scope_remaining_s()
    with anyio.move_on_after(1000):
        await clock.sleep(0.0)
        with_s = clock.scope_remaining_s()

    assert math.inf == without_s
    assert 0 < with_s <= 1000


async def test_system_clock_tells_aware_utc_and_rising_seconds() -> None:
    clock = SystemClock()

    before = clock.monotonic()
    await clock.sleep(-1.0)

    assert before <= clock.monotonic()
    assert UTC is clock.wall().tzinfo


async def test_manual_clock_wakes_exactly_those_who_are_due() -> None:
    clock, woken = ManualClock(), list[float]()

    async def sleep(delay_s: float) -> None:
        await clock.sleep(delay_s)
        woken.append(delay_s)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for delay_s in (3.0, 1.0, 2.0):
                tasks.start_soon(sleep, delay_s)
            await clock.wait_for_sleepers(3)
            clock.advance(2.0)
            await anyio.wait_all_tasks_blocked()
            seen = list(woken)
            clock.advance(1.0)

    assert ([1.0, 2.0], [1.0, 2.0, 3.0]) == (seen, woken)


async def test_manual_clock_never_turns_back() -> None:
    with pytest.raises(ValueError, match="never goes back"):
        ManualClock().advance(-1.0)


async def test_manual_clock_forgets_limits_that_are_left() -> None:
    clock = ManualClock()

    with clock.limit(1.0):
        inside = len(clock.limits)

    assert (1, []) == (inside, clock.limits)


async def test_flaky_operation_follows_its_script_and_repeats_the_last_entry() -> None:
    operation = flaky(ConnectionError("gone"), 1, 2)

    with pytest.raises(ConnectionError):
        await operation()
    answers = [await operation() for _ in range(3)]

    assert ([1, 2, 2], 4) == (answers, operation.calls)


async def test_flaky_operation_can_hang_until_it_is_cancelled() -> None:
    operation = flaky(HANG)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(operation)
            await operation.started.wait()
            running = operation.running
            tasks.cancel_scope.cancel()

    assert (1, 0) == (running, operation.running)


@pytest.mark.parametrize("numbers", [(), (1.0,), (-0.1,)])
def test_jitter_outside_of_its_range_is_refused(numbers: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        FixedJitter(*numbers)
