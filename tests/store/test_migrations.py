import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.helpers import a_call, campaign_file, nothing
from ttrpg_mcp.play.errors import SchemaTooNew
from ttrpg_mcp.recovery.clock import SystemClock
from ttrpg_mcp.store.connection import Connection
from ttrpg_mcp.store.migrations import APPLICATION_ID, CAMPAIGN_SCHEMA, SERVER_SCHEMA, Migration, Schema
from ttrpg_mcp.store.pragmas import PragmaRefused, apply_reader_pragmas, apply_writer_pragmas, switch_to_wal
from ttrpg_mcp.store.store import SqliteStore


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "file.db", isolation_level=None)
    connection.row_factory = sqlite3.Row
    yield connection
    connection.close()


def pragma(raw: sqlite3.Connection, name: str) -> object:
    return raw.execute(f"PRAGMA {name}").fetchone()[0]


def tables(raw: sqlite3.Connection) -> set[str]:
    return {row["name"] for row in raw.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


# storage.md's tables, section 4.
CAMPAIGN_TABLES = """
answer audience blob call_log campaign changes character checkpoint checkpoint_part combatant dead_letter encounter map
map_memory map_part map_row member note note_link note_reader note_tag notification outbox posting random_table roll
roll_epoch roll_mark saga saga_step session token
"""
SERVER_TABLES = """
access_token answer notification preference quarantine registry rules_cache secret server_state slo_minute
"""


@pytest.mark.parametrize(("schema", "expected"), [(CAMPAIGN_SCHEMA, CAMPAIGN_TABLES), (SERVER_SCHEMA, SERVER_TABLES)])
def test_a_fresh_file_gets_all_tables_its_number_and_our_mark(
    raw: sqlite3.Connection, schema: Schema, expected: str
) -> None:
    schema.migrate(Connection(raw), "x")

    assert set(expected.split()) == {name for name in tables(raw) if not name.startswith("note_fts")}
    assert (schema.latest, APPLICATION_ID) == (pragma(raw, "user_version"), pragma(raw, "application_id"))


@pytest.mark.parametrize("schema", [CAMPAIGN_SCHEMA, SERVER_SCHEMA])
def test_every_table_is_strict(raw: sqlite3.Connection, schema: Schema) -> None:
    schema.migrate(Connection(raw), "x")

    lax = {row["name"] for row in raw.execute("PRAGMA table_list") if not row["strict"]}
    assert set() == {name for name in lax if not name.startswith(("sqlite_", "note_fts"))}


def test_every_table_of_a_campaign_has_the_campaign_first_in_its_key(raw: sqlite3.Connection) -> None:
    CAMPAIGN_SCHEMA.migrate(Connection(raw), "x")

    first = {name: raw.execute(f"PRAGMA table_info({name})").fetchone() for name in CAMPAIGN_TABLES.split()}

    assert {"blob"} == {name for name, column in first.items() if column["name"] != "campaign_id"}
    assert {"blob", "note"} == {
        name for name, column in first.items() if column["name"] != "campaign_id" or not column["pk"]
    }


@pytest.mark.parametrize("act", ["UPDATE posting SET amount = 2", "DELETE FROM posting"])
def test_the_ledger_is_append_only(raw: sqlite3.Connection, act: str) -> None:
    CAMPAIGN_SCHEMA.migrate(Connection(raw), "x")
    raw.execute("INSERT INTO posting VALUES ('x', 1, 0, 'stash', 'coins', 'gp', 5, 'found')")

    with pytest.raises(sqlite3.IntegrityError, match="append only"):
        raw.execute(act)


def test_migrating_twice_changes_nothing(raw: sqlite3.Connection) -> None:
    CAMPAIGN_SCHEMA.migrate(Connection(raw), "x")
    before = pragma(raw, "schema_version")

    CAMPAIGN_SCHEMA.migrate(Connection(raw), "x")

    assert before == pragma(raw, "schema_version")


def test_a_migration_that_fails_leaves_neither_tables_nor_number(raw: sqlite3.Connection) -> None:
    broken = Migration(1, "0001_broken.sql", "CREATE TABLE half (a TEXT) STRICT; INSERT INTO nowhere VALUES (1);")

    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        broken.apply(Connection(raw))

    assert (set(), 0, False) == (tables(raw), pragma(raw, "user_version"), raw.in_transaction)


@pytest.mark.parametrize(("version", "expected"), [(0, []), (1, [1]), (CAMPAIGN_SCHEMA.latest, [])])
def test_only_a_file_with_tables_and_steps_to_go_is_shown_before(
    raw: sqlite3.Connection, version: int, expected: list[int]
) -> None:
    for migration in CAMPAIGN_SCHEMA.migrations()[:version]:
        migration.apply(Connection(raw))
    seen: list[object] = []

    CAMPAIGN_SCHEMA.migrate(Connection(raw), "x", lambda _: seen.append(pragma(raw, "user_version")))

    assert expected == seen


def test_a_file_that_cannot_be_backed_up_is_not_migrated(raw: sqlite3.Connection) -> None:
    CAMPAIGN_SCHEMA.migrations()[0].apply(Connection(raw))

    def no_room(connection: Connection) -> None:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        CAMPAIGN_SCHEMA.migrate(Connection(raw), "x", no_room)

    assert 1 == pragma(raw, "user_version")


async def test_a_file_of_a_newer_release_is_refused(store: SqliteStore, data: Path) -> None:
    await store.close()
    connection = sqlite3.connect(campaign_file(data))
    connection.execute("PRAGMA user_version=999")
    connection.close()

    again = SqliteStore(data, SystemClock(), synchronous="OFF")
    await again.open()
    with pytest.raises(SchemaTooNew):
        await again.read(a_call(), nothing)
    await again.close()


def test_the_writer_s_settings_are_those_of_a_durable_file(raw: sqlite3.Connection) -> None:
    apply_writer_pragmas(Connection(raw), "FULL")
    switch_to_wal(Connection(raw))

    names = ("journal_mode", "synchronous", "foreign_keys", "cell_size_check", "busy_timeout", "mmap_size")
    assert ["wal", 2, 1, 1, 1000, 0] == [pragma(raw, name) for name in names]


def test_a_reader_trusts_no_schema(raw: sqlite3.Connection) -> None:
    apply_reader_pragmas(Connection(raw))

    assert (0, 500) == (pragma(raw, "trusted_schema"), pragma(raw, "busy_timeout"))


def test_a_file_that_cannot_have_a_log_is_refused() -> None:
    raw = sqlite3.connect(":memory:")

    with pytest.raises(PragmaRefused, match="journal_mode=WAL"):
        switch_to_wal(Connection(raw))

    raw.close()
