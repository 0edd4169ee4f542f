import sqlite3
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from tests.store.helpers import (
    CAMPAIGN_ID,
    a_call,
    answer,
    campaign_file,
    nothing,
    roll,
    rows,
    secret_roll,
    server_call,
)
from ttrpg_mcp.play.errors import (
    AlreadyAnswered,
    CampaignPaused,
    NotFound,
    RequestKeyReused,
    StoreUnavailable,
    TooLarge,
)
from ttrpg_mcp.play.ports import (
    GM,
    Answer,
    CallEntry,
    CompartmentHealth,
    Principal,
    Receipt,
    RollEntry,
    StoredAnswer,
    StoreHealth,
    Unit,
)
from ttrpg_mcp.recovery.clock import SystemClock
from ttrpg_mcp.store.store import SqliteStore

PLAYER = Principal("player", "Ann")


async def test_a_write_returns_the_story_s_value(store: SqliteStore) -> None:
    entry = await store.write(a_call("one"), roll)

    assert RollEntry(1, 2, 1, 2_000, "gm", "d20", "1d20", entry.total, {"total": int(entry.total)}) == entry


async def test_a_write_is_logged_with_its_summary_and_the_players_counter(store: SqliteStore, data: Path) -> None:
    value = await store.write(a_call("one"), roll)
    await store.close()

    assert [
        {
            "campaign_id": CAMPAIGN_ID,
            "call_id": "one",
            "seq_first": 2,
            "seq_last": 2,
            "at_ms": 2_000,
            "principal": "gm",
            "tool": "dice_roll",
            "kind": "do",
            "target_call": None,
            "summary": f"got {value}",
            "undoable": 0,
            "audience_seq": '{"players":2}',
        }
    ] == rows(campaign_file(data), "SELECT * FROM call_log WHERE call_id = 'one'")


async def test_a_long_summary_is_cut_at_200_letters(store: SqliteStore, data: Path) -> None:
    def chatty(value: object) -> Answer:
        return Answer("x" * 300 + "\nmore", {})

    await store.write(a_call("one", render=chatty), roll)
    await store.close()

    assert [{"summary": "x" * 200}] == rows(campaign_file(data), "SELECT summary FROM call_log WHERE call_id = 'one'")


async def test_a_secret_roll_does_not_move_the_players_counter(store: SqliteStore, data: Path) -> None:
    await store.write(a_call("one"), secret_roll)
    await store.write(a_call("two"), roll)
    await store.close()

    logged = rows(campaign_file(data), "SELECT call_id, audience_seq FROM call_log WHERE seq_first > 1")
    assert [{"call_id": "one", "audience_seq": "{}"}, {"call_id": "two", "audience_seq": '{"players":2}'}] == logged


async def test_players_do_not_read_secret_rolls(store: SqliteStore) -> None:
    await store.write(a_call("one"), secret_roll)
    await store.write(a_call("two"), roll)

    def numbers(unit: Unit) -> list[int]:
        return [entry.number for entry in unit.rolls.page(before=None, since=0, limit=10)]

    assert [2] == await store.read(a_call(principal=PLAYER), numbers)
    assert [2, 1] == await store.read(a_call(), numbers)


async def test_a_write_that_takes_no_seq_is_not_logged(store: SqliteStore, data: Path) -> None:
    await store.write(a_call("one"), nothing)
    await store.close()

    assert [] == rows(campaign_file(data), "SELECT * FROM call_log WHERE call_id = 'one'")


async def test_a_repeat_gets_the_stored_answer_and_rolls_no_second_time(store: SqliteStore) -> None:
    first = await store.write(a_call("one", key="k"), roll)

    with pytest.raises(AlreadyAnswered) as caught:
        await store.write(a_call("two", key="k"), roll)

    assert StoredAnswer("dice_roll", b"hash", answer(first)) == caught.value.answer
    assert 2 == await store.read(a_call(), lambda unit: unit.campaign.get().head_seq)


async def test_two_equal_requests_in_one_batch_roll_once(store: SqliteStore) -> None:
    outcomes: list[object] = []

    async def ask(call_id: str) -> None:
        try:
            outcomes.append(await store.write(a_call(call_id, key="k"), roll))
        except AlreadyAnswered as answered:
            outcomes.append(answered.answer.answer)

    async with anyio.create_task_group() as group:
        group.start_soon(ask, "one")
        group.start_soon(ask, "two")

    assert [answer(outcomes[0])] == outcomes[1:]
    assert 1 == await store.read(a_call(), lambda unit: unit.campaign.get().head_roll)


async def test_a_key_of_another_request_is_refused(store: SqliteStore) -> None:
    await store.write(a_call("one", key="k"), roll)

    with pytest.raises(RequestKeyReused, match='The request_key "k" already belongs to another call of dice_roll'):
        await store.write(a_call("two", key="k", request_hash=b"other"), roll)


async def test_a_key_belongs_to_its_principal(store: SqliteStore) -> None:
    first = await store.write(a_call("one", key="k"), roll)
    second = await store.write(a_call("two", key="k", principal=PLAYER), roll)

    assert [1, 2] == [first.number, second.number]


async def test_the_stored_answer_can_be_asked_for(store: SqliteStore) -> None:
    value = await store.write(a_call("one", key="k"), roll)

    assert StoredAnswer("dice_roll", b"hash", answer(value)) == await store.stored_answer(a_call("two", key="k"))
    assert None is await store.stored_answer(a_call("two", key="other"))
    assert None is await store.stored_answer(a_call("two"))


async def test_asking_for_the_answer_of_another_request_is_refused(store: SqliteStore) -> None:
    await store.write(a_call("one", key="k"), roll)

    with pytest.raises(RequestKeyReused):
        await store.stored_answer(a_call("two", key="k", request_hash=b"other"))


async def test_a_refused_story_leaves_nothing(store: SqliteStore, data: Path) -> None:
    def refuse(unit: Unit) -> None:
        roll(unit)
        raise NotFound("door", "north")

    with pytest.raises(NotFound, match='no door named "north"'):
        await store.write(a_call("one", key="k"), refuse)
    await store.close()

    left = """
        SELECT number FROM roll UNION ALL SELECT epoch FROM roll_epoch UNION ALL SELECT seq FROM answer
        UNION ALL SELECT seq_first FROM call_log UNION ALL SELECT head_seq FROM campaign
    """
    assert [{"number": 1}, {"number": 1}] == rows(campaign_file(data), left)  # the creation's call and `seq`


async def test_an_answer_over_64_kib_is_refused_and_nothing_is_saved(store: SqliteStore) -> None:
    def endless(value: object) -> Answer:
        return Answer("x" * 64 * 1024, {})

    with pytest.raises(TooLarge, match=r"The answer would be 65,\d+ bytes long; at most 65,536 are kept"):
        await store.write(a_call("one", key="k", render=endless), roll)

    assert 1 == await store.read(a_call(), lambda unit: unit.campaign.get().head_seq)


async def test_a_stream_without_its_roll_is_refused(store: SqliteStore) -> None:
    with pytest.raises(RuntimeError, match="did not save its roll"):
        await store.write(a_call("one"), lambda unit: unit.rolls.next_stream(bytes(32)))

    assert 0 == await store.read(a_call(), lambda unit: unit.campaign.get().head_roll)


@pytest.mark.parametrize("status", ["paused", "archived"])
async def test_a_paused_campaign_takes_no_writes_but_repeats_are_answered(
    store: SqliteStore, data: Path, status: str
) -> None:
    await store.write(a_call("one", key="k"), roll)
    _set_status(data, status)

    with pytest.raises(CampaignPaused, match=rf'The campaign "Lost Mine" is {status} \(flood\)'):
        await store.write(a_call("two"), roll)
    with pytest.raises(AlreadyAnswered):
        await store.write(a_call("three", key="k"), roll)


def _set_status(data: Path, status: str) -> None:
    connection = sqlite3.connect(campaign_file(data), isolation_level=None)
    connection.execute("UPDATE campaign SET status = ?, status_reason = 'flood'", (status,))
    connection.close()


async def test_a_read_sees_the_campaign_and_its_receipt(store: SqliteStore) -> None:
    await store.write(a_call("one"), roll)

    receipt, campaign = await store.read(a_call(), lambda unit: (unit.receipt(), unit.campaign.get()))

    assert Receipt("Lost Mine", 2) == receipt
    assert (CAMPAIGN_ID, "open", 2, 1, 1) == (
        campaign.id,
        campaign.status,
        campaign.head_seq,
        campaign.head_roll,
        campaign.version,
    )


async def test_changes_and_their_calls_are_paged_newest_first(store: SqliteStore) -> None:
    def look(unit: Unit) -> tuple[list[tuple[int, str]], object]:
        page = unit.changes.page(before=None, since=0, limit=5)
        return [(entry.seq, entry.entity) for entry in page], unit.changes.calls(["create", "unknown"])

    made = CallEntry("create", 1, 1, 2_000, "gm", "dice_roll", 'Created the campaign "Lost Mine".')
    assert ([(1, "campaign")], {"create": made}) == await store.read(a_call(), look)


async def test_a_receipt_counts_the_seqs_of_its_own_transaction(store: SqliteStore) -> None:
    def story(unit: Unit) -> Receipt:
        roll(unit)
        return unit.receipt()

    assert Receipt("Lost Mine", 2) == await store.write(a_call("one"), story)


async def test_a_read_sees_the_commits_of_another_store_at_once(store: SqliteStore, data: Path) -> None:
    other = SqliteStore(data, SystemClock(), synchronous="OFF")
    await other.open()

    await other.write(a_call("one"), roll)
    seen = await store.read(a_call(), lambda unit: unit.campaign.get().head_seq)
    await other.close()

    assert 2 == seen


async def test_an_unknown_campaign_is_not_found(store: SqliteStore, data: Path) -> None:
    for campaign_id in ("unknown-abcdef", "../../etc", "Lost Mine", ""):
        with pytest.raises(NotFound):
            await store.read(a_call(campaign_id=campaign_id), nothing)

    assert [CAMPAIGN_ID] == [path.name for path in (data / "campaigns").iterdir()]


async def test_the_server_s_file_keeps_answers_too(store: SqliteStore) -> None:
    await store.write_server(server_call("one", key="k"), nothing)

    with pytest.raises(AlreadyAnswered):
        await store.write_server(server_call("two", key="k"), nothing)
    assert StoredAnswer("dice_roll", b"hash", answer("nothing")) == await store.stored_answer(server_call(key="k"))


async def test_a_closed_store_refuses_and_closes_twice(store: SqliteStore) -> None:
    await store.close()
    await store.close()

    for refused in (store.write(a_call("one"), roll), store.read_server(server_call(), nothing)):
        with pytest.raises(StoreUnavailable):
            await refused
    assert not store.health().is_ready


async def test_closing_empties_the_log_into_the_file(store: SqliteStore, data: Path) -> None:
    await store.write(a_call("one"), roll)

    await store.close()

    folder = campaign_file(data).parent
    assert {"campaign.db", "campaign.lock", "campaign.turn"} == {path.name for path in folder.iterdir()}


async def test_everything_is_there_after_a_restart(store: SqliteStore, data: Path) -> None:
    await store.write(a_call("one", key="k"), roll)
    await store.close()

    again = SqliteStore(data, SystemClock(), synchronous="OFF")
    await again.open()
    entry = await again.write(a_call("two"), roll)
    await again.close()

    assert (2, 3, 1) == (entry.number, entry.seq, entry.epoch)


async def test_all_files_are_the_owner_s_alone(store: SqliteStore, data: Path) -> None:
    await store.write(a_call("one"), roll)

    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (data, *data.rglob("*"))}

    expected = {"data": "0o700", "campaigns": "0o700", CAMPAIGN_ID: "0o700"}
    for name in ("server.db", "campaign.db"):
        expected |= {name: "0o600", f"{name}-wal": "0o600", f"{name}-shm": "0o600"}
    for name in ("server", "campaign"):
        expected |= {f"{name}.lock": "0o600", f"{name}.turn": "0o600"}
    assert expected == modes


async def test_health_comes_from_memory(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.write(a_call("one"), roll)
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 2))

    health = store.health()

    assert StoreHealth(True, sqlite3.sqlite_version, (CompartmentHealth(CAMPAIGN_ID, 0, 2),)) == replace(
        health, warnings=()
    )
    assert [True] == ["rare fault" in warning for warning in health.warnings]


async def test_a_sound_sqlite_gives_no_warning(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3))

    assert () == store.health().warnings


async def test_an_append_only_row_can_be_neither_changed_nor_deleted(store: SqliteStore, data: Path) -> None:
    await store.write(a_call("one"), roll)
    await store.close()

    connection = sqlite3.connect(campaign_file(data))
    connection.execute("INSERT INTO roll_mark VALUES ('x', 1, 9, 'undone', '{}')")
    for table in ("changes", "call_log", "roll", "roll_epoch", "roll_mark"):
        for sql in ("UPDATE {} SET campaign_id = 'x'", "DELETE FROM {}"):
            with pytest.raises(sqlite3.IntegrityError, match=f"{table} is append only"):
                connection.execute(sql.format(table))
    connection.close()


async def test_the_last_used_campaign_is_remembered(store: SqliteStore) -> None:
    await store.write_server(server_call(), lambda unit: unit.preferences.put(GM, "one", 1))
    await store.write_server(server_call(), lambda unit: unit.preferences.put(GM, "two", 2))

    assert ("two", None) == await store.read_server(
        server_call(), lambda unit: (unit.preferences.of(GM), unit.preferences.of(PLAYER))
    )
