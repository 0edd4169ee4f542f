"""Undo and redo on real files: exact, refused when something stands in the way, and in the log themselves."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes import CountingIds, FixedEntropy
from tests.store.helpers import a_call, make_campaign, roll
from ttrpg_mcp import faults
from ttrpg_mcp.play.errors import NothingToRewind, RewindBlocked
from ttrpg_mcp.play.ports import Json, Ports, Unit
from ttrpg_mcp.play.rewinding import Rewind, RewindAction, Rewound, rewind_history
from ttrpg_mcp.recovery.clock import SystemClock
from ttrpg_mcp.store.guarded import GuardedStore
from ttrpg_mcp.store.store import SqliteStore


@pytest.fixture
async def ports(tmp_path: Path) -> AsyncIterator[Ports]:
    store = SqliteStore(tmp_path / "data", SystemClock(), synchronous="OFF")
    await store.open()
    await make_campaign(store)
    yield ports_of(store)
    await store.close()


def ports_of(store: SqliteStore) -> Ports:
    nobody: Any = None
    guarded = GuardedStore(store, clock=SystemClock(), classify=faults.classify)
    return Ports(guarded, SystemClock(), FixedEntropy(), CountingIds(), health=nobody, background=nobody)


def note(title: str, body: str) -> dict[str, Any]:
    return {
        "id": "n1",
        "title": title,
        "kind": "lore",
        "body": body,
        "secret": "",
        "tags": [],
        "readers": [],
        "links": [],
        "visibility": "gm",
        "session_number": None,
        "pinned": False,
        "data": {},
        "created_at_ms": 1,
        "updated_at_ms": 1,
    }


async def write_note(ports: Ports, call_id: str, body: str) -> None:
    def story(unit: Unit) -> int:
        return unit.entities.put("note", "n1", note("Harbour", body), visibility="gm")

    await ports.store.write(a_call(call_id), story)


async def delete_note(ports: Ports, call_id: str) -> None:
    await ports.store.write(a_call(call_id), lambda unit: unit.entities.delete("note", "n1", visibility="gm"))


async def body_of(ports: Ports) -> str | None:
    image: Json | None = await ports.store.read(a_call("read"), lambda unit: unit.entities.get("note", "n1"))
    return None if image is None else str(image["body"])


async def rewind(
    ports: Ports, action: RewindAction, call_id: str, target: str = "", *, preview: bool = False
) -> Rewound:
    return await rewind_history(ports, a_call(call_id), Rewind(action, target, preview))


async def test_a_preview_tells_the_difference_and_changes_nothing(ports: Ports) -> None:
    await write_note(ports, "one", "old")
    await write_note(ports, "two", "new")

    plan = await rewind(ports, "undo", "look", preview=True)

    (difference,) = plan.differences
    assert ("two", "new", "old") == (
        plan.call.call_id,
        difference.now and difference.now["body"],
        difference.then and difference.then["body"],
    )
    assert () == plan.standing
    assert "new" == await body_of(ports)


async def test_undo_and_redo_walk_back_and_forth_through_the_log(ports: Ports) -> None:
    """R07."""
    await write_note(ports, "one", "old")
    await write_note(ports, "two", "new")
    seen = []
    for number, action in enumerate(("undo", "undo", "redo", "redo", "undo")):
        await rewind(ports, action, f"rewind {number}")  # type: ignore[arg-type]
        seen.append(await body_of(ports))

    assert ["old", None, "old", "new", "old"] == seen


async def test_a_deleted_thing_comes_back_whole(ports: Ports) -> None:
    await write_note(ports, "one", "text")
    before = await ports.store.read(a_call("read"), lambda unit: unit.entities.get("note", "n1"))
    await delete_note(ports, "two")

    await rewind(ports, "undo", "three")

    assert before == await ports.store.read(a_call("read"), lambda unit: unit.entities.get("note", "n1"))


async def test_an_older_call_is_not_undone_through_a_later_one(ports: Ports) -> None:
    await write_note(ports, "one", "old")
    await write_note(ports, "two", "new")

    plan = await rewind(ports, "undo", "look", "one", preview=True)
    with pytest.raises(RewindBlocked) as caught:
        await rewind(ports, "undo", "three", "one")

    assert plan.standing == caught.value.standing
    assert 'note n1 was changed later by "' in caught.value.standing[0]
    assert "new" == await body_of(ports)


async def test_a_call_is_named_by_its_id_or_by_a_seq_that_it_took(ports: Ports) -> None:
    await write_note(ports, "one", "text")
    seq = (await ports.store.read(a_call("read"), lambda unit: unit.receipt())).seq

    await rewind(ports, "undo", "two", str(seq))
    await rewind(ports, "redo", "three", "one")

    assert "text" == await body_of(ports)


@pytest.mark.parametrize(
    ("action", "target"), [("undo", ""), ("redo", ""), ("undo", "nobody"), ("undo", "99"), ("undo", "1")]
)
async def test_what_cannot_be_rewound_is_said(ports: Ports, action: RewindAction, target: str) -> None:
    """A campaign's making, seq 1, is not undone; neither is what does not exist."""
    with pytest.raises(NothingToRewind):
        await rewind(ports, action, "two", target)


async def test_dice_are_never_undone(ports: Ports) -> None:
    await ports.store.write(a_call("one"), roll)

    with pytest.raises(NothingToRewind):
        await rewind(ports, "undo", "two")

    rolls = await ports.store.read(a_call("read"), lambda unit: unit.rolls.page(before=None, since=0, limit=9))
    assert 1 == len(rolls)


async def test_what_was_undone_is_not_undone_twice(ports: Ports) -> None:
    await write_note(ports, "one", "text")
    await rewind(ports, "undo", "two", "one")

    with pytest.raises(NothingToRewind):
        await rewind(ports, "undo", "three", "one")


async def test_a_repeated_undo_under_its_key_is_done_once(ports: Ports) -> None:
    await write_note(ports, "one", "old")
    await write_note(ports, "two", "new")
    keyed = a_call("three", key="k")
    await rewind_history(ports, keyed, Rewind("undo", preview=False))

    with pytest.raises(Exception, match="answered before"):
        await rewind_history(ports, replace(keyed, call_id="four"), Rewind("undo", preview=False))

    assert "old" == await body_of(ports)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=8))
async def test_undoing_everything_and_redoing_it_ends_where_it_began(
    tmp_path_factory: Any, steps: list[str | None]
) -> None:
    store = SqliteStore(tmp_path_factory.mktemp("undo") / "data", SystemClock(), synchronous="OFF")
    await store.open()
    await make_campaign(store)
    ports = ports_of(store)
    for number, body in enumerate(steps):
        await (delete_note(ports, f"do {number}") if body is None else write_note(ports, f"do {number}", body))
    end = await body_of(ports)
    walked = 0
    while await _walk(ports, "undo", walked):
        walked += 1
    nothing = await body_of(ports)
    for number in range(walked):
        await rewind(ports, "redo", f"redo {number}")

    assert nothing is None
    assert end == await body_of(ports)
    await store.close()


async def _walk(ports: Ports, action: RewindAction, number: int) -> bool:
    try:
        await rewind(ports, action, f"{action} {number}")
    except NothingToRewind:
        return False
    return True
