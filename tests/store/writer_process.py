"""A process that rolls dice in a campaign: `python -m tests.store.writer_process DATA NAME COUNT`.

It prints the call id, the `seq` and the number of each roll once it is told that the roll is saved. COUNT 0 goes on
until it is killed.
"""

import sys
from itertools import count
from pathlib import Path

import anyio

from tests.store.helpers import a_call, roll
from ttrpg_mcp.recovery.clock import SystemClock
from ttrpg_mcp.store.store import SqliteStore

CALLERS = 100


async def main(data: Path, name: str, total: int) -> None:
    store = SqliteStore(data, SystemClock())
    await store.open()
    numbers = iter(range(total)) if total else count()

    async def caller() -> None:
        for number in numbers:
            call_id = f"{name}-{number}"
            entry = await store.write(a_call(call_id, key=call_id), roll)
            print(call_id, entry.seq, entry.number, flush=True)

    async with anyio.create_task_group() as group:
        for _ in range(CALLERS):
            group.start_soon(caller)
    await store.close()


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
