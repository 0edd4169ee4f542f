"""Files that earlier releases wrote open, come up to date and keep every row."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.store.helpers import CAMPAIGN_ID, a_call, campaign_file, roll, server_call
from ttrpg_mcp.play.errors import AlreadyAnswered
from ttrpg_mcp.play.ports import GM, Campaign, Unit
from ttrpg_mcp.recovery.clock import SystemClock
from ttrpg_mcp.store.connection import Connection
from ttrpg_mcp.store.migrations import CAMPAIGN_SCHEMA, SERVER_SCHEMA, Schema
from ttrpg_mcp.store.store import SqliteStore

GOLDEN = Path(__file__).parent / "golden"
RELEASED = [1]  # schema versions; both files of each were written by golden/make.py as it was then
FILES = [
    (schema, f"{schema.folder}_v{version}.db", version)
    for schema in (CAMPAIGN_SCHEMA, SERVER_SCHEMA)
    for version in RELEASED
]

_TABLES = (
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'note_fts%'"
)
_SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"


@contextmanager
def opened(file: Path | str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file, isolation_level=None)) as raw:
        raw.row_factory = sqlite3.Row
        yield raw


def everything(raw: sqlite3.Connection) -> dict[str, list[dict[str, Any]]]:
    """All rows by table."""
    names = [row["name"] for row in raw.execute(_TABLES)]
    statements = {name: f"SELECT * FROM {name} ORDER BY 1, 2" for name in names}  # noqa: S608 - the file's own tables
    return {name: [dict(row) for row in raw.execute(sql)] for name, sql in statements.items()}


def schema_of(raw: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in raw.execute(_SCHEMA)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder as the first release left it."""
    data = tmp_path / "data"
    campaign_file(data).parent.mkdir(parents=True)
    shutil.copyfile(GOLDEN / "campaign_v1.db", campaign_file(data))
    shutil.copyfile(GOLDEN / "server_v1.db", data / "server.db")
    return data


@pytest.mark.parametrize(("schema", "name", "version"), FILES)
def test_a_file_of_an_earlier_release_keeps_every_row(tmp_path: Path, schema: Schema, name: str, version: int) -> None:
    shutil.copyfile(GOLDEN / name, tmp_path / name)
    with opened(tmp_path / name) as raw:
        before = everything(raw)
        assert version == raw.execute("PRAGMA user_version").fetchone()[0]

        schema.migrate(Connection(raw), CAMPAIGN_ID)

        after = everything(raw)
        assert sum(map(len, before.values())) == sum(map(len, after.values())) >= 3
        for table, found in before.items():
            assert found == [{column: row[column] for column in found[0]} for row in after[table]]
        assert [("ok",)] == [tuple(row) for row in raw.execute("PRAGMA integrity_check")]


@pytest.mark.parametrize(("schema", "name", "version"), FILES)
def test_a_migrated_file_has_the_tables_of_a_fresh_one(tmp_path: Path, schema: Schema, name: str, version: int) -> None:
    shutil.copyfile(GOLDEN / name, tmp_path / name)
    with opened(tmp_path / name) as old, opened(":memory:") as fresh:
        schema.migrate(Connection(old), CAMPAIGN_ID)
        schema.migrate(Connection(fresh), CAMPAIGN_ID)

        assert schema_of(fresh) == schema_of(old)


async def test_a_campaign_of_the_first_release_goes_on(data: Path) -> None:
    store = SqliteStore(data, SystemClock(), synchronous="OFF")
    await store.open()

    def look(unit: Unit) -> tuple[Campaign, list[int], list[int]]:
        rolls = unit.rolls.page(before=None, since=0, limit=10)
        changes = unit.changes.page(before=None, since=0, limit=10)
        return unit.campaign.get(), [entry.number for entry in rolls], [entry.seq for entry in changes]

    campaign, rolls, changes = await store.read(a_call(), look)
    rolled = await store.write(a_call("later"), roll)
    with pytest.raises(AlreadyAnswered) as caught:
        await store.write(a_call("repeat", key="k1"), roll)
    used_last = await store.read_server(server_call(), lambda unit: unit.preferences.of(GM))
    await store.close()

    assert Campaign(CAMPAIGN_ID, "Lost Mine", "generic", "open", "", {}, 4, 3, 1_000, 1) == campaign
    assert ([3, 2, 1], [1], 4, CAMPAIGN_ID) == (rolls, changes, rolled.number, used_last)
    assert caught.value.answer.answer.facts["summary"].startswith("got RollEntry(number=1")
