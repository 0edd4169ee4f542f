"""A restore that is itself cut off, and what it does with messages, dice and second copies."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.helpers import CAMPAIGN_ID, a_call, campaign_file, make_campaign, nothing, roll, rows
from tests.store.played import opened, picture, play
from ttrpg_mcp.store.quarantine import Quarantine
from ttrpg_mcp.store.rolls import roll_hash
from ttrpg_mcp.store.store import SqliteStore


async def finished(data: Path, turns: int = 12) -> SqliteStore:
    store = opened(data)
    await store.open()
    await make_campaign(store)
    await play(store, range(turns))
    return store


async def test_a_restore_that_was_killed_before_the_new_file_came_is_done_again(data: Path) -> None:
    await (await finished(data)).close()
    before = picture(data)
    file = campaign_file(data)
    shutil.rmtree(file.parent / "backups")
    shutil.rmtree(file.parent / "journal")
    folder = file.parent / "quarantine" / "20260101T000000.000000Z-damaged"
    folder.mkdir(parents=True)
    file.rename(folder / "campaign.db")
    (file.parent / "restoring").mkdir()
    (file.parent / "restoring" / "campaign.db").write_bytes(b"half made")

    store = opened(data)
    await store.open()
    await store.read(a_call(), nothing)
    await store.close()

    assert before == picture(data)
    assert (folder / "report.json").exists()
    assert not (file.parent / "restoring").exists()


async def test_rows_are_salvaged_from_a_file_without_journal_and_newer_backup(data: Path) -> None:
    store = await finished(data)
    await store.back_up(CAMPAIGN_ID)
    await play(store, range(12, 30))
    copy = data.with_name("copy")
    shutil.copytree(data, copy)
    await store.close()
    before = picture(data)
    shutil.rmtree(data)
    copy.rename(data)
    file = campaign_file(data)
    shutil.rmtree(file.parent / "journal")
    with closing(sqlite3.connect(file, isolation_level=None)) as raw:
        (root,) = raw.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'note'").fetchone()
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with file.open("r+b") as handle:
        handle.seek((root - 1) * 4096)
        handle.write(b"\xff" * 4096)

    again = opened(data)
    await again.open()
    await again.read(a_call(), nothing)
    receipts = " ".join(again.receipts(CAMPAIGN_ID))
    await again.close()

    assert "0 acknowledged changes lost" in receipts
    assert before == picture(data)


async def test_waiting_messages_of_an_older_copy_do_not_go_out_twice(data: Path) -> None:
    store = await finished(data)
    await store.close()
    message = """
        INSERT INTO outbox VALUES
        (:c, 'm', 'there', 'text', '{}', 'm', 'waiting', 0, 0, NULL, NULL, 0, NULL, 1, 1, NULL)
    """
    with closing(sqlite3.connect(campaign_file(data), isolation_level=None)) as raw:
        raw.execute(message, {"c": CAMPAIGN_ID})
    store = opened(data)
    await store.open()
    await store.write(a_call("later"), roll)
    await store.close()
    campaign_file(data).unlink()

    again = opened(data)
    await again.open()
    await again.read(a_call(), nothing)
    receipts = " ".join(again.receipts(CAMPAIGN_ID))
    await again.close()

    assert [{"status": "dead"}] == rows(campaign_file(data), "SELECT status FROM outbox")
    assert "1 waiting messages or running steps were stopped" in receipts


async def test_the_chain_of_rolls_is_unbroken_after_a_restore(data: Path) -> None:
    await (await finished(data)).close()
    campaign_file(data).write_bytes(b"x" * 9000)

    store = opened(data)
    await store.open()
    await store.write(a_call("after"), roll)
    await store.close()

    log = rows(campaign_file(data), "SELECT * FROM roll ORDER BY number")
    assert [row["row_hash"] for row in log] == [roll_hash(row["prev_hash"], row) for row in log]
    assert [row["row_hash"] for row in log[:-1]] == [row["prev_hash"] for row in log[1:]]


@pytest.mark.parametrize("times", [2])
async def test_each_finding_has_a_folder_of_its_own(data: Path, times: int) -> None:
    await (await finished(data)).close()
    for _ in range(times):
        campaign_file(data).write_bytes(b"x" * 9000)
        store = opened(data)
        await store.open()
        await store.read(a_call(), nothing)
        await store.close()

    quarantine = campaign_file(data).parent / "quarantine"
    assert times == len(list(quarantine.iterdir()))
    assert () == tuple(Quarantine(quarantine).unsettled())
