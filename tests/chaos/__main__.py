"""The long run: `python -m tests.chaos [--rounds N] [--kills N] [--points N] [--seed N]`.

Every kill point of the disk, N random faults of it, and N times SIGKILL under concurrent writers; after each one the
ledger is held against the files. Ends with 1 at the first promise that is not kept, and leaves its folder.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TypeAlias

from tests.chaos.play import found_out
from tests.chaos.rounds import KILL_POINTS, fault_round, kill_loop, kill_round, random_fault
from tests.chaos.shim import missing
from tests.e2e.ledger import Ledger

Round: TypeAlias = Callable[[Path, Ledger], Awaitable[object]]


def main() -> int:
    """Run what is asked for, one line a kind; the exit code."""
    asked = _asked()
    print(f"seed {asked.seed}")
    chance = random.Random(asked.seed)
    kinds: list[tuple[str, Iterable[Round]]] = []
    if why := missing():
        print(f"no faults of the disk: {why}")
    else:
        faults = [random_fault(chance) for _ in range(asked.rounds)]
        kinds += [
            ("SIGKILL at a chosen write or sync", [partial(kill_round, point=p) for p in KILL_POINTS[: asked.points]]),
            ("the disk refuses for a while", [partial(fault_round, fault=fault) for fault in faults]),
        ]
    if asked.kills:
        kinds.append(
            (f"{asked.kills} times SIGKILL under writers", [partial(kill_loop, kills=asked.kills, chance=chance)])
        )
    return 0 if all(asyncio.run(_all_kept(name, rounds)) for name, rounds in kinds) else 1


async def _all_kept(name: str, rounds: Iterable[Round]) -> bool:
    """Run the rounds of one kind, each in its own folder; whether every promise was kept."""
    number = acknowledged = 0
    for number, run in enumerate(rounds, 1):
        folder, ledger = Path(tempfile.mkdtemp(prefix="chaos-")), Ledger()
        try:
            await run(folder, ledger)
            found = found_out(ledger, folder / "data")
        except Exception as error:  # noqa: BLE001 - named border: the round's number and folder say where to look
            found = [f"{type(error).__name__}: {error}"]
        if found or ledger.unanswered():
            print(f"{name}: round {number} in {folder}", *found, *ledger.unanswered(), sep="\n  ")
            return False
        acknowledged += len(ledger.acknowledged)
        shutil.rmtree(folder)
    print(f"{name}: {number} rounds, {acknowledged} acknowledged rolls, 0 lost, 0 doubled", flush=True)
    return True


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="random faults of the disk")
    parser.add_argument("--kills", type=int, default=100, help="SIGKILLs under concurrent writers")
    parser.add_argument("--points", type=int, default=len(KILL_POINTS), help="kill points, from the first")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
