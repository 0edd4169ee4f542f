"""The time of day jumps, while the server runs and between two runs: order, keys and numbers do not notice."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from tests.fakes import facts_of, make_server
from ttrpg_mcp.recovery.testing import ManualClock

HOUR_S = 3600.0
JUMPS_S = (25 * HOUR_S, -48 * HOUR_S, 400 * 24 * HOUR_S)


class Table:
    """A server that is started again when the test says so, on one clock."""

    def __init__(self, folder: Path, clock: ManualClock, *, restarts: bool) -> None:
        self._folder = folder
        self._clock = clock
        self._restarts = restarts
        self._running = AsyncExitStack()
        self.client: Client | None = None

    async def jump(self, seconds: float) -> None:
        """Turn the time of day; with a restart the server does not see it happen."""
        if self._restarts:
            await self.close()
        self._clock.jump_wall(seconds)

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The facts of a call."""
        if self.client is None:
            server = make_server(self._folder, clock=self._clock)
            self.client = await self._running.enter_async_context(Client(server, mode="2026-07-28"))
        return facts_of(await self.client.call_tool(tool, arguments))

    async def roll(self, key: str) -> dict[str, Any]:
        """A roll under that key."""
        facts = await self.call("dice_roll", expression="1d1000000", label=key, request_key=key)
        facts.pop("notices", None)
        return facts

    async def close(self) -> None:
        """Stop the server."""
        self.client = None
        await self._running.aclose()


@pytest.mark.parametrize("restarts", [False, True], ids=["live", "over a restart"])
async def test_a_jump_of_the_clock_changes_neither_order_nor_keys(restarts: bool, tmp_path: Path) -> None:
    """R34: +25 hours, -2 days, +400 days."""
    table = Table(tmp_path, ManualClock(), restarts=restarts)
    keys = [f"k{number}" for number in range(len(JUMPS_S) + 1)]
    told = {keys[0]: await table.roll(keys[0])}
    for key, seconds in zip(keys[1:], JUMPS_S, strict=True):
        await table.jump(seconds)
        told[key] = await table.roll(key)

    repeated = {key: await table.roll(key) for key in keys}
    shown = (await table.call("history_show"))["rolls"]
    await table.close()

    assert {key: facts | {"replayed": True} for key, facts in told.items()} == repeated
    assert [(key, number) for number, key in enumerate(keys, 1)][::-1] == [
        (row["label"], row["roll_number"]) for row in shown
    ]
