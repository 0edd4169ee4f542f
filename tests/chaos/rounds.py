"""One round each of the long run, which the tests share with `python -m tests.chaos`."""

import errno
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import anyio

from tests.chaos.play import PRODUCT, WAL, back, found_out, on_disk, resend, roll_once, volley
from tests.chaos.shim import Calls, Mode, failing_disk
from tests.e2e.ledger import Ledger

__all__ = ["FAULTS", "KILL_POINTS", "Fault", "KillPoint", "fault_round", "kill_loop", "kill_round", "random_fault"]

_WRITERS = 8
_MOST_ANSWERS = 12  # between two kills
_KILLED = {
    "write": (Mode.KILL, Calls.WRITES),
    "torn": (Mode.TEAR, Calls.WRITES),
    "sync": (Mode.KILL, Calls.SYNCS),
}


@dataclass(frozen=True, slots=True)
class KillPoint:
    """Where the process dies: at the N-th call of that kind on the log, 1 is the first after the fault was armed."""

    call: Literal["write", "torn", "sync"]
    number: int

    def __str__(self) -> str:
        return f"{self.call}-{self.number}"


@dataclass(frozen=True, slots=True)
class Fault:
    """What the disk does to calls on files that end so; count is how many calls, 0 until it is lifted."""

    name: str
    mode: Mode
    calls: Calls
    error: int
    suffixes: str = WAL
    first: int = 1
    count: int = 0

    def __str__(self) -> str:
        return self.name


# The first eight stand for all in the usual run; the long run takes every one.
KILL_POINTS: Sequence[KillPoint] = (
    *(KillPoint("write", number) for number in (1, 6, 11)),
    *(KillPoint("torn", number) for number in (1, 7)),
    *(KillPoint("sync", number) for number in (1, 6, 11)),
    *(KillPoint(call, number) for number in range(2, 41) for call in ("write", "torn", "sync")),
)
FAULTS: Sequence[Fault] = (
    Fault("EIO on sync", Mode.FAIL, Calls.SYNCS, errno.EIO),
    Fault("EIO on write", Mode.FAIL, Calls.WRITES, errno.EIO),
    Fault("ENOSPC on write", Mode.FAIL, Calls.WRITES, errno.ENOSPC),
    Fault("EROFS on write", Mode.FAIL, Calls.WRITES, errno.EROFS),
    Fault("short write", Mode.SHORT, Calls.WRITES, errno.ENOSPC),
)


def random_fault(chance: random.Random) -> Fault:
    """A fault of the log, of the main files, of the journal or of all of them, that begins and ends somewhere."""
    kind = chance.choice(FAULTS)
    suffixes = chance.choice([WAL, "campaign.db", ".jsonl", ".db-wal,.db,.jsonl"])
    first, count = chance.randint(1, 12), chance.choice([0, 1, 2, 5, 20])
    name = f"{kind.name} {first}, {count or 'all'} calls on {suffixes}"
    return Fault(name, kind.mode, kind.calls, kind.error, suffixes, first, count)


async def kill_round(folder: Path, ledger: Ledger, point: KillPoint, *, program: Sequence[str] = PRODUCT) -> int:
    """Roll until the disk kills the server at that point, start it again and ask for the rest; how often it struck."""
    with failing_disk(folder) as disk:
        async with on_disk(folder / "data", disk, program=program) as server:
            await roll_once(server, ledger, f"{point}-before")
            mode, calls = _KILLED[point.call]
            disk.arm(mode, calls, WAL, first=point.number, count=1)
            await volley(server, ledger, str(point), _WRITERS)
            await server.exit_code()
        fired = disk.fired
    await _settled(folder / "data", ledger, program)
    return fired


async def fault_round(folder: Path, ledger: Ledger, fault: Fault) -> None:
    """Roll while the disk refuses, wait until play returns by itself, and ask for the rest."""
    with failing_disk(folder) as disk:
        async with on_disk(folder / "data", disk) as server:
            await roll_once(server, ledger, "before")
            disk.arm(fault.mode, fault.calls, fault.suffixes, error=fault.error, first=fault.first, count=fault.count)
            await volley(server, ledger, "during", _WRITERS, rolls=5)
            disk.lift()
            await back(server, ledger)
            await resend(server, ledger)
            await server.kill()
    await _settled(folder / "data", ledger, PRODUCT)


async def kill_loop(folder: Path, ledger: Ledger, kills: int, chance: random.Random) -> None:
    """So many times: start, ask for what is open, roll with all writers, die in their midst; look into the file."""
    for number in range(1, kills + 1):
        async with on_disk(folder / "data", None) as server:
            await resend(server, ledger)
            async with anyio.create_task_group() as tasks:
                answers = len(server.order) + chance.randint(1, _MOST_ANSWERS)
                tasks.start_soon(volley, server, ledger, f"kill-{number}", _WRITERS)
                await server.answered(answers)
                await server.kill()
        if found := found_out(ledger, folder / "data"):
            raise AssertionError(f"after kill {number}: {found}")
    await _settled(folder / "data", ledger, PRODUCT)


async def _settled(data: Path, ledger: Ledger, program: Sequence[str]) -> None:
    """A new server on a sound disk is asked for everything that is open, and ends."""
    async with on_disk(data, None, program=program) as server:
        await resend(server, ledger)
        await server.close_input()
        await server.exit_code(20)
