"""The disk refuses for a while and is well again: reading goes on, nothing is doubled, and play returns by itself."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

from tests.chaos.play import WAL, back, found_out, on_disk, resend, roll_once, volley
from tests.chaos.rounds import FAULTS, Fault
from tests.chaos.shim import Calls, Mode, failing_disk, missing
from tests.e2e.ledger import Ledger
from tests.e2e.servers import campaign_file, facts_in

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

WRITERS = 8


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_a_disk_that_refuses_for_a_while_costs_nothing_and_needs_no_restart(fault: Fault, tmp_path: Path) -> None:
    """R29, R34, R42: reads go on, dice too, and what was in flight is settled by its key."""
    ledger = Ledger()
    with failing_disk(tmp_path) as disk:
        async with on_disk(tmp_path / "data", disk) as server:
            await roll_once(server, ledger, "before")
            disk.arm(fault.mode, fault.calls, WAL, error=fault.error)
            await volley(server, ledger, "in flight", WRITERS, rolls=1)
            await volley(server, ledger, "refused", WRITERS, rolls=1)
            shown = await server.call("history_show")
            health = await server.call("status_show", detail="health")
            fired = disk.fired
            disk.lift()
            await back(server, ledger)
            was_refused = dict(ledger.refused)
            await resend(server, ledger)
            await server.close_input()
            code = await server.exit_code(20)

    assert fired > 0
    assert {"OUTCOME_UNKNOWN"} == set(was_refused.values())
    assert {f"refused-w{writer}-1" for writer in range(WRITERS)} <= set(ledger.unrecorded)
    assert ["before"] == [row["label"] for row in shown["rolls"]]
    assert [True] == [entry["is_suspect"] for entry in health["read_only"]]
    assert (0, []) == (code, ledger.unanswered())
    assert [] == found_out(ledger, tmp_path / "data")


async def test_a_single_failed_sync_is_not_felt_at_all(tmp_path: Path) -> None:
    """R24, R42: surely not saved, so the server itself repeats it."""
    ledger = Ledger()
    with failing_disk(tmp_path) as disk:
        async with on_disk(tmp_path / "data", disk) as server:
            await roll_once(server, ledger, "before")
            disk.arm(Mode.FAIL, Calls.SYNCS, WAL, count=1)
            await volley(server, ledger, "during", WRITERS, rolls=3)
            fired = disk.fired

    assert (1, {}) == (fired, ledger.refused)
    assert [] == found_out(ledger, tmp_path / "data")


async def test_kill_9_while_a_commit_is_open_is_settled_by_the_next_start(tmp_path: Path) -> None:
    """R34, R53: the rows of a failed sync may be there after the restart, but each at most once."""
    ledger = Ledger()
    with failing_disk(tmp_path) as disk:
        async with on_disk(tmp_path / "data", disk) as server:
            await roll_once(server, ledger, "before")
            disk.arm(Mode.FAIL, Calls.SYNCS, WAL)
            await volley(server, ledger, "during", WRITERS, rolls=1)
            mark = campaign_file(tmp_path / "data").with_suffix(".suspect")
            was_marked = mark.exists()
            await server.kill()
    async with on_disk(tmp_path / "data", None) as server:
        await resend(server, ledger)
        await server.close_input()
        await server.exit_code(20)

    assert (True, False) == (was_marked, mark.exists())
    assert [] == ledger.unanswered()
    assert [] == found_out(ledger, tmp_path / "data")


async def test_each_batch_is_one_sync(tmp_path: Path) -> None:
    """R34: what is acknowledged was synced, and callers together share one."""
    ledger = Ledger()
    with failing_disk(tmp_path) as disk:
        disk.watch(WAL)
        async with on_disk(tmp_path / "data", disk) as server:
            await roll_once(server, ledger, "before")
            syncs = disk.syncs
            for number in range(10):
                await roll_once(server, ledger, f"alone-{number}")
            alone, syncs = disk.syncs - syncs, disk.syncs
            await volley(server, ledger, "together", 32, rolls=4)
            together = disk.syncs - syncs

    assert 10 == alone
    assert 4 <= together < 4 * 32


WITHOUT_SYNC = """
import sys
from ttrpg_mcp.cli import main
from ttrpg_mcp.store import pragmas

pragmas._SYNCHRONOUS["FULL"] = ("PRAGMA synchronous=NORMAL", 1)
sys.exit(main())
"""


async def test_a_server_that_does_not_sync_is_found_out(tmp_path: Path) -> None:
    """R34: the broken variant; a kill alone cannot show it, because the kernel keeps what was written."""
    ledger = Ledger()
    with failing_disk(tmp_path) as disk:
        disk.watch(WAL)
        async with on_disk(tmp_path / "data", disk, program=("-c", WITHOUT_SYNC)) as server:
            await roll_once(server, ledger, "before")
            syncs = disk.syncs
            for number in range(10):
                await roll_once(server, ledger, f"alone-{number}")
            alone = disk.syncs - syncs

    assert 10 != alone


SWALLOWS_ERRORS = """
import sqlite3, sys
from ttrpg_mcp.cli import main
from ttrpg_mcp.store.connection import Connection

honest = Connection.run

def run(self, sql, /, **values):
    try:
        return honest(self, sql, **values)
    except sqlite3.Error:
        if sql != "COMMIT":
            raise
        self.roll_back()
        return 0

Connection.run = run
sys.exit(main())
"""
ANSWERS_SAVED = """
import sys
from ttrpg_mcp.cli import main
from ttrpg_mcp.store import writer

writer.was_saved = lambda connection, jobs: True
sys.exit(main())
"""


@pytest.mark.parametrize("program", [SWALLOWS_ERRORS, ANSWERS_SAVED], ids=["swallows errors", "answers saved"])
async def test_a_server_that_takes_a_failed_commit_for_saved_is_found_out(program: str, tmp_path: Path) -> None:
    """R34, R42: the broken variants."""
    ledger = Ledger()
    with failing_disk(tmp_path) as disk:
        async with on_disk(tmp_path / "data", disk, program=("-c", program)) as server:
            await roll_once(server, ledger, "before")
            disk.arm(Mode.FAIL, Calls.SYNCS, WAL, count=1)
            await volley(server, ledger, "during", WRITERS, rolls=1)
            await server.kill()

    assert "was acknowledged" in " ".join(found_out(ledger, tmp_path / "data"))


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of another process can be set on Linux alone")
async def test_a_limit_on_the_size_of_files_is_lifted_without_a_restart(tmp_path: Path) -> None:
    """R29: no shim; the kernel itself refuses."""
    import resource  # noqa: PLC0415 - POSIX alone has it

    ledger = Ledger()
    async with on_disk(tmp_path, None) as server:
        await roll_once(server, ledger, "before")
        size = campaign_file(tmp_path).with_name(WAL).stat().st_size
        unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, unlimited[1]))
        await volley(server, ledger, "in flight", WRITERS, rolls=1)
        refused = facts_in(await roll_once(server, ledger, "refused"))
        shown = await server.call("history_show")
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited)
        await back(server, ledger)
        await resend(server, ledger)
        await server.close_input()
        await server.exit_code(20)

    assert refused["recorded"] is False
    assert ["before"] == [row["label"] for row in shown["rolls"]]
    assert [] == ledger.unanswered()
    assert [] == found_out(ledger, tmp_path)


def may_write_anything() -> bool:
    """Whether this user is not held back by a file's mode, as root."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).chmod(0o400)
        return os.access(file.name, os.W_OK)


@pytest.mark.skipif(may_write_anything(), reason="this user may write to what is read-only, as root may")
async def test_a_campaign_whose_folder_was_read_only_is_played_on_without_a_restart(tmp_path: Path) -> None:
    """R29, R42: the permissions were taken before the server opened the campaign, and are given back."""
    ledger = Ledger()
    async with on_disk(tmp_path, None) as server:
        await roll_once(server, ledger, "before")
        await server.close_input()
        await server.exit_code(20)
    file = campaign_file(tmp_path)
    async with on_disk(tmp_path, None) as server:
        try:
            file.chmod(0o400)
            file.parent.chmod(0o500)
            await roll_once(server, ledger, "refused")
            refused = dict(ledger.refused)
        finally:
            file.parent.chmod(0o700)
            file.chmod(0o600)
        await back(server, ledger)
        await resend(server, ledger)
        await server.close_input()
        await server.exit_code(20)

    assert {"refused": "DATABASE_UNAVAILABLE"} == refused
    assert [] == ledger.unanswered()
    assert [] == found_out(ledger, tmp_path)
