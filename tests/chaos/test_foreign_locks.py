"""Another program holds the campaign for three seconds: a safe refusal or a late answer, and nothing is lost."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import anyio
import pytest

from tests.chaos.play import found_out, on_disk, resend, roll_once, volley
from tests.e2e.ledger import Ledger
from tests.e2e.servers import campaign_file, held_database, held_lock

HELD_S = 3.0
WRITERS = 8


@pytest.mark.parametrize("held", [held_database, held_lock], ids=["write transaction", "operating system's lock"])
async def test_a_foreign_lock_is_waited_for_or_refused_and_nothing_happens_twice(
    held: Callable[[Path], AbstractContextManager[None]], tmp_path: Path
) -> None:
    """R24, R29, R42: contention is no fault of the disk, so the campaign never gets read-only."""
    ledger = Ledger()
    async with on_disk(tmp_path, None) as server:
        await roll_once(server, ledger, "before")
        with held(campaign_file(tmp_path)):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(volley, server, ledger, "during", WRITERS, 1)
                await anyio.sleep(HELD_S)
            shown = await server.call("history_show")
            health = await server.call("status_show", detail="health")
        refused = set(ledger.refused.values())
        await resend(server, ledger)
        await server.close_input()
        await server.exit_code(20)

    assert {"BUSY", "MCP_TIMEOUT"} >= refused
    assert refused
    assert {} == ledger.unrecorded
    assert ["before"] == [row["label"] for row in shown["rolls"]]
    assert [] == health["read_only"]
    assert [] == ledger.unanswered()
    assert [] == found_out(ledger, tmp_path)
