"""Every kind of damage is noticed, the damaged file is kept as it is, and nothing that was answered is lost.

The campaign is closed in order, or left as kill -9 leaves it: the file as it was, its log beside it.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.helpers import CAMPAIGN_ID, a_call, campaign_file, make_campaign, nothing, roll, rows
from tests.store.played import Picture, opened, picture, play
from ttrpg_mcp.play.errors import CampaignPaused, NotNow, StoreCorrupt
from ttrpg_mcp.play.ports import CampaignEntry
from ttrpg_mcp.store.quarantine import side_files
from ttrpg_mcp.store.store import SqliteStore

OTHER = CampaignEntry("other-abcdef", "Other", "creating", 1)
PAGE = 4096


def log_of(file: Path) -> Path:
    return file.with_name(file.name + "-wal")


def missing(file: Path) -> None:
    for path in side_files(file):
        path.unlink(missing_ok=True)


def emptied(file: Path) -> None:
    os.truncate(file, 0)


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2 // PAGE * PAGE + 100)


def garbage(file: Path) -> None:
    file.write_bytes(b"not a database, but long enough to be one " * 500)


def header(file: Path) -> None:
    overwrite(file, 0, b"\0" * 100)


def first_page(file: Path) -> None:
    overwrite(file, 100, os.urandom(PAGE - 100))


def middle_page(file: Path) -> None:
    overwrite(file, page_of(file, "changes"), b"\xff" * PAGE)


def table_gone(file: Path) -> None:
    execute(file, "DROP TABLE roll")


def no_tables(file: Path) -> None:
    missing(file)
    execute(file, "PRAGMA application_id=0x54545247", "VACUUM")


def foreign(file: Path) -> None:
    missing(file)
    execute(file, "CREATE TABLE campaign (campaign_id TEXT)", "PRAGMA user_version=1")


def no_row(file: Path) -> None:
    execute(file, "DELETE FROM campaign")


def older(file: Path) -> None:
    """The file as it was at its first backup."""
    missing(file)
    shutil.copyfile(min((file.parent / "backups").glob("*.db")), file)


def of_another_campaign(file: Path) -> None:
    missing(file)
    shutil.copyfile(file.parents[1] / OTHER.campaign_id / "campaign.db", file)


def log_cut(file: Path) -> None:
    os.truncate(log_of(file), log_of(file).stat().st_size // 2)


def log_emptied(file: Path) -> None:
    os.truncate(log_of(file), 0)


def log_bit(file: Path) -> None:
    data = bytearray(log_of(file).read_bytes())
    data[len(data) // 2] ^= 1
    log_of(file).write_bytes(data)


def log_missing(file: Path) -> None:
    log_of(file).unlink()


def overwrite(file: Path, offset: int, data: bytes) -> None:
    with file.open("r+b") as handle:
        handle.seek(offset)
        handle.write(data)


def page_of(file: Path, table: str) -> int:
    """Where a leaf of that table begins."""
    with closing(sqlite3.connect(file)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    data = file.read_bytes()
    inner = data[(root - 1) * PAGE : root * PAGE]
    assert inner[0] in {2, 5}, "the table is longer than a page"
    return (int.from_bytes(inner[8:12], "big") - 1) * PAGE  # its rightmost child


def execute(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


CLOSED = [
    missing, emptied, cut, garbage, header, first_page, middle_page, table_gone, no_tables, foreign, no_row, older,
    of_another_campaign,
]  # fmt: skip
KILLED = [missing, emptied, header, log_cut, log_emptied, log_bit, log_missing, of_another_campaign]


async def played(data: Path, *, is_killed: bool = False) -> tuple[list[str], Picture, Picture]:
    """Two campaigns, left behind: the keys that were answered, and how both must look."""
    store = opened(data)
    await store.open()
    await make_campaign(store)
    await make_campaign(store, OTHER)
    await play(store, range(3), OTHER.campaign_id)
    keys = await play(store, range(30))
    await store.close()
    if is_killed:
        await store_killed_after(data, range(30, 40))
        keys += [f"key-{turn}" for turn in range(30, 40)]
    return keys, expected_picture(data), picture(data, OTHER.campaign_id)


async def store_killed_after(data: Path, turns: range, *, is_new: bool = False) -> None:
    """Play on, and leave the campaign's folder as a kill would."""
    store = opened(data)
    await store.open()
    if is_new:
        await make_campaign(store)
    await play(store, turns)
    copy = data.with_name("killed")
    shutil.copytree(data, copy)
    await store.close()
    shutil.rmtree(data)
    copy.rename(data)


def expected_picture(data: Path) -> Picture:
    """Looked up in a copy: merely opening the file would empty its log."""
    copy = data.with_name("looked-at")
    shutil.copytree(data, copy)
    found = picture(copy)
    shutil.rmtree(copy)
    return found


def bytes_of(file: Path) -> dict[str, bytes]:
    """What must be kept: not the index of the log, and not an empty log, which whoever looks makes anew."""
    found = {path.name: path.read_bytes() for path in side_files(file) if path.exists() and path.suffix != ".db-shm"}
    return {name: content for name, content in found.items() if content or name == file.name}


def kept(data: Path) -> dict[str, bytes]:
    (folder,) = (campaign_file(data).parent / "quarantine").iterdir()
    return bytes_of(folder / "campaign.db")


@pytest.mark.parametrize(("damage", "is_killed"), [*((one, False) for one in CLOSED), *((one, True) for one in KILLED)])
async def test_damage_is_noticed_and_costs_nothing(data: Path, damage: Callable[[Path], None], is_killed: bool) -> None:
    """R28, R34."""
    keys, before, other = await played(data, is_killed=is_killed)
    damage(campaign_file(data))
    damaged = bytes_of(campaign_file(data))

    store = opened(data)
    await store.open()
    await store.read(a_call(campaign_id=OTHER.campaign_id), nothing)
    answers = [await store.stored_answer(a_call("again", key=key)) for key in keys]
    receipts = store.receipts(CAMPAIGN_ID)
    await store.close()

    assert before == picture(data)
    assert None not in answers
    assert damaged == kept(data)
    assert "0 acknowledged changes lost" in " ".join(receipts)
    assert other == picture(data, OTHER.campaign_id)


async def test_a_restored_campaign_goes_on_with_its_numbers_and_is_sound(data: Path) -> None:
    await played(data)
    garbage(campaign_file(data))

    store = opened(data)
    await store.open()
    entry = await store.write(a_call("after"), roll)
    await store.close()

    assert 31 == entry.number
    assert [{"integrity_check": "ok"}] == rows(campaign_file(data), "PRAGMA integrity_check")
    found = rows(campaign_file(data), "SELECT count(*) AS found FROM note_fts WHERE note_fts MATCH 'turn'")
    assert [{"found": len(picture(data)["note"])}] == found


async def test_the_server_s_file_tells_of_the_restore(data: Path) -> None:
    await played(data)
    garbage(campaign_file(data))

    store = opened(data)
    await store.open()
    await store.read(a_call(), nothing)
    await store.close()

    (found,) = rows(data / "server.db", "SELECT campaign_id, folder, resolved_at_ms > 0 AS resolved FROM quarantine")
    assert (CAMPAIGN_ID, 1) == (found["campaign_id"], found["resolved"])
    assert (campaign_file(data).parent / found["folder"] / "campaign.db").exists()
    assert [{"status": "recovered"}] == rows(data / "server.db", "SELECT status FROM notification")


async def test_two_campaigns_whose_files_were_swapped_are_both_restored(data: Path) -> None:
    _, before, other = await played(data)
    files = campaign_file(data), campaign_file(data, OTHER.campaign_id)
    files[0].rename(data / "third")
    files[1].rename(files[0])
    (data / "third").rename(files[1])

    store = opened(data)
    await store.open()
    for campaign_id in (CAMPAIGN_ID, OTHER.campaign_id):
        await store.read(a_call(campaign_id=campaign_id), nothing)
    await store.close()

    assert [before, other] == [picture(data), picture(data, OTHER.campaign_id)]


async def test_damage_met_in_use_is_restored_in_the_same_call(data: Path) -> None:
    _, before, _ = await played(data)
    file = campaign_file(data)
    store = opened(data)
    await store.open()
    await store.read(a_call(), nothing)
    middle_page(file)
    damaged = bytes_of(file)

    def read_all(unit: object) -> int:
        return len(unit.changes.page(before=None, since=0, limit=1000))  # type: ignore[attr-defined]

    found = await store.read(a_call(), read_all)
    receipts = store.receipts(CAMPAIGN_ID)
    await store.close()

    assert len(before["changes"]) == found
    assert before == picture(data)
    assert damaged["campaign.db"] == kept(data)["campaign.db"]
    assert "0 acknowledged changes lost" in " ".join(receipts)


async def test_another_server_goes_on_with_the_restored_file(data: Path) -> None:
    await played(data)
    one, two = opened(data), opened(data)
    await one.open()
    await two.open()
    await two.read(a_call(), nothing)
    await one.read(a_call(), nothing)
    middle_page(campaign_file(data))

    def read_all(unit: object) -> int:
        return len(unit.changes.page(before=None, since=0, limit=1000))  # type: ignore[attr-defined]

    await one.read(a_call(), read_all)
    first = await one.write(a_call("one"), roll)
    second = await two.write(a_call("two"), roll)
    seen = await one.read(a_call(), lambda unit: unit.campaign.get().head_roll)
    await two.close()
    third = await one.write(a_call("three"), roll)
    await one.close()

    assert ([31, 32, 33], 32) == ([first.number, second.number, third.number], seen)
    assert 33 == len(picture(data)["roll"])


def without(*names: str) -> Callable[[Path], None]:
    """Take away second copies."""

    def take(file: Path) -> None:
        for name in names:
            shutil.rmtree(file.parent / name)

    return take


def newest_backup_damaged(file: Path) -> None:
    overwrite(max((file.parent / "backups").glob("*.db")), 5 * PAGE, b"\xff" * PAGE)


@pytest.mark.parametrize(
    ("loss", "damage", "used"),
    [
        (newest_backup_damaged, garbage, "the backup of"),
        (without("journal"), middle_page, "the backup of"),
    ],
)
async def test_each_second_copy_alone_is_enough(
    data: Path, loss: Callable[[Path], None], damage: Callable[[Path], None], used: str
) -> None:
    _, before, _ = await played(data)
    loss(campaign_file(data))
    damage(campaign_file(data))

    store = opened(data)
    await store.open()
    await store.read(a_call(), nothing)
    receipts = " ".join(store.receipts(CAMPAIGN_ID))
    await store.close()

    assert before == picture(data)
    assert used in receipts


async def test_a_journal_from_the_first_change_on_is_enough(data: Path) -> None:
    await store_killed_after(data, range(30), is_new=True)
    before = expected_picture(data)
    without("backups")(campaign_file(data))
    garbage(campaign_file(data))

    store = opened(data)
    await store.open()
    await store.read(a_call(), nothing)
    receipts = " ".join(store.receipts(CAMPAIGN_ID))
    await store.close()

    assert before == picture(data)
    assert "the journal alone" in receipts


async def test_what_is_lost_is_named_and_waits_for_the_game_master(data: Path) -> None:
    await played(data, is_killed=True)
    file = campaign_file(data)
    whole = expected_picture(data)
    without("journal")(file)
    # Somebody still knows how far it came: the registry.
    assert 89 == whole["campaign"][0]["head_seq"]
    execute(data / "server.db", "UPDATE registry SET head_seq = 89")
    log_emptied(file)

    store = opened(data)
    await store.open()
    with pytest.raises(CampaignPaused, match="changes are lost: 68 to 89"):
        await store.write(a_call("refused"), roll)
    receipts = " ".join(store.receipts(CAMPAIGN_ID))
    head = await store.read(a_call(), lambda unit: unit.campaign.get().head_seq)
    await store.accept_restore(a_call("accept"))
    entry = await store.write(a_call("after"), roll)
    await store.close()

    after = picture(data)
    assert "Everything up to change 67 is there. Lost, 22 in all: 68 to 89." in receipts
    assert (68, 31, 2) == (head, entry.number, entry.epoch)
    for table in ("changes", "roll"):
        assert [row for row in whole[table] if row["seq"] < 68] == [row for row in after[table] if row["seq"] < 68]
    assert whole["campaign"][0]["lineage"] != after["campaign"][0]["lineage"]
    assert [{"status": "needs_you"}] == rows(data / "server.db", "SELECT status FROM notification")


async def test_there_is_nothing_to_accept_in_a_sound_campaign(store: SqliteStore) -> None:
    with pytest.raises(NotNow):
        await store.accept_restore(a_call("accept"))


@pytest.mark.parametrize("damage", [missing, emptied, garbage, no_tables, foreign])
async def test_a_campaign_without_any_copy_is_refused_and_left_as_it_is(
    data: Path, damage: Callable[[Path], None]
) -> None:
    await played(data)
    file = campaign_file(data)
    without("backups", "journal")(file)
    damage(file)
    before = bytes_of(file)

    store = opened(data)
    await store.open()
    for _ in range(2):
        with pytest.raises(StoreCorrupt):
            await store.write(a_call("one"), roll)
    entry = await store.write(a_call("two", campaign_id=OTHER.campaign_id), roll)
    await store.close()

    assert before == bytes_of(file)
    assert 4 == entry.number


@pytest.mark.parametrize("damage", [missing, emptied, garbage, header, foreign])
async def test_a_lost_registry_is_rebuilt(data: Path, damage: Callable[[Path], None]) -> None:
    _, before, other = await played(data)
    damage(data / "server.db")

    store = opened(data)
    await store.open()
    for campaign_id in (CAMPAIGN_ID, OTHER.campaign_id):
        await store.read(a_call(campaign_id=campaign_id), nothing)
    names = await store.read_server(a_call(), lambda unit: [entry.name for entry in unit.registry.all()])
    receipts = " ".join(store.receipts("server"))
    await store.close()

    assert ["Lost Mine", "Other"] == names
    assert "2 campaigns were found in their folders" in receipts
    assert [before, other] == [picture(data), picture(data, OTHER.campaign_id)]
    assert 1 == len(list((data / "quarantine").iterdir()))


async def test_a_lost_registry_without_backups_is_rebuilt_from_the_folders(data: Path) -> None:
    await played(data)
    shutil.rmtree(data / "backups")
    missing(data / "server.db")

    store = opened(data)
    await store.open()
    names = await store.read_server(a_call(), lambda unit: [entry.name for entry in unit.registry.all()])
    await store.close()

    assert ["Lost Mine", "Other"] == names
