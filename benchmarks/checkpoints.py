"""Checkpoints of a long-running campaign: what they cost to take and to read back, and how much they write."""

import itertools
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.table import Row
from benchmarks.timing import async_burst, ratio, rounds
from ttrpg_mcp.play.ports import GM, SERVER, Answer, Call, CampaignEntry, CheckpointEntry, RollDraft, State, Unit
from ttrpg_mcp.play.ports import entity_id as id_of
from ttrpg_mcp.recovery.clock import SystemClock
from ttrpg_mcp.store.store import SqliteStore

__all__ = ["measure"]

_CAMPAIGN = "benchmark-bbbbbb"
_HEROES, _MONSTERS, _NOTES, _ROLLS, _SIDE, _TOKENS = 6, 30, 500, 2_000, 100, 60
_INTERVAL_S = 30.0
_SIZES = 7
_MOST_CHANGED_KIB = 64
_WORDS = ["".join(Random(number).choices("aeiourstlnmdkg", k=3 + number % 6)) for number in range(400)]


async def measure(folder: Path, *, quick: bool) -> list[Row]:
    """6 heroes, 30 monsters, 500 notes, 2,000 rolls and a map of 100 x 100 with fog and 60 tokens."""
    calls = _Calls()
    async with _open_session(folder / "checkpoints", calls) as store:
        first = await store.write(calls.next(), lambda unit: unit.checkpoints.save("safety"))

        async def change() -> None:
            await store.write(calls.next(), partial(_put_hero, hp=calls.count % 90))

        async def save() -> None:
            await store.write(calls.next(), lambda unit: unit.checkpoints.save("auto"))

        async def save_changed() -> None:
            await change()
            await save()

        async def save_whole() -> None:
            await store.read(calls.next(), lambda unit: unit.checkpoints.draft("safety"))

        async def restore() -> None:
            await store.read(calls.next(), lambda unit: unit.checkpoints.state(first.id))

        async def read_tables() -> None:
            await store.read(calls.next(), _state)

        await save()
        subjects = {
            "write": async_burst(change, 5),
            "unchanged": async_burst(save, 5),
            "changed": async_burst(save_changed, 5),
            "whole": async_burst(save_whole, 1),
            "restore": async_burst(restore, 1),
            "tables": async_burst(read_tables, 1),
        }
        costs = await rounds(3 if quick else 9, subjects)
        whole_s = min(cost.wall for cost in costs["whole"])
        rows = [
            Row("checkpoints", f"{name}, wall / a write", *_against_write(costs, subject))
            for name, subject in (
                ("save, nothing changed", "unchanged"),
                ("change and save one character", "changed"),
                ("encode the whole session", "whole"),
                ("restore the whole session", "restore"),
            )
        ]
        rows.append(Row("checkpoints", "restore / the same from the tables", ratio(costs, "restore", "tables")[0]))
        share = 100 * whole_s / _INTERVAL_S
        rows.append(
            Row("checkpoints", "encode the whole session, % of 30 s", share, 1, note=f"{1000 * whole_s:.0f} ms")
        )
    return rows + await _sizes(calls, folder / "checkpoints", first)


def _against_write(costs: Any, subject: str) -> tuple[float, None, float]:
    wall, cpu = ratio(costs, subject, "write")
    return wall, None, cpu


async def _sizes(calls: "_Calls", data: Path, whole: CheckpointEntry) -> list[Row]:
    """KiB that reach the log of the file, for an unchanged and a slightly changed session."""
    save = lambda unit: unit.checkpoints.save("auto")  # noqa: E731 - said twice below
    wal = data / "campaigns" / _CAMPAIGN / "campaign.db-wal"
    unchanged, changed, entry = [], [], whole
    for number in range(_SIZES):
        store = SqliteStore(data, SystemClock())  # opened anew each time, since a close empties the log
        await store.open()
        try:
            await store.write(calls.next(), partial(_put_hero, hp=1_000 + number))
            sizes = [wal.stat().st_size]
            for _ in range(2):
                saved = await store.write(calls.next(), save)
                sizes.append(wal.stat().st_size)
        finally:
            await store.close()
        entry = saved
        changed.append((sizes[1] - sizes[0]) / 1024)
        unchanged.append((sizes[2] - sizes[1]) / 1024)
    note = f"{entry.bytes_new / 1024:.1f} KiB of parts; all parts: {whole.bytes_new / 1024:.0f} KiB"
    return [
        Row("checkpoints", "KiB written, nothing changed", max(unchanged), 0),
        Row("checkpoints", "KiB written, one character", statistics.median(changed), _MOST_CHANGED_KIB, note=note),
    ]


def _put_hero(unit: Unit, *, hp: int) -> None:
    _put(unit, "character", {**_hero(0), "data": {**_hero(0)["data"], "hp": hp}})


class _Calls:
    """Calls of the game master, each with its own id, half a minute apart.

    Attributes:
        count: How many there were.
    """

    def __init__(self) -> None:
        self.count = 0
        self._numbers = itertools.count(1)
        self._first = Call("benchmark", GM, _CAMPAIGN, "", 0, None, b"", _answer)

    def next(self, campaign_id: str = _CAMPAIGN) -> Call:
        self.count = next(self._numbers)
        at_ms = 1_700_000_000_000 + self.count * 30_000
        return replace(self._first, campaign_id=campaign_id, call_id=f"call-{self.count}", at_ms=at_ms)


def _answer(_: object) -> Answer:
    return Answer("Done.", {"summary": "Done."})


def _state(unit: Unit) -> State:
    """Everything, out of the tables."""
    kinds = unit.entities.kinds()
    return {kind: {record.entity_id: record.image for record in unit.entities.all(kind)} for kind in kinds}


@asynccontextmanager
async def _open_session(data: Path, calls: _Calls) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(data, SystemClock())
    entry = CampaignEntry(_CAMPAIGN, "Benchmark", "creating", 1_000)
    await store.open()
    try:
        await store.write_server(calls.next(SERVER), lambda unit: unit.registry.begin(entry))
        await store.create_campaign(calls.next(), entry, lambda unit: unit.campaign.begin(entry, "generic"))
        opened = lambda unit: unit.registry.opened(_CAMPAIGN, at_ms=1_000, head_seq=1)  # noqa: E731
        await store.write_server(calls.next(SERVER), opened)
        for story in (_people, _notes, _map, _rolls):
            await store.write(calls.next(), story)
        yield store
    finally:
        await store.close()


def _people(unit: Unit) -> None:
    for number in range(_HEROES):
        _put(unit, "character", _hero(number))
    encounter = {"id": "ambush", "name": "Ambush", "status": "active", "session_number": None, "map_id": "cave"}
    _put(unit, "encounter", {**encounter, "round_number": 1, "turn_index": 0, "data": {}})
    for number in range(_MONSTERS):
        monster = {"kind": "monster", "owner": None, "id": f"goblin-{number}", "name": f"Goblin {number}"}
        _put(unit, "character", {**_hero(number), **monster})
        fighter = {"encounter_id": "ambush", "id": monster["id"], "character_id": monster["id"], "side": "foes"}
        place = {"position": number, "initiative": 10.0, "hidden": False, "data": {"hp": 7}}
        _put(unit, "combatant", {**fighter, "name": monster["name"], **place})


def _hero(number: int) -> dict[str, Any]:
    data = {"hp": 12, "items": [{"name": f"thing {item}", "count": item} for item in range(30)], "story": _text(number)}
    names = {"id": f"hero-{number}", "name": f"Hero {number}", "owner": f"player:{number}"}
    return {**names, "kind": "pc", "status": "active", "saga_id": None, "data": data, "created_at_ms": 1_000}


def _text(number: int) -> str:
    """Two hundred words, always the same ones for a number."""
    return " ".join(Random(number).choices(_WORDS, k=200))


def _notes(unit: Unit) -> None:
    for number in range(_NOTES):
        note = {"id": f"note-{number}", "title": f"Note {number}", "kind": "lore", "body": _text(number)}
        rest: dict[str, Any] = {
            "secret": "",
            "tags": [],
            "visibility": "gm",
            "session_number": None,
            "pinned": False,
            "data": {},
        }
        times = {"created_at_ms": 1_000, "updated_at_ms": 1_000, "readers": [], "links": []}
        _put(unit, "note", {**note, **rest, **times})


def _map(unit: Unit) -> None:
    _put(unit, "map", {"id": "cave", "name": "Cave", "grid": "square", "width": _SIDE, "height": _SIDE, "data": {}})
    for row in range(_SIDE):
        cells = "".join("#."[(row * column) % 7 > 2] for column in range(_SIDE))
        _put(unit, "map_row", {"map_id": "cave", "row": row, "cells": cells, "elevation": None})
        fog = {"map_id": "cave", "audience": "players", "row": row, "cells": cells, "edges": "-" * _SIDE}
        _put(unit, "map_memory", fog)
    for number in range(_TOKENS):
        token: dict[str, Any] = {
            "map_id": "cave",
            "id": f"t{number}",
            "labels": {},
            "character_id": None,
            "combatant_id": None,
        }
        _put(unit, "token", {**token, "x": number * 256, "y": 0, "side": "foes", "hidden": False, "data": {}})


def _rolls(unit: Unit) -> None:
    for _ in range(_ROLLS):
        stream = unit.rolls.next_stream(bytes(32))
        face = stream.chance.draw(1, 20)[0]
        unit.rolls.save(stream, RollDraft("d20", "1d20", [(20, face)], str(face), {"total": face}))


_KEYS: dict[str, tuple[str, ...]] = {
    "combatant": ("encounter_id", "id"),
    "map_memory": ("map_id", "audience", "row"),
    "map_row": ("map_id", "row"),
    "token": ("map_id", "id"),
}


def _put(unit: Unit, entity: str, image: dict[str, Any]) -> None:
    key = id_of(*(image[field] for field in _KEYS.get(entity, ("id",))))
    unit.entities.put(entity, key, image, visibility="players")
