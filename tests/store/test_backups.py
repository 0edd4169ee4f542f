import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.store.helpers import CAMPAIGN_ID, a_call, campaign_file, roll, rows, until
from tests.store.played import opened, picture, play
from ttrpg_mcp.play.errors import StoreCorrupt, StoreUnavailable
from ttrpg_mcp.store.backups import Backup, BackupFolder
from ttrpg_mcp.store.store import SqliteStore

NOW = datetime(2026, 5, 17, 12, tzinfo=UTC)


def backups(data: Path) -> list[Path]:
    return sorted((campaign_file(data).parent / "backups").glob("*.db"))


async def test_a_campaign_is_backed_up_when_it_is_made_and_when_it_is_closed(store: SqliteStore, data: Path) -> None:
    await until(lambda: bool(backups(data)))
    await store.write(a_call("one"), roll)
    await store.close()

    assert ["created", "close"] == [path.stem.split("-")[2] for path in backups(data)]
    assert [{"head_seq": 2}] == rows(backups(data)[-1], "SELECT head_seq FROM campaign")


async def test_an_unchanged_campaign_is_not_backed_up_again(store: SqliteStore, data: Path) -> None:
    await store.close()
    before = backups(data)

    again = opened(data)
    await again.open()
    await again.read(a_call(), lambda unit: unit.campaign.get())
    await again.close()

    assert before == backups(data)


async def test_a_backup_on_demand_has_everything_so_far(store: SqliteStore, data: Path) -> None:
    await play(store, range(5))
    path = await store.back_up(CAMPAIGN_ID)
    await store.close()

    assert picture(data)["changes"] == rows(path, "SELECT * FROM changes")
    assert [{"integrity_check": "ok"}] == rows(path, "PRAGMA integrity_check")


async def test_a_backup_that_fails_is_no_failed_write(store: SqliteStore, data: Path) -> None:
    await until(lambda: bool(backups(data)))
    folder = campaign_file(data).parent / "backups"
    shutil.rmtree(folder)
    folder.touch()

    with pytest.raises(StoreUnavailable):
        await store.back_up(CAMPAIGN_ID)
    entry = await store.write(a_call("one"), roll)
    await store.close()

    assert 1 == entry.number


def database(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE word (word TEXT)")
        connection.commit()
    return path


def test_retention_keeps_seven_days_four_weeks_migrations_and_the_newest_two(tmp_path: Path) -> None:
    folder = BackupFolder("server", database(tmp_path / "server.db"), tmp_path / "backups")

    made = [NOW + timedelta(hours=12 * number) for number in range(100)]
    for number, at in enumerate(made):
        folder.make("migration" if number == 3 else "close", at)
    kept = [backup.made_at for backup in folder.all()]

    days = [max(at for at in made if at.date() == day) for day in sorted({at.date() for at in made})[-7:]]
    all_weeks = sorted({at.isocalendar()[:2] for at in made})
    weeks = [max(at for at in made if at.isocalendar()[:2] == week) for week in all_weeks[-4:]]
    assert sorted({*days, *weeks, made[98], made[99], made[3]}, reverse=True) == kept


def test_a_clock_that_jumps_back_deletes_nothing_new(tmp_path: Path) -> None:
    folder = BackupFolder("server", database(tmp_path / "server.db"), tmp_path / "backups")

    first = folder.make("close", NOW)
    second = folder.make("close", NOW - timedelta(days=400))

    assert [first.path, second.path] == [backup.path for backup in folder.all()]


def test_a_copy_of_a_damaged_file_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "campaign.db"
    database(file)
    folder = BackupFolder("lost-mine-abcdef", file, tmp_path / "backups")

    with pytest.raises((StoreCorrupt, sqlite3.Error)):
        folder.make("close", NOW)

    assert ((), []) == (tuple(folder.all()), list((tmp_path / "backups").iterdir()))


def test_other_files_in_the_folder_are_no_backups(tmp_path: Path) -> None:
    folder = BackupFolder("server", database(tmp_path / "server.db"), tmp_path / "backups")
    made: Backup = folder.make("asked", NOW)
    for name in ("notes.txt", "x-y-z.db", "half.part"):
        (tmp_path / "backups" / name).touch()

    assert [made.path] == [backup.path for backup in folder.all()]
