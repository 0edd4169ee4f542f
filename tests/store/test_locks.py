import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from tests.store.helpers import until
from ttrpg_mcp.play.errors import StoreBusy
from ttrpg_mcp.recovery.testing import ManualClock
from ttrpg_mcp.store.locks import FileLock

HOLDER = """
import fcntl, sys
lock = open(sys.argv[1], "r+")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def hold(path: Path) -> subprocess.Popen[bytes]:
    """A process that has the lock of that file."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


async def test_one_at_a_time(tmp_path: Path) -> None:
    clock = ManualClock()
    first, second = FileLock("x", tmp_path / "a.db", clock), FileLock("x", tmp_path / "a.db", clock)
    order: list[str] = []

    async def wait_for_it() -> None:
        async with second.held():
            order.append("second")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            async with first.held():
                group.start_soon(wait_for_it)
                await clock.wait_for_sleepers()
                order.append("first")
            clock.advance(0.02)
    first.close()
    second.close()

    assert ["first", "second"] == order


async def test_pauses_grow_from_1_to_20_ms_until_2_s_are_over(tmp_path: Path) -> None:
    clock = ManualClock(skips_sleeps=True)
    first, second = FileLock("x", tmp_path / "a.db", clock), FileLock("x", tmp_path / "a.db", clock)

    async with first.held():
        with pytest.raises(StoreBusy):
            async with second.held():
                pass
    first.close()
    second.close()

    assert [0.001, 0.002, 0.004, 0.008, 0.016, 0.020, 0.020] == clock.sleeps_s[:7]
    assert 2.0 <= sum(clock.sleeps_s) < 2.03


async def test_who_had_it_waits_behind_who_waits_for_it(tmp_path: Path) -> None:
    clock = ManualClock()
    greedy, patient = FileLock("x", tmp_path / "a.db", clock), FileLock("x", tmp_path / "a.db", clock)
    order: list[str] = []

    async def want(lock: FileLock, name: str) -> None:
        async with lock.held():
            order.append(name)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            async with greedy.held():
                group.start_soon(want, patient, "patient")
                await clock.wait_for_sleepers(1)
            group.start_soon(want, greedy, "greedy")  # it comes first, while the other still sleeps
            await clock.wait_for_sleepers(2)
            clock.advance(0.02)
            await until(lambda: len(order) == 2 or bool(clock.sleepers))
            clock.advance(0.02)
    greedy.close()
    patient.close()

    assert ["patient", "greedy"] == order


async def test_the_kernel_frees_the_lock_of_a_killed_process(tmp_path: Path) -> None:
    lock = FileLock("x", tmp_path / "a.db", ManualClock(skips_sleeps=True))
    holder = hold(tmp_path / "a.lock")
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert b"held\n" == holder.stdout.readline()

    with pytest.raises(StoreBusy):
        async with lock.held():
            pass
    holder.kill()
    holder.wait(5)
    async with lock.held():
        pass

    holder.stdin.close()
    holder.stdout.close()
    lock.close()


async def test_closing_twice_is_fine(tmp_path: Path) -> None:
    lock = FileLock("x", tmp_path / "a.db", ManualClock())

    lock.close()
    lock.close()
