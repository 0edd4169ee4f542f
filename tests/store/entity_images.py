"""Images of every kind of entity: one of each by hand, and as many as hypothesis likes."""

from typing import Any

from hypothesis import strategies as st

from ttrpg_mcp.store.codecs import FLAG, INTEGER, JSON, LINES, REAL, TEXT, Column, EntityCodec, Kind
from ttrpg_mcp.store.entity_codecs import CODECS

EXAMPLES: dict[str, dict[str, Any]] = {
    "campaign": {
        "id": "lost-mine-abcdef",
        "name": "The Lost Mine",
        "system": "dnd5e",
        "status": "paused",
        "status_reason": "a break",
        "settings": {"dice": "open"},
        "created_at_ms": 1_000,
    },
    "member": {
        "principal": "player:Anna",
        "role": "player",
        "display_name": "Anna",
        "character_ids": ["rowan"],
        "turn_policy": "wait",
        "data": {},
    },
    "session": {
        "number": 3,
        "title": "Into the cave",
        "status": "running",
        "started_at_ms": 5_000,
        "ended_at_ms": None,
        "first_seq": 12,
        "last_seq": None,
        "recap": "All of it.",
        "player_recap": "What they know.",
        "data": {"scene": "cave"},
    },
    "character": {
        "id": "rowan",
        "name": "Rowan  Ash",
        "kind": "pc",
        "owner": "player:Anna",
        "status": "active",
        "saga_id": None,
        "data": {"hp": 12, "speed": 30.5},
        "created_at_ms": 2_000,
    },
    "encounter": {
        "id": "ambush",
        "name": "Goblin ambush",
        "status": "active",
        "session_number": 3,
        "map_id": "road",
        "round_number": 2,
        "turn_index": 0,
        "data": {},
    },
    "combatant": {
        "encounter_id": "ambush",
        "id": "goblin-1",
        "character_id": None,
        "name": "Goblin 1",
        "side": "foes",
        "position": 2,
        "initiative": 14.0,
        "hidden": True,
        "data": {"hp": 7},
    },
    "note": {
        "id": "klarg",
        "title": "Klarg",
        "kind": "npc",
        "body": "A bugbear who leads the goblins.",
        "secret": "He serves the Black Spider.",
        "tags": ["Cragmaw Hideout", "bugbear"],
        "visibility": "named",
        "session_number": None,
        "pinned": False,
        "data": {},
        "created_at_ms": 3_000,
        "updated_at_ms": 4_000,
        "readers": ["player:Anna", "player:Ben"],
        "links": [{"to_kind": "note", "to_id": "cave", "label": "lives in"}],
    },
    "map": {"id": "road", "name": "The road", "grid": "hex_odd_r", "width": 20, "height": 10, "data": {"legend": {}}},
    "map_row": {"map_id": "road", "row": 0, "cells": "..##", "elevation": [0, 0, 5, 5]},
    "map_memory": {"map_id": "road", "audience": "player:Anna", "row": 7, "cells": "..??", "edges": "----"},
    "map_part": {"map_id": "road", "id": "door-1", "kind": "door", "data": {"open": False}},
    "token": {
        "map_id": "road",
        "id": "t1",
        "labels": {"gm": "Klarg", "players": "A shape"},
        "character_id": None,
        "combatant_id": "goblin-1",
        "x": 256,
        "y": -128,
        "side": "foes",
        "hidden": True,
        "data": {},
    },
    "random_table": {
        "id": "weather",
        "name": "Weather",
        "kind": "table",
        "character_id": None,
        "expression": "1d6",
        "entries": [{"from": 1, "to": 6, "text": "rain"}],
        "drawn": [],
        "source": "ours",
        "licence": "CC0-1.0",
        "data": {},
    },
}

_CHOICES = {
    ("campaign", "status"): ["open", "paused", "archived"],
    ("character", "kind"): ["pc", "npc", "companion", "monster"],
    ("character", "status"): ["pending", "active", "retired", "dead"],
    ("encounter", "status"): ["planned", "active", "paused", "ended"],
    ("map", "grid"): ["square", "gridless", "hex_odd_r", "hex_even_q"],
    ("map_part", "kind"): ["walls", "door", "light", "region", "area"],
    ("member", "role"): ["gm", "player", "spectator"],
    ("member", "turn_policy"): ["wait", "delay", "skip", "dodge", "gm_control"],
    ("note", "visibility"): ["gm", "players", "named"],
    ("random_table", "kind"): ["table", "macro"],
    ("session", "status"): ["running", "paused", "ended"],
}
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10).map(lambda text: " ".join(text.split()))
_INTEGER = st.integers(1, 2**63 - 1)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)
_BY_KIND: list[tuple[Kind, st.SearchStrategy[Any]]] = [
    (TEXT, _TEXT),
    (INTEGER, _INTEGER),
    (REAL, st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)),
    (FLAG, st.booleans()),
    (JSON, _JSON),
    (LINES, st.lists(_WORDS.filter(bool), max_size=4)),
]
_LINKS = st.lists(st.fixed_dictionaries({"to_kind": _TEXT, "to_id": _TEXT, "label": _TEXT}), max_size=4)
_CHILDREN = {"readers": st.lists(_TEXT, max_size=4), "links": _LINKS}


def _values(codec: EntityCodec, column: Column) -> st.SearchStrategy[Any]:
    if (codec.entity, column.field) == ("campaign", "id"):
        return st.just("lost-mine-abcdef")
    if (codec.entity, column.field) in _CHOICES:
        return st.sampled_from(_CHOICES[codec.entity, column.field])
    values = next(strategy for kind, strategy in _BY_KIND if kind is column.kind)
    return st.none() | values if column.is_nullable else values


def images(entity: str) -> st.SearchStrategy[dict[str, Any]]:
    """Images of the kind; no two need have different names."""
    codec = CODECS[entity]
    fields = {column.field: _values(codec, column) for column in (*codec.key, *codec.columns)}
    fields |= {child.field: _CHILDREN[child.field] for child in codec.children if not child.is_index}
    return st.fixed_dictionaries(fields)
