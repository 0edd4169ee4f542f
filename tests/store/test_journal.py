import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.store.helpers import CAMPAIGN_ID, a_call, campaign_file, make_campaign, nothing, roll, rows, until
from tests.store.played import opened, picture, play
from ttrpg_mcp.play.errors import NotFound
from ttrpg_mcp.play.ports import Unit
from ttrpg_mcp.store.connection import JOURNAL_TABLES, LoggedRow
from ttrpg_mcp.store.journal import Journal, read_journal
from ttrpg_mcp.store.journal_lines import Batch, LineSpan, from_line, sound_lines, span_of, to_line
from ttrpg_mcp.store.store import SqliteStore

ROW: LoggedRow = ("roll", {"seq": 7, "salt": b"\x00\xff", "result": '{"a":"\u2028\\n"}', "character_id": None})


@pytest.fixture
async def store(empty_store: SqliteStore, data: Path) -> SqliteStore:
    """A campaign whose first backup is made already: then the journal tells everything after the first change."""
    await make_campaign(empty_store)
    await until(lambda: any((campaign_file(data).parent / "backups").glob("*.db")))
    return empty_store


def folder(data: Path) -> Path:
    return campaign_file(data).parent / "journal"


def spans(data: Path) -> list[LineSpan]:
    return [span for path in sorted(folder(data).iterdir()) for span, _ in sound_lines(path.read_bytes())]


def told_since(data: Path) -> int:
    """The `seq` after which the journal tells everything: that of the newest backup but one."""
    backups = sorted((campaign_file(data).parent / "backups").glob("*.db"), reverse=True)
    return int(backups[1].stem.split("-")[1]) if len(backups) > 1 else 0


def number(row: Mapping[str, Any]) -> int:
    return int(row.get("seq") or row.get("seq_last") or 0)


def in_tables(data: Path) -> dict[str, list[Any]]:
    """Every row that the journal must have."""
    since = told_since(data)
    found = {table: rows(campaign_file(data), f"SELECT * FROM {table}") for table in JOURNAL_TABLES}  # noqa: S608
    return {table: sorted((row for row in found[table] if number(row) > since), key=repr) for table in JOURNAL_TABLES}


def in_journal(data: Path) -> dict[str, list[Any]]:
    """Every row that it has, once."""
    since = told_since(data)
    found: dict[str, dict[str, Any]] = {table: {} for table in JOURNAL_TABLES}
    for batch in read_journal(folder(data)):
        for table, row in batch.rows:
            if number(row) > since:
                whole = columns(data, table) | dict(row)
                found[table][repr(whole)] = whole
    return {table: [found[table][key] for key in sorted(found[table])] for table in JOURNAL_TABLES}


def columns(data: Path, table: str) -> dict[str, Any]:
    """The columns of the table in their order, all of them empty; an insert may leave out what is NULL."""
    names = rows(campaign_file(data), f"SELECT name FROM pragma_table_info('{table}')")  # noqa: S608
    return {row["name"]: None for row in names}


def test_a_line_comes_back_as_it_was_written() -> None:
    batch = Batch(7, 7, (ROW,))

    assert batch == from_line(to_line(batch))
    assert LineSpan(7, 7) == span_of(to_line(batch).rstrip(b"\n"))


@pytest.mark.parametrize("length", [0, 1, 40, 100, -1])
def test_a_torn_line_is_worth_nothing(length: int) -> None:
    assert None is span_of(to_line(Batch(7, 7, (ROW,)))[:-1][:length])


def test_a_changed_letter_is_noticed() -> None:
    line = to_line(Batch(7, 7, (ROW,)))[:-1]

    changed = [line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :] for at in range(len(line))]

    assert {None} == set(map(span_of, changed))


async def test_the_journal_has_every_row_of_the_logs(store: SqliteStore, data: Path) -> None:
    await play(store, range(12))
    await store.write(a_call("quiet", key="quiet"), nothing)
    await store.close()

    assert in_tables(data) == in_journal(data)


async def test_a_refused_unit_leaves_nothing_in_the_journal(store: SqliteStore, data: Path) -> None:
    def refuse(unit: Unit) -> None:
        roll(unit)
        raise NotFound("door", "north")

    with pytest.raises(NotFound):
        await store.write(a_call("refused"), refuse)
    await store.write(a_call("one"), roll)
    await store.close()

    assert in_tables(data) == in_journal(data)


async def test_a_torn_last_line_is_cut_at_the_next_start_and_written_again(store: SqliteStore, data: Path) -> None:
    await play(store, range(3))
    await store.close()
    newest = max(folder(data).iterdir())
    os.truncate(newest, newest.stat().st_size - 5)

    again = opened(data)
    await again.open()
    await again.read(a_call(), nothing)
    await again.write(a_call("after"), roll)
    await again.close()

    assert newest.read_bytes().endswith(b"\n")
    assert in_tables(data) == in_journal(data)


async def test_half_a_line_of_a_killed_server_does_not_spoil_the_next(store: SqliteStore, data: Path) -> None:
    await play(store, range(2))
    with max(folder(data).iterdir()).open("ab") as handle:
        handle.write(b'{"sha256":"half a li')

    await store.write(a_call("after"), roll)
    head = spans(data)[-1].last
    await store.close()

    assert rows(campaign_file(data), "SELECT head_seq FROM campaign")[0]["head_seq"] == head


async def test_what_could_not_be_appended_is_copied_with_the_next_append(store: SqliteStore, data: Path) -> None:
    await play(store, range(2))
    path = folder(data)
    path.rename(path.with_name("aside"))
    path.touch()  # no folder can be made here
    answered = await play(store, range(2, 5))
    path.unlink()
    path.with_name("aside").rename(path)

    await store.write(a_call("after"), roll)
    await store.close()

    assert 3 == len(answered)
    assert in_tables(data) == in_journal(data)


async def test_a_lost_journal_is_written_anew_from_the_tables(store: SqliteStore, data: Path) -> None:
    await play(store, range(5))
    await store.close()
    before = picture(data)
    for path in folder(data).iterdir():
        path.unlink()
    for path in (campaign_file(data).parent / "backups").iterdir():
        path.unlink()

    again = opened(data)
    await again.open()
    await again.read(a_call(), nothing)
    await again.close()

    assert before == picture(data)
    assert in_tables(data) == in_journal(data)


async def test_two_servers_append_to_one_journal(store: SqliteStore, data: Path) -> None:
    other = opened(data)
    await other.open()
    for turn in range(0, 12, 2):
        await play(store, [turn])
        if turn == 4:
            await store.back_up(CAMPAIGN_ID)  # which begins a new file
        await play(other, [turn + 1])
    await other.close()
    await store.close()

    assert in_tables(data) == in_journal(data)


async def test_a_backup_begins_a_new_file_and_lets_go_what_two_backups_have(store: SqliteStore, data: Path) -> None:
    for turn in range(4):
        await play(store, [turn])
        await store.back_up(CAMPAIGN_ID)
    await play(store, [4])
    firsts = [int(path.stem) for path in sorted(folder(data).iterdir())]
    backups = sorted(int(path.stem.split("-")[1]) for path in (campaign_file(data).parent / "backups").iterdir())
    await store.close()

    assert firsts[0] <= backups[-2] + 1 < firsts[1]


def test_an_empty_folder_has_no_head(tmp_path: Path) -> None:
    journal = Journal("x", tmp_path / "journal")

    journal.cut_torn_line()

    assert 0 == journal.head()
