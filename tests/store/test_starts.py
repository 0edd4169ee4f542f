"""What a start finds out about the last stop, and tells."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.helpers import (
    CAMPAIGN_ID,
    ENTRY,
    a_call,
    campaign_file,
    make_campaign,
    nothing,
    roll,
    rows,
    server_call,
)
from tests.store.played import opened
from ttrpg_mcp.store.connection import Connection
from ttrpg_mcp.store.folders import make_folder
from ttrpg_mcp.store.migrations import CAMPAIGN_SCHEMA
from ttrpg_mcp.store.store import SqliteStore

ROOT = Path(__file__).parents[2]


def start(data: Path) -> subprocess.Popen[str]:
    """A process that rolls until it is killed."""
    command = [sys.executable, "-m", "tests.store.writer_process", str(data), "a", "0"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


async def test_an_orderly_close_leaves_the_clean_mark_and_a_write_takes_it_away(store: SqliteStore, data: Path) -> None:
    marks = []
    await store.write(a_call("one"), roll)
    await store.close()
    marks.append(rows(campaign_file(data), "SELECT clean FROM campaign")[0]["clean"])

    again = opened(data)
    await again.open()
    await again.write(a_call("two"), roll)
    marks.append(rows(campaign_file(data), "SELECT clean FROM campaign")[0]["clean"])
    await again.close()

    assert [1, 0] == marks


async def test_after_an_orderly_close_there_is_nothing_to_tell(store: SqliteStore, data: Path) -> None:
    await store.close()

    again = opened(data)
    await again.open()
    await again.read(a_call(), nothing)
    receipts = again.receipts(CAMPAIGN_ID)
    await again.close()

    assert () == receipts


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
async def test_after_a_kill_the_first_caller_is_told_that_nothing_was_lost(data: Path) -> None:
    """R28, R34: once."""
    store = opened(data)
    await store.open()
    await make_campaign(store)
    await store.close()
    process = start(data)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(30)]
    process.send_signal(signal.SIGKILL)
    lines += process.stdout.readlines()
    process.wait(10)
    process.stdout.close()

    again = opened(data)
    await again.open()
    head = await again.read(a_call(), lambda unit: unit.campaign.get().head_seq)
    receipts = [again.receipts(CAMPAIGN_ID), again.receipts(CAMPAIGN_ID)]
    await again.close()

    assert len([line for line in lines if line.endswith("\n")]) < head
    assert [1, 0] == [len(told) for told in receipts]
    assert f"everything up to change {head} is there, 0 acknowledged changes lost" in receipts[0][0]


async def test_the_registry_knows_how_far_a_closed_campaign_came(store: SqliteStore, data: Path) -> None:
    for number in range(3):
        await store.write(a_call(f"call {number}"), roll)
    await store.close()

    assert [{"head_seq": 4}] == rows(data / "server.db", "SELECT head_seq FROM registry")


async def test_a_campaign_killed_between_the_steps_that_make_its_tables_is_finished(
    empty_store: SqliteStore, data: Path
) -> None:
    """There is nothing to back up yet."""
    await empty_store.write_server(server_call(), lambda unit: unit.registry.begin(ENTRY))
    await empty_store.close()
    make_folder(campaign_file(data).parent)
    with closing(sqlite3.connect(campaign_file(data), isolation_level=None)) as raw:
        CAMPAIGN_SCHEMA.migrations()[0].apply(Connection(raw))

    again = opened(data)
    await again.open()
    entry = await again.write(a_call("one"), roll)
    await again.close()

    assert (1, 2) == (entry.number, entry.seq)
