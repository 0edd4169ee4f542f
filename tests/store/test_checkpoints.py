"""Checkpoints: a round trip, what they cost, what makes one unsound, and what a rollback would change."""

import json
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.big_session import HERO, make_big_session
from tests.store.entity_images import EXAMPLES, images
from tests.store.helpers import CAMPAIGN_ID, ENTRY, a_call, campaign_file, roll
from ttrpg_mcp.play.errors import CheckpointUnsound, NameTaken, NotFound
from ttrpg_mcp.play.ports import CheckpointKind, StateDifference, Unit, entity_id
from ttrpg_mcp.recovery.clock import SystemClock
from ttrpg_mcp.store import parts
from ttrpg_mcp.store.canonical import canonical_json
from ttrpg_mcp.store.checkpoints import manifest_hash, state_differences
from ttrpg_mcp.store.connection import Connection
from ttrpg_mcp.store.entity_codecs import CODECS
from ttrpg_mcp.store.migrations import CAMPAIGN_SCHEMA
from ttrpg_mcp.store.store import SqliteStore
from ttrpg_mcp.store.unit import CampaignUnit

OTHERS = sorted(set(CODECS) - {"campaign"})
MANIFEST = "SELECT schema, seq, manifest_hash FROM checkpoint WHERE id = ?"


@cache
def begun() -> bytes:
    """A campaign's file with nothing but the campaign in it."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        raw.row_factory = sqlite3.Row
        CAMPAIGN_SCHEMA.migrate(Connection(raw), CAMPAIGN_ID)
        unit = unit_of(raw)
        unit.campaign.begin(ENTRY, "generic")
        unit.finish("Begun.")
        return raw.serialize()


@contextmanager
def opened() -> Iterator[sqlite3.Connection]:
    """A campaign's tables in memory, with the campaign in them."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        raw.row_factory = sqlite3.Row
        raw.deserialize(begun())
        yield raw


@pytest.fixture
def raw() -> Iterator[sqlite3.Connection]:
    with opened() as raw:
        yield raw


@pytest.fixture
def unit(raw: sqlite3.Connection) -> CampaignUnit:
    return unit_of(raw)


def unit_of(raw: sqlite3.Connection, at_ms: int = 2_000) -> CampaignUnit:
    return CampaignUnit(Connection(raw), replace(a_call(), at_ms=at_ms), CAMPAIGN_ID)


def put(unit: Unit, entity: str, image: dict[str, Any]) -> None:
    unit.entities.put(entity, CODECS[entity].id_of(image), image, visibility="players")


def put_examples(unit: Unit) -> None:
    for entity, image in EXAMPLES.items():
        if entity != "campaign":
            put(unit, entity, image)


def rename_hero(unit: Unit, name: str) -> None:
    put(unit, "character", {**EXAMPLES["character"], "name": name})


def state_now(unit: Unit) -> dict[str, dict[str, Any]]:
    return {entity: {found.entity_id: found.image for found in unit.entities.all(entity)} for entity in CODECS}


def count(raw: sqlite3.Connection, table: str) -> int:
    return int(raw.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])  # noqa: S608


def post(raw: sqlite3.Connection, seq: int, *lines: tuple[str, str, str, int]) -> None:
    for line, (account, kind, what, amount) in enumerate(lines):
        raw.execute(
            "INSERT INTO posting VALUES (?, ?, ?, ?, ?, ?, ?, 'found')",
            (CAMPAIGN_ID, seq, line, account, kind, what, amount),
        )


# What is in one.


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from(OTHERS).flatmap(lambda kind: images(kind).map(lambda image: (kind, image))), max_size=12)
)
def test_a_checkpoint_gives_back_what_was_at_the_table(chosen: list[tuple[str, dict[str, Any]]]) -> None:
    """R54: log and any copy give the same state, also where parts are shared with the checkpoint before."""
    with opened() as raw:
        unit = unit_of(raw)
        for kind, image in chosen:
            try:
                put(unit, kind, image)
            except NameTaken:
                continue
            auto = unit.checkpoints.save("auto")

        expected = canonical_json(state_now(unit))
        safety = unit.checkpoints.save("safety")
        shared = unit.checkpoints.save("auto")
        assert expected == canonical_json(unit.checkpoints.state(safety.id))
        assert expected == canonical_json(unit.checkpoints.state(shared.id))
        if chosen and auto.seq == safety.seq:
            assert auto.manifest_hash == safety.manifest_hash
        assert "" == unit.checkpoints.verify(safety.id)


def test_the_row_says_where_the_campaign_stood(unit: CampaignUnit) -> None:
    """R54: session, time, the dice as a high-water mark, the release of the tables and the `seq`."""
    put_examples(unit)
    roll(unit)

    saved = unit.checkpoints.save("session")

    head = unit.counters.head_seq
    assert ("c14", "session", head, CAMPAIGN_SCHEMA.latest, 3, 1, "valid", "", 2_000, "gm") == (
        saved.id, saved.kind, saved.seq, saved.schema, saved.session_number, saved.roll_number, saved.status,
        saved.status_reason, saved.created_at_ms, saved.created_by,
    )  # fmt: skip
    assert saved.bytes_new > 0
    assert saved == unit.checkpoints.find("c14")


def test_it_holds_what_its_own_transaction_wrote_and_moves_no_seq(unit: CampaignUnit) -> None:
    rename_hero(unit, "Rowan")
    head = unit.counters.head_seq

    saved = unit.checkpoints.save("turn")

    assert "Rowan" == unit.checkpoints.state(saved.id)["character"]["rowan"]["name"]
    assert (head, head) == (saved.seq, unit.counters.head_seq)


def test_the_parts_are_those_of_the_table_s_things(raw: sqlite3.Connection, unit: CampaignUnit) -> None:
    put_examples(unit)
    post(raw, 5, ("rowan", "coins", "gp", 10), ("world", "coins", "gp", -10))

    unit.checkpoints.save("auto")

    bucket = f"{sha256(b'rowan').digest()[0] >> 4:x}"
    note = f"{sha256(b'klarg').digest()[0] >> 2:02x}"
    assert sorted(
        [
            "campaign", f"characters/{bucket}", "encounters", "ledger", "maps/road/memory", "maps/road/parts",
            "maps/road/rows", "members", f"notes/{note}", "random_tables", "sessions", "tokens/road",
        ]
    ) == [row["part"] for row in raw.execute("SELECT part FROM checkpoint_part ORDER BY part")]  # fmt: skip


def test_a_part_is_canonical_json_under_its_hash(raw: sqlite3.Connection, unit: CampaignUnit) -> None:
    saved = unit.checkpoints.save("auto")

    [row] = raw.execute(
        "SELECT part, checkpoint_part.hash, size, codec, body FROM checkpoint_part JOIN blob USING (hash)"
    )
    content = canonical_json({"campaign": {CAMPAIGN_ID: unit.entities.get("campaign", CAMPAIGN_ID)}}).encode()
    assert ("campaign", sha256(content).digest(), len(content), "zlib", zlib.compress(content, 1)) == tuple(row)
    listed = json.dumps([2, 1, [["campaign", row["hash"].hex()]]], separators=(",", ":"))
    assert sha256(b"ttrpg-checkpoint-v1" + listed.encode()).hexdigest() == saved.manifest_hash


def test_equal_states_have_equal_fingerprints_whatever_the_order_of_the_writes() -> None:
    prints = set()
    for order in (OTHERS, OTHERS[::-1]):
        with opened() as raw:
            unit = unit_of(raw)
            for entity in order:
                put(unit, entity, EXAMPLES[entity])
            prints.add(unit.checkpoints.save("auto").manifest_hash)

    assert 1 == len(prints)


def test_a_part_too_long_for_one_blob_comes_in_pieces(
    raw: sqlite3.Connection, unit: CampaignUnit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MOST_PART_BYTES", 1_000)
    for number in range(20):
        put(unit, "random_table", {**EXAMPLES["random_table"], "id": f"t{number}", "name": f"T{number}"})
    first = unit.checkpoints.save("auto")
    put(unit, "random_table", {**EXAMPLES["random_table"], "id": "t3", "name": "Storms"})

    second = unit.checkpoints.save("auto")

    pieces = [row[0] for row in raw.execute("SELECT part FROM checkpoint_part WHERE checkpoint_id = ?", (second.id,))]
    assert {"random_tables", "random_tables#1", "random_tables#2"} < set(pieces)
    assert 1_000 >= raw.execute("SELECT MAX(size) FROM blob").fetchone()[0]
    assert "T3" == unit.checkpoints.state(first.id)["random_table"]["t3"]["name"]
    assert canonical_json(state_now(unit)) == canonical_json(unit.checkpoints.state(second.id))


@given(st.text(max_size=8), st.integers(0, 9))
def test_no_id_of_a_map_is_taken_for_another_part(map_id: str, index: int) -> None:
    part = parts.part_of("token", entity_id(map_id, "t1"))

    assert part == parts.whole_name(parts.piece_name(part, index))
    assert 1 == part.count("/")


def test_the_ledger_is_kept_as_balances(raw: sqlite3.Connection, unit: CampaignUnit) -> None:
    rename_hero(unit, "Rowan")
    unit.checkpoints.save("auto")
    roll(unit)
    post(raw, 3, ("rowan", "coins", "gp", 10), ("world", "coins", "gp", -10), ("stash", "item", "a/b", 1))

    saved = unit.checkpoints.save("auto")

    assert {
        ("rowan", "coins", "gp"): 10,
        ("world", "coins", "gp"): -10,
        ("stash", "item", "a/b"): 1,
    } == unit.checkpoints.balances(saved.id)


# When there is one, and what it writes.


def test_an_unchanged_session_writes_nothing(raw: sqlite3.Connection, unit: CampaignUnit) -> None:
    """R53."""
    put_examples(unit)
    first = unit.checkpoints.save("auto")
    before = raw.serialize()

    again = [unit.checkpoints.save("auto"), unit.checkpoints.save("turn")]

    assert [first, first] == again
    assert unit.checkpoints.draft("auto") is None
    assert before == raw.serialize()


def test_only_the_parts_that_changed_are_encoded_anew(unit: CampaignUnit) -> None:
    """R53."""
    put_examples(unit)
    unit.checkpoints.save("auto")
    rename_hero(unit, "Rowan")

    draft = unit.checkpoints.draft("auto")

    assert draft is not None
    assert 1 == len(draft.blobs)
    assert 11 == len(draft.parts)


@pytest.mark.parametrize("kind", ["named", "safety"])
def test_named_and_safety_ones_rest_on_no_earlier_one(unit: CampaignUnit, kind: CheckpointKind) -> None:
    put_examples(unit)
    unit.checkpoints.save("auto")

    draft = unit.checkpoints.draft(kind, "Before the dragon" if kind == "named" else "")

    assert draft is not None
    assert (None, 11) == (draft.base_id, len(draft.blobs))


def test_what_was_deleted_is_gone_from_the_next_one(unit: CampaignUnit) -> None:
    put_examples(unit)
    unit.checkpoints.save("auto")
    unit.entities.delete("character", "rowan", visibility="players")

    saved = unit.checkpoints.save("auto")

    assert {} == unit.checkpoints.state(saved.id)["character"]
    assert "" == unit.checkpoints.verify(saved.id)


def test_the_end_of_a_session_has_one_of_its_own(unit: CampaignUnit) -> None:
    auto = unit.checkpoints.save("auto")

    ended = unit.checkpoints.save("session")

    assert ("c1", "c1-2", "session") == (auto.id, ended.id, ended.kind)
    assert ended == unit.checkpoints.save("session")


def test_a_name_is_taken_once_and_found_by_its_key(unit: CampaignUnit) -> None:
    saved = unit.checkpoints.save("named", "Before  the Dragon")

    with pytest.raises(NameTaken) as caught:
        unit.checkpoints.save("named", "before the dragon")

    assert "before the dragon 2" == caught.value.suggestion
    assert saved == unit.checkpoints.find("BEFORE THE DRAGON")


@pytest.mark.parametrize(("kind", "name"), [("named", ""), ("auto", "x")])
def test_a_named_one_has_a_name_and_no_other_has(unit: CampaignUnit, kind: CheckpointKind, name: str) -> None:
    with pytest.raises(ValueError, match="has a name"):
        unit.checkpoints.save(kind, name)


def test_another_server_s_young_one_is_enough(raw: sqlite3.Connection) -> None:
    """R53: two servers on one folder, and the background work is done once."""
    ours = unit_of(raw, 100_000)
    draft = ours.checkpoints.draft("auto", unless_younger_s=30)
    rename_hero(ours, "Rowan")
    ours.finish("Renamed.")
    theirs = unit_of(raw, 101_000)
    theirs.checkpoints.save("auto")
    rename_hero(theirs, "Ash")
    theirs.finish("Renamed.")

    assert draft is not None
    assert unit_of(raw, 110_000).checkpoints.keep(draft, unless_younger_s=30) is None
    assert unit_of(raw, 110_000).checkpoints.draft("auto", unless_younger_s=30) is None
    assert unit_of(raw, 131_000).checkpoints.draft("auto", unless_younger_s=30) is not None


def test_one_of_the_future_is_not_young(raw: sqlite3.Connection) -> None:
    unit_of(raw, 10**12).checkpoints.save("auto")
    unit = unit_of(raw, 2_000)
    rename_hero(unit, "Rowan")

    assert unit.checkpoints.draft("auto", unless_younger_s=30) is not None


def test_a_picture_whose_base_was_let_go_meanwhile_is_not_kept(unit: CampaignUnit) -> None:
    base = unit.checkpoints.save("auto")
    rename_hero(unit, "Rowan")
    draft = unit.checkpoints.draft("auto")
    unit.checkpoints.delete(base.id)

    assert draft is not None
    assert unit.checkpoints.keep(draft) is None
    assert "" == unit.checkpoints.verify(unit.checkpoints.save("auto").id)


def test_a_picture_that_was_kept_late_is_still_that_of_its_seq(unit: CampaignUnit) -> None:
    """R54: no torn picture, although the campaign goes on while it is packed."""
    rename_hero(unit, "Rowan")
    draft = unit.checkpoints.draft("auto")
    rename_hero(unit, "Ash")

    assert draft is not None
    saved = unit.checkpoints.keep(draft)

    assert saved is not None
    assert unit.counters.head_seq - 1 == saved.seq
    assert "Rowan" == unit.checkpoints.state(saved.id)["character"]["rowan"]["name"]
    assert "Ash" == unit.checkpoints.state(unit.checkpoints.save("auto").id)["character"]["rowan"]["name"]


async def test_in_a_big_session_one_changed_character_writes_less_than_64_kib(store: SqliteStore, data: Path) -> None:
    """R53: counted in the log of the real file, unchanged and slightly changed."""
    wal = campaign_file(data).with_name("campaign.db-wal")
    await store.write(a_call("big"), make_big_session)
    await store.write(a_call("first"), lambda unit: unit.checkpoints.save("auto"))
    await store.close()  # which empties the log
    store = SqliteStore(data, SystemClock(), synchronous="OFF")
    await store.open()
    try:
        await store.write(a_call("hurt"), lambda unit: put(unit, "character", {**HERO, "data": {"hp": 3}}))
        sizes = [wal.stat().st_size]
        changed = await store.write(a_call("second"), lambda unit: unit.checkpoints.save("auto"))
        sizes.append(wal.stat().st_size)
        await store.write(a_call("third"), lambda unit: unit.checkpoints.save("auto"))
        sizes.append(wal.stat().st_size)
    finally:
        await store.close()

    assert 0 < changed.bytes_new < 8 * 1024
    assert 0 < sizes[1] - sizes[0] < 64 * 1024
    assert 0 == sizes[2] - sizes[1]


# What makes one unsound.


def spoil_blob(raw: sqlite3.Connection) -> None:
    [hash_, body] = raw.execute(
        "SELECT hash, body FROM blob JOIN checkpoint_part USING (hash) WHERE part = 'members'"
    ).fetchone()
    middle = len(body) // 2
    spoilt = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
    raw.execute("UPDATE blob SET body = ? WHERE hash = ?", (spoilt, hash_))


def swap_blob(raw: sqlite3.Connection) -> None:
    raw.execute("UPDATE blob SET body = ?, size = 2", (zlib.compress(b"{}"),))


def make_bomb(raw: sqlite3.Connection) -> None:
    raw.execute("UPDATE blob SET body = ?", (zlib.compress(bytes(10_000_000)),))


def with_content(raw: sqlite3.Connection, content: bytes) -> None:
    """A blob and a manifest that fit each other, of something that is no part."""
    hash_ = sha256(content).digest()
    raw.execute("INSERT INTO blob VALUES (?, 'zlib', ?, ?)", (hash_, len(content), zlib.compress(content)))
    raw.execute("UPDATE checkpoint_part SET hash = ? WHERE part = 'campaign'", (hash_,))
    found = {row["part"]: row["hash"] for row in raw.execute("SELECT part, hash FROM checkpoint_part")}
    row = raw.execute("SELECT schema, seq FROM checkpoint").fetchone()
    raw.execute("UPDATE checkpoint SET manifest_hash = ?", (manifest_hash(row["schema"], row["seq"], found),))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (spoil_blob, "its part members "),
        (swap_blob, "does not match its hash"),
        (make_bomb, "has another length than it had"),
        (lambda raw: raw.execute("UPDATE blob SET body = x'ffffff'"), "cannot be unpacked"),
        (lambda raw: raw.execute("UPDATE blob SET codec = 'zstd'"), "is packed in an unknown way, 'zstd'"),
        (lambda raw: raw.execute("DELETE FROM blob"), "its part campaign is missing"),
        (lambda raw: raw.execute("DELETE FROM checkpoint_part WHERE part = 'members'"), "its list of parts is not"),
        (lambda raw: raw.execute("UPDATE checkpoint SET manifest_hash = zeroblob(32)"), "its list of parts is not"),
        (lambda raw: raw.execute("UPDATE checkpoint SET schema = 99"), "a newer release wrote it (schema 99)"),
        (lambda raw: with_content(raw, b"[]"), "it is no part of a checkpoint"),
        (lambda raw: with_content(raw, b"{}"), "it has no campaign"),
        (lambda raw: with_content(raw, b'{"campaign":{"x":{"id":"x"}}}'), "misses fields"),
        (lambda raw: with_content(raw, b'{"ghost":{}, "monster":{"x":{}}}'), "no kind of entity"),
    ],
)
def test_an_unsound_one_is_known_by_its_reason(
    raw: sqlite3.Connection, unit: CampaignUnit, spoil: Any, reason: str
) -> None:
    """R56."""
    put_examples(unit)
    saved = unit.checkpoints.save("auto")
    spoil(raw)

    with pytest.raises(CheckpointUnsound) as caught:
        unit.checkpoints.state(saved.id)

    assert reason in unit.checkpoints.verify(saved.id)
    assert caught.value.reason == unit.checkpoints.verify(saved.id)


def test_neither_a_missing_turn_order_nor_a_time_in_the_future_is_unsound(raw: sqlite3.Connection) -> None:
    """R56."""
    unit = unit_of(raw, 10**15)

    assert "" == unit.checkpoints.verify(unit.checkpoints.save("auto").id)


def test_an_invalid_one_stays_with_its_reason_and_nothing_is_built_on_it(unit: CampaignUnit) -> None:
    """R55."""
    put_examples(unit)
    first = unit.checkpoints.save("auto")
    unit.checkpoints.invalidate(first.id, "its part members is missing")

    second = unit.checkpoints.save("auto")

    found = unit.checkpoints.find(first.id)
    assert found is not None
    assert ("invalid", "its part members is missing") == (found.status, found.status_reason)
    assert "its part members is missing" == unit.checkpoints.verify(first.id)
    assert ("c13-2", "") == (second.id, unit.checkpoints.verify(second.id))


def test_the_next_whole_one_heals_a_rotten_blob(raw: sqlite3.Connection, unit: CampaignUnit) -> None:
    put_examples(unit)
    unit.checkpoints.save("auto")
    spoil_blob(raw)

    safety = unit.checkpoints.save("safety")

    assert safety.bytes_new > 0
    assert "" == unit.checkpoints.verify(safety.id)


def test_what_is_not_there_is_not_found(unit: CampaignUnit) -> None:
    records = unit.checkpoints
    asked = (
        records.verify,
        records.state,
        records.differences,
        records.delete,
        lambda key: records.invalidate(key, "reason"),
    )
    for ask in asked:
        with pytest.raises(NotFound):
            ask("c99")
    assert records.find("c99") is None


# Rollback.


def test_the_differences_are_what_a_rollback_writes(unit: CampaignUnit) -> None:
    """R07."""
    put_examples(unit)
    then = unit.checkpoints.save("named", "Then")
    expected = canonical_json(state_now(unit))
    rename_hero(unit, "Ash")
    unit.entities.delete("note", "klarg", visibility="players")
    put(unit, "token", {**EXAMPLES["token"], "id": "t2"})

    differences = unit.checkpoints.differences(then.id)

    assert [("character", "rowan"), ("note", "klarg"), ("token", "road/t2")] == [entry[:2] for entry in differences]
    assert StateDifference("note", "klarg", None, EXAMPLES["note"]) == differences[1]
    safety = unit.checkpoints.save("safety")
    for entity, key, _, image in sorted(differences, key=lambda entry: entry.then is not None):
        if image is None:
            unit.entities.delete(entity, key, visibility="gm")
        else:
            unit.entities.put(entity, key, image, visibility="gm")
    assert expected == canonical_json(state_now(unit))
    assert [] == list(unit.checkpoints.differences(then.id))
    assert 3 == len(unit.checkpoints.differences(safety.id))


def test_a_value_of_another_kind_is_a_difference() -> None:
    assert 1 == len(state_differences({"note": {"n": {"data": 1}}}, {"note": {"n": {"data": True}}}))
    assert [] == state_differences({"note": {}}, {})
