"""A campaign file comes into being in one place only, and a crash at any point leaves it whole or finishable."""

import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
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
from ttrpg_mcp.play.errors import NotFound, StoreCorrupt
from ttrpg_mcp.play.ports import CampaignEntry, Unit
from ttrpg_mcp.recovery.clock import SystemClock
from ttrpg_mcp.store.store import SqliteStore


def begin(unit: Unit) -> str:
    return unit.campaign.begin(ENTRY, "dnd5e").system


async def restarted(store: SqliteStore, data: Path) -> SqliteStore:
    await store.close()
    again = SqliteStore(data, SystemClock(), synchronous="OFF")
    await again.open()
    return again


async def test_a_campaign_is_created_once_and_a_repeat_finds_it(empty_store: SqliteStore, data: Path) -> None:
    await empty_store.write_server(server_call(), lambda unit: unit.registry.begin(ENTRY))

    systems = [await empty_store.create_campaign(a_call("create", key="k"), ENTRY, begin) for _ in range(2)]
    await empty_store.close()

    assert ["dnd5e", "dnd5e"] == systems
    assert [{"call_id": "create", "seq_first": 1}] == rows(
        campaign_file(data), "SELECT call_id, seq_first FROM call_log"
    )
    assert [] == rows(campaign_file(data), "SELECT * FROM answer")


async def test_without_a_registry_row_no_file_is_made(empty_store: SqliteStore, data: Path) -> None:
    with pytest.raises(NotFound):
        await empty_store.create_campaign(a_call(), ENTRY, begin)

    assert not campaign_file(data).exists()


async def test_two_concurrent_creations_make_one_campaign(empty_store: SqliteStore, data: Path) -> None:
    await empty_store.write_server(server_call(), lambda unit: unit.registry.begin(ENTRY))

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(empty_store.create_campaign, a_call(f"create {number}"), ENTRY, begin)
            group.start_soon(empty_store.write, a_call(f"use {number}"), roll)
    await empty_store.close()

    assert [{"entity": "campaign"}] == rows(campaign_file(data), "SELECT entity FROM changes")
    assert [{"head_seq": 4, "head_roll": 3}] == rows(campaign_file(data), "SELECT head_seq, head_roll FROM campaign")


def _folder(data: Path) -> None:
    campaign_file(data).parent.mkdir(mode=0o700)


def _empty_file(data: Path) -> None:
    _folder(data)
    campaign_file(data).touch(0o600)


def _torn_migration(data: Path) -> None:
    """As after a kill inside the first transaction: pages in the file, the journal that takes them back beside it."""
    _empty_file(data)
    file = campaign_file(data)
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA cache_size=1")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("CREATE TABLE campaign (name TEXT)")
    connection.executemany("INSERT INTO campaign VALUES (?)", [("x" * 4000,)] * 50)
    torn = {path: path.read_bytes() for path in (file, file.with_name("campaign.db-journal"))}
    connection.close()
    for path, content in torn.items():
        path.write_bytes(content)


def _nothing(data: Path) -> None:
    pass


@pytest.mark.parametrize("crash", [_nothing, _folder, _empty_file, _torn_migration])
async def test_a_start_finishes_a_creation_that_was_cut_off(
    empty_store: SqliteStore, data: Path, crash: Callable[[Path], None]
) -> None:
    entry = replace(ENTRY, system="dnd5e")
    await empty_store.write_server(server_call(), lambda unit: unit.registry.begin(entry))
    crash(data)

    store = await restarted(empty_store, data)
    campaign = await store.read(a_call(), lambda unit: unit.campaign.get())
    listed = await store.read_server(server_call(), lambda unit: unit.registry.find(CAMPAIGN_ID))
    await store.close()

    assert ("Lost Mine", "dnd5e", 1) == (campaign.name, campaign.system, campaign.head_seq)
    assert listed is not None
    assert ("open", 1) == (listed.status, listed.head_seq)


async def test_a_start_finishes_a_campaign_whose_file_has_tables_but_no_row(
    empty_store: SqliteStore, data: Path
) -> None:
    await empty_store.write_server(server_call(), lambda unit: unit.registry.begin(ENTRY))

    def crash(unit: Unit) -> None:
        raise LookupError("cut off")

    with pytest.raises(LookupError):
        await empty_store.create_campaign(a_call(), ENTRY, crash)
    store = await restarted(empty_store, data)
    campaign = await store.read(a_call(), lambda unit: unit.campaign.get())
    await store.close()

    assert ("generic", 1) == (campaign.system, campaign.head_seq)


async def test_a_start_notes_a_whole_campaign_as_open(empty_store: SqliteStore, data: Path) -> None:
    await empty_store.write_server(server_call(), lambda unit: unit.registry.begin(ENTRY))
    await empty_store.create_campaign(a_call("create"), ENTRY, begin)

    store = await restarted(empty_store, data)
    listed = await store.read_server(server_call(), lambda unit: unit.registry.all())
    await store.close()

    assert ["open"] == [entry.status for entry in listed]
    assert [{"call_id": "create"}] == rows(campaign_file(data), "SELECT call_id FROM call_log")


async def test_the_first_use_finishes_a_creation_too(empty_store: SqliteStore) -> None:
    await empty_store.write_server(server_call(), lambda unit: unit.registry.begin(ENTRY))

    entry = await empty_store.write(a_call("one"), roll)

    assert (1, 2) == (entry.number, entry.seq)


def _missing(file: Path) -> None:
    file.unlink()


def _emptied(file: Path) -> None:
    os.truncate(file, 0)


def _garbage(file: Path) -> None:
    file.write_bytes(b"not a database, but long enough to be one " * 100)


def _no_tables(file: Path) -> None:
    file.unlink()
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA application_id=0x54545247")
    connection.execute("VACUUM")
    connection.close()


def _foreign(file: Path) -> None:
    file.unlink()
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE campaign (campaign_id TEXT)")
    connection.execute("PRAGMA user_version=1")
    connection.close()


def _other_campaign(file: Path) -> None:
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("UPDATE campaign SET campaign_id = 'another-abcdef'")
    connection.close()


def _no_campaign(file: Path) -> None:
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("DELETE FROM campaign")
    connection.close()


@pytest.mark.parametrize("damage", [_missing, _emptied, _garbage, _no_tables, _foreign, _other_campaign, _no_campaign])
async def test_a_damaged_campaign_is_refused_and_left_as_it_is(
    store: SqliteStore, data: Path, damage: Callable[[Path], None]
) -> None:
    await store.close()
    file = campaign_file(data)
    damage(file)
    before = file.read_bytes() if file.exists() else None

    again = SqliteStore(data, SystemClock(), synchronous="OFF")
    await again.open()
    for attempt in (again.write(a_call("one"), roll), again.read(a_call(), nothing)):
        with pytest.raises(StoreCorrupt):
            await attempt
    await again.close()

    assert before == (file.read_bytes() if file.exists() else None)


async def test_a_damaged_campaign_does_not_disturb_another(store: SqliteStore, data: Path) -> None:
    other = CampaignEntry("other-abcdef", "Other", "creating", 1)
    await make_campaign(store, other)
    await store.close()
    _emptied(campaign_file(data))

    again = SqliteStore(data, SystemClock(), synchronous="OFF")
    await again.open()
    with pytest.raises(StoreCorrupt):
        await again.write(a_call("one"), roll)
    entry = await again.write(a_call("two", campaign_id=other.campaign_id), roll)
    await again.close()

    assert 1 == entry.number


@pytest.mark.parametrize("damage", [_missing, _emptied, _garbage])
async def test_a_lost_registry_is_not_replaced_by_an_empty_one(
    store: SqliteStore, data: Path, damage: Callable[[Path], None]
) -> None:
    await store.close()
    damage(data / "server.db")

    again = SqliteStore(data, SystemClock(), synchronous="OFF")
    with pytest.raises(StoreCorrupt):
        await again.open()


async def test_an_emptied_server_file_of_a_first_start_is_completed(data: Path) -> None:
    data.mkdir()
    (data / "server.db").touch(0o600)

    store = SqliteStore(data, SystemClock(), synchronous="OFF")
    await store.open()
    await make_campaign(store)
    await store.close()

    assert [{"status": "open"}] == rows(data / "server.db", "SELECT status FROM registry")
