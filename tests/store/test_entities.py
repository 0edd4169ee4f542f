"""Every entity of the log: there and back, in step with the log, its version, its name and the search."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.entity_images import EXAMPLES, images
from tests.store.helpers import CAMPAIGN_ID, ENTRY, a_call, campaign_file, rows
from ttrpg_mcp.play.errors import NameTaken, TooLarge, VersionConflict
from ttrpg_mcp.play.ports import EntityRecord, Unit, entity_id, entity_key
from ttrpg_mcp.store.canonical import canonical_json
from ttrpg_mcp.store.connection import Connection
from ttrpg_mcp.store.entities import EntityTable
from ttrpg_mcp.store.entity_codecs import CODECS, MOST_IMAGE_BYTES, MOST_NOTE_BYTES
from ttrpg_mcp.store.migrations import CAMPAIGN_SCHEMA
from ttrpg_mcp.store.store import SqliteStore
from ttrpg_mcp.store.unit import CampaignUnit

OTHERS = sorted(set(CODECS) - {"campaign"})
NOTE = EXAMPLES["note"]
COMBATANT = EXAMPLES["combatant"]


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


def unit_of(raw: sqlite3.Connection) -> CampaignUnit:
    return CampaignUnit(Connection(raw), a_call(), CAMPAIGN_ID)


@pytest.fixture
def raw() -> Iterator[sqlite3.Connection]:
    with opened() as raw:
        yield raw


@pytest.fixture
def entities(raw: sqlite3.Connection) -> EntityTable:
    return unit_of(raw).entities


def id_of(entity: str, image: dict[str, Any]) -> str:
    return CODECS[entity].id_of(image)


def put(entities: EntityTable, entity: str, image: dict[str, Any], **more: Any) -> int:
    return entities.put(entity, id_of(entity, image), image, **{"visibility": "players", **more})


def log(raw: sqlite3.Connection) -> list[tuple[int, str, str, Any, Any, str]]:
    """The changes after the campaign's own beginning."""
    names = ("before", "after")
    found = raw.execute("SELECT * FROM changes WHERE seq > 1 ORDER BY seq").fetchall()
    return [
        (
            row["seq"],
            row["entity"],
            row["entity_id"],
            *(row[name] and json.loads(row[name]) for name in names),
            row["visibility"],
        )
        for row in found
    ]


def search(raw: sqlite3.Connection, words: str) -> list[str]:
    sql = "SELECT note.id FROM note_fts JOIN note ON note_number = note_fts.rowid WHERE note_fts MATCH ?"
    return [row["id"] for row in raw.execute(sql, (words,))]


def require_search_in_step(raw: sqlite3.Connection) -> None:
    """Raise when the index does not hold exactly what the notes do; rank 1 makes it compare with them."""
    raw.execute("INSERT INTO note_fts (note_fts, rank) VALUES ('integrity-check', 1)")


def test_there_is_an_example_of_every_kind_in_the_order_of_the_codecs() -> None:
    assert list(CODECS) == list(EXAMPLES)


@pytest.mark.parametrize("entity", list(CODECS))
@settings(max_examples=25)
@given(data=st.data())
def test_what_the_table_gives_back_is_what_was_put_and_what_was_logged(entity: str, data: st.DataObject) -> None:
    image, later = data.draw(images(entity)), data.draw(images(entity))
    key = {column.field: image[column.field] for column in CODECS[entity].key}
    with opened() as raw:
        entities = unit_of(raw).entities

        for wanted in (image, later | key):
            put(entities, entity, wanted)
            found = entities.find(entity, id_of(entity, image))

            assert found is not None
            assert canonical_json(CODECS[entity].normal(wanted)) == canonical_json(found.image)
            logged = raw.execute("SELECT after FROM changes WHERE seq = ?", (found.version,)).fetchone()["after"]
            assert canonical_json(found.image) == logged
            assert [found] == list(entities.all(entity))


@pytest.mark.parametrize("entity", list(CODECS))
def test_an_image_comes_back_as_it_was_put(entities: EntityTable, entity: str) -> None:
    put(entities, entity, EXAMPLES[entity])

    assert EXAMPLES[entity] == entities.get(entity, id_of(entity, EXAMPLES[entity]))


@pytest.mark.parametrize("entity", list(CODECS))
def test_every_column_is_in_the_image_or_left_out_on_purpose(raw: sqlite3.Connection, entity: str) -> None:
    left_out = {
        "campaign": {"head_seq", "head_roll", "commit_epoch", "lineage", "clean", "app_version"},
        "member": {"campaign_id", "last_seen_at_ms"},
        "note": {"campaign_id", "note_number"},
    }
    codec = CODECS[entity]

    columns = {row["name"] for row in raw.execute(f"PRAGMA table_info({codec.table})")}

    key_column = {codec.named.key_column} if codec.named else set()
    known = {column.name for column in (*codec.key, *codec.columns)} | key_column | {"version"}
    assert columns - known == left_out.get(entity, {"campaign_id"})


@pytest.mark.parametrize("entity", OTHERS)
def test_an_entity_that_is_made_changed_and_deleted_is_three_changes(raw: sqlite3.Connection, entity: str) -> None:
    entities, image = unit_of(raw).entities, EXAMPLES[entity]
    field = next(column.field for column in CODECS[entity].columns if column.field in {"data", "cells"})
    changed = image | {field: "####" if field == "cells" else {"changed": True}}
    its_id = id_of(entity, image)

    made = entities.put(entity, its_id, image, visibility="gm")
    moved = entities.put(entity, its_id, changed, visibility="players")
    gone = entities.delete(entity, its_id, visibility="player:Anna")

    assert (2, 3, 4) == (made, moved, gone)
    assert [
        (2, entity, its_id, None, image, "gm"),
        (3, entity, its_id, image, changed, "players"),
        (4, entity, its_id, changed, None, "player:Anna"),
    ] == log(raw)
    assert entities.find(entity, its_id) is None


def test_the_version_is_the_seq_of_the_change_that_wrote_it(entities: EntityTable) -> None:
    version = put(entities, "note", NOTE)

    assert EntityRecord("klarg", NOTE, version) == entities.find("note", "klarg")


def test_an_equal_image_writes_nothing(raw: sqlite3.Connection) -> None:
    entities = unit_of(raw).entities
    version = put(entities, "note", NOTE)

    again = put(entities, "note", NOTE | {"readers": ["player:Ben", "player:Anna", "player:Ben"]})

    assert (version, 1) == (again, len(log(raw)))


def test_deleting_what_is_not_there_writes_nothing(raw: sqlite3.Connection) -> None:
    assert unit_of(raw).entities.delete("note", "nobody", visibility="gm") is None
    assert [] == log(raw)


@pytest.mark.parametrize("is_delete", [False, True])
def test_a_stale_version_changes_nothing_and_shows_the_newest(raw: sqlite3.Connection, *, is_delete: bool) -> None:
    entities = unit_of(raw).entities
    stale = put(entities, "note", NOTE)
    newest = NOTE | {"body": "He is dead."}
    version = put(entities, "note", newest)

    act = partial(entities.delete, "note", "klarg") if is_delete else partial(entities.put, "note", "klarg", NOTE)

    with pytest.raises(VersionConflict) as caught:
        act(visibility="gm", expect_version=stale)

    conflict = caught.value
    assert (stale, version, newest) == (conflict.expected, conflict.version, conflict.image)
    assert (newest, 2) == (entities.get("note", "klarg"), len(log(raw)))


def test_the_expected_version_lets_a_change_and_a_deletion_through(entities: EntityTable) -> None:
    version = put(entities, "note", NOTE, expect_version=0)
    version = put(entities, "note", NOTE | {"body": "Gone."}, expect_version=version)

    assert version + 1 == entities.delete("note", "klarg", visibility="gm", expect_version=version)


def test_what_was_deleted_meanwhile_is_a_conflict_too(entities: EntityTable) -> None:
    version = put(entities, "note", NOTE)
    entities.delete("note", "klarg", visibility="gm")

    with pytest.raises(VersionConflict, match="not there any more"):
        put(entities, "note", NOTE, expect_version=version)


def test_a_version_of_zero_makes_only_what_is_not_there_yet(entities: EntityTable) -> None:
    put(entities, "note", NOTE)

    with pytest.raises(VersionConflict, match="there already"):
        put(entities, "note", NOTE, expect_version=0)


def test_a_name_belongs_to_one_alone_and_a_free_one_is_offered(raw: sqlite3.Connection) -> None:
    entities = unit_of(raw).entities
    put(entities, "character", EXAMPLES["character"])

    with pytest.raises(NameTaken) as caught:
        put(entities, "character", EXAMPLES["character"] | {"id": "other", "name": "rowan ASH"})

    assert ("character", "rowan ASH 2", 1) == (caught.value.kind, caught.value.suggestion, len(log(raw)))


def test_a_character_may_change_the_letters_of_its_own_name(entities: EntityTable) -> None:
    put(entities, "character", EXAMPLES["character"])

    put(entities, "character", EXAMPLES["character"] | {"name": "ROWAN ash"})


@pytest.mark.parametrize(
    ("entity", "field", "limit"), [("note", "body", MOST_NOTE_BYTES), ("character", "data", MOST_IMAGE_BYTES)]
)
def test_an_image_beyond_its_limit_is_refused(raw: sqlite3.Connection, entity: str, field: str, limit: int) -> None:
    empty = "" if field == "body" else {"text": ""}
    room = limit - len(canonical_json(EXAMPLES[entity] | {field: empty}).encode())
    entities = unit_of(raw).entities

    def filled(size: int) -> dict[str, Any]:
        return EXAMPLES[entity] | {field: "x" * size if field == "body" else {"text": "x" * size}}

    put(entities, entity, filled(room))
    put(entities, entity, filled(room) | {"name" if entity == "character" else "title": "K"})
    with pytest.raises(TooLarge) as caught:
        put(entities, entity, filled(room + 1))

    assert (entity, limit + 1, limit, 2) == (
        caught.value.kind,
        caught.value.size,
        caught.value.limit,
        len(log(raw)),
    )


@pytest.mark.parametrize(
    ("entity", "wrong"),
    [
        ("note", {"title": 12}),
        ("note", {"pinned": 1}),
        ("note", {"tags": ["two  blanks"]}),
        ("note", {"tags": ["two\nlines"]}),
        ("note", {"tags": "bugbear"}),
        ("note", {"readers": [1]}),
        ("note", {"readers": "Anna"}),
        ("note", {"links": [{"to_kind": "note"}]}),
        ("note", {"links": ["cave"]}),
        ("note", {"note_number": 1}),
        ("note", {"body": "\ud800"}),
        ("note", {"data": {"x": float("nan")}}),
        ("note", {"data": {"x": {1, 2}}}),
        ("note", {"created_at_ms": True}),
        ("note", {"created_at_ms": 2**63}),
        ("note", {"id": "another"}),
        ("combatant", {"initiative": float("inf")}),
        ("combatant", {"initiative": "14"}),
    ],
)
def test_what_is_no_image_is_refused(raw: sqlite3.Connection, entity: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"field|belongs"):
        unit_of(raw).entities.put(
            entity, id_of(entity, EXAMPLES[entity]), EXAMPLES[entity] | wrong, visibility="players"
        )

    assert [] == log(raw)


def test_a_field_that_is_missing_is_refused(entities: EntityTable) -> None:
    with pytest.raises(ValueError, match="body"):
        put(entities, "note", {field: value for field, value in NOTE.items() if field != "body"})


def test_an_unknown_kind_is_refused(entities: EntityTable) -> None:
    with pytest.raises(ValueError, match="spell"):
        entities.get("spell", "fireball")


@given(st.lists(st.text() | st.integers(), min_size=1, max_size=4))
def test_an_id_gives_the_parts_of_its_key_back(parts: list[str | int]) -> None:
    assert tuple(str(part) for part in parts) == entity_key(entity_id(*parts), len(parts))


@pytest.mark.parametrize(
    ("entity", "wrong"),
    [("session", "three"), ("session", "03"), ("map_row", "road"), ("map_row", "road/x"), ("token", "a/b/c"),
     ("token", "a%/b")],
)  # fmt: skip
def test_an_id_of_another_form_is_refused(entities: EntityTable, entity: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=r"no id|parts"):
        entities.get(entity, wrong)


def test_a_slash_in_a_key_does_not_make_two_entities_one(entities: EntityTable) -> None:
    first, second = COMBATANT | {"encounter_id": "a/b", "id": "c"}, COMBATANT | {"encounter_id": "a", "id": "b/c"}

    put(entities, "combatant", first)
    put(entities, "combatant", second)

    assert [("a/b%2Fc", second), ("a%2Fb/c", first)] == [record[:2] for record in entities.all("combatant")]


def test_all_can_be_limited_to_the_first_parts_of_the_key(entities: EntityTable) -> None:
    for encounter, its_id in [("two", "x"), ("one", "b"), ("one", "a")]:
        put(entities, "combatant", COMBATANT | {"encounter_id": encounter, "id": its_id})

    assert ["one/a", "one/b"] == [record.entity_id for record in entities.all("combatant", "one")]


def test_all_notes_come_with_their_own_readers_and_links(entities: EntityTable) -> None:
    bare = NOTE | {"id": "cave", "title": "Cave", "readers": [], "links": [], "tags": []}
    put(entities, "note", NOTE)
    put(entities, "note", bare)

    assert [bare, NOTE] == [record.image for record in entities.all("note")]


def test_a_note_s_tags_are_found_by_key_and_go_with_it(raw: sqlite3.Connection) -> None:
    entities = unit_of(raw).entities
    put(entities, "note", NOTE)
    put(entities, "note", NOTE | {"tags": ["Bugbear", "BUGBEAR", "Wave Echo"]})

    keys = [row[0] for row in raw.execute("SELECT tag_key FROM note_tag ORDER BY tag_key")]
    entities.delete("note", "klarg", visibility="gm")

    assert ["bugbear", "wave echo"] == keys
    left = "SELECT note_id FROM note_tag UNION SELECT note_id FROM note_reader UNION SELECT from_note FROM note_link"
    assert [] == raw.execute(left).fetchall()


def test_the_search_finds_notes_as_they_are_now(raw: sqlite3.Connection) -> None:
    entities = unit_of(raw).entities
    put(entities, "note", NOTE)
    put(entities, "note", NOTE | {"id": "cave", "title": "Höhle", "body": "Dark.", "secret": "", "tags": []})
    found_first = search(raw, "bugbear"), search(raw, "hohle"), search(raw, "secret: spider")

    put(entities, "note", NOTE | {"body": "An owlbear.", "secret": "", "tags": []})
    found_then = search(raw, "bugbear"), search(raw, "owlb*"), search(raw, "spider")
    entities.delete("note", "klarg", visibility="gm")

    assert (["klarg"], ["cave"], ["klarg"]) == found_first
    assert ([], ["klarg"], []) == found_then
    assert [] == search(raw, "owlbear")
    require_search_in_step(raw)


@settings(max_examples=25)
@given(data=st.data())
def test_the_search_stays_in_step_whatever_happens_to_notes(data: st.DataObject) -> None:
    with opened() as raw:
        entities = unit_of(raw).entities
        for _ in range(data.draw(st.integers(1, 6))):
            its_id = data.draw(st.sampled_from("abc"))
            if data.draw(st.booleans()):
                put(entities, "note", data.draw(images("note")) | {"id": its_id, "title": its_id})
            else:
                entities.delete("note", its_id, visibility="gm")

            require_search_in_step(raw)


def test_the_search_is_in_step_after_a_vacuum(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "campaign.db", isolation_level=None)) as raw:
        raw.row_factory = sqlite3.Row
        CAMPAIGN_SCHEMA.migrate(Connection(raw), CAMPAIGN_ID)
        entities = unit_of(raw).entities
        for number in range(20):
            put(entities, "note", NOTE | {"id": f"n{number:02}", "title": f"n{number:02}", "body": f"word{number}"})
        for number in range(0, 20, 2):
            entities.delete("note", f"n{number:02}", visibility="gm")

        raw.execute("VACUUM")

        require_search_in_step(raw)
        assert (["n13"], []) == (search(raw, "word13"), search(raw, "word12"))


def test_the_check_of_the_search_sees_an_index_that_is_out_of_step(raw: sqlite3.Connection) -> None:
    put(unit_of(raw).entities, "note", NOTE)
    raw.execute("DROP TRIGGER note_rewritten")
    raw.execute("UPDATE note SET body = 'something else'")

    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        require_search_in_step(raw)


def test_a_member_s_last_visit_outlives_a_change(raw: sqlite3.Connection) -> None:
    entities = unit_of(raw).entities
    put(entities, "member", EXAMPLES["member"])
    raw.execute("UPDATE member SET last_seen_at_ms = 7")

    put(entities, "member", EXAMPLES["member"] | {"display_name": "Annie"})

    assert 7 == raw.execute("SELECT last_seen_at_ms FROM member").fetchone()[0]


def test_the_campaign_can_be_changed_but_neither_made_nor_deleted(raw: sqlite3.Connection) -> None:
    entities = unit_of(raw).entities

    with pytest.raises(ValueError, match="with its file"):
        entities.delete("campaign", CAMPAIGN_ID, visibility="players")
    with pytest.raises(ValueError, match="with its file"):
        put(entities, "campaign", EXAMPLES["campaign"] | {"id": "another"})


def test_the_campaign_s_first_change_has_the_image_of_its_codec(raw: sqlite3.Connection) -> None:
    logged = raw.execute("SELECT after FROM changes WHERE seq = 1").fetchone()["after"]

    image = unit_of(raw).entities.get("campaign", CAMPAIGN_ID)

    assert json.loads(logged) == image


def test_the_campaign_s_image_of_an_older_release_keeps_what_it_does_not_name(entities: EntityTable) -> None:
    older = {"id": CAMPAIGN_ID, "name": "Older", "system": "generic", "status": "open", "settings": {}}

    put(entities, "campaign", older)

    whole = older | {"status_reason": None, "created_at_ms": ENTRY.created_at_ms}
    assert whole == entities.get("campaign", CAMPAIGN_ID)


async def test_a_story_sees_the_campaign_that_it_changed(store: SqliteStore) -> None:
    def story(unit: Unit) -> tuple[str, int]:
        image = unit.entities.get("campaign", CAMPAIGN_ID)
        assert image is not None
        unit.entities.put("campaign", CAMPAIGN_ID, {**image, "name": "Found Mine"}, visibility="players")
        campaign = unit.campaign.get()
        return campaign.name, campaign.version

    assert ("Found Mine", 2) == await store.write(a_call("one"), story)
    assert "Found Mine" == await store.read(a_call(), lambda unit: unit.campaign.get().name)


async def test_a_story_writes_a_note_and_finds_it_after_a_restart(store: SqliteStore, data: Path) -> None:
    await store.write(a_call("one"), lambda unit: unit.entities.put("note", "klarg", NOTE, visibility="gm"))
    found = await store.read(a_call(), lambda unit: unit.entities.all("note"))
    await store.close()

    assert [EntityRecord("klarg", NOTE, 2)] == list(found)
    assert [{"id": "klarg"}] == rows(
        campaign_file(data),
        "SELECT note.id FROM note_fts JOIN note ON note_number = note_fts.rowid WHERE note_fts MATCH 'spid*'",
    )


async def test_a_refused_write_leaves_no_trace(store: SqliteStore) -> None:
    def story(unit: Unit) -> None:
        unit.entities.put("note", "klarg", NOTE, visibility="gm")
        unit.entities.put("note", "klarg", NOTE, visibility="gm", expect_version=99)

    with pytest.raises(VersionConflict):
        await store.write(a_call("one"), story)

    assert [] == list(await store.read(a_call(), lambda unit: unit.entities.all("note")))
    assert 1 == await store.read(a_call(), lambda unit: unit.campaign.get().head_seq)
