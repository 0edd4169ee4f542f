"""SIGKILL at a chosen write or sync of the disk: what was acknowledged is there once, the rest wholly or not at all."""

from pathlib import Path

import pytest

from tests.chaos.play import found_out
from tests.chaos.rounds import KILL_POINTS, KillPoint, kill_round
from tests.chaos.shim import missing
from tests.e2e.ledger import Ledger

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

KEY_APART = """
import sqlite3, sys
from ttrpg_mcp.cli import main
from ttrpg_mcp.store.connection import Connection

honest = Connection.run

def insert(self, table, row, /):
    if table == "answer" and "campaign_id" in row:  # the key in a transaction of its own
        honest(self, "RELEASE unit")
        honest(self, "COMMIT")
        honest(self, "BEGIN IMMEDIATE")
        honest(self, "SAVEPOINT unit")
    return whole(self, table, row)

whole = Connection.insert
Connection.insert = insert
sys.exit(main())
"""


@pytest.mark.parametrize("point", KILL_POINTS[:8], ids=str)
async def test_kill_9_at_a_chosen_call_of_the_disk_loses_and_doubles_nothing(point: KillPoint, tmp_path: Path) -> None:
    """R34: the N-th write or sync of the log, also with half of the bytes written."""
    ledger = Ledger()

    fired = await kill_round(tmp_path, ledger, point)

    assert fired == 1
    assert [] == ledger.unanswered()
    assert [] == found_out(ledger, tmp_path / "data")


async def test_a_key_in_a_second_transaction_is_found_out(tmp_path: Path) -> None:
    """R34: the broken variant; some kill falls between its two commits, and the repeat rolls once more."""
    found: list[str] = []
    for number in range(1, 9):
        ledger = Ledger()
        folder = tmp_path / str(number)
        await kill_round(folder, ledger, KillPoint("sync", number), program=("-c", KEY_APART))
        found += found_out(ledger, folder / "data")
        if found:
            break

    assert "2 times in the log" in " ".join(found) or "0 stored answers" in " ".join(found)
