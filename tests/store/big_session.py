"""A long-running campaign in one write: 6 heroes, 30 monsters, 500 notes, and a map of 100 x 100 with 60 tokens."""

from typing import Any

from tests.store.entity_images import EXAMPLES
from ttrpg_mcp.play.ports import Unit
from ttrpg_mcp.store.entity_codecs import CODECS

HEROES, MONSTERS, NOTES, TOKENS, SIDE = 6, 30, 500, 60, 100
_SHEET = {
    "hp": 12,
    "abilities": dict.fromkeys(("str", "dex", "con", "int", "wis", "cha"), 10),
    "inventory": [{"name": f"thing {number}", "count": number} for number in range(30)],
    "text": "A long story of an unlikely hero. " * 40,
}
HERO: dict[str, Any] = {**EXAMPLES["character"], "id": "hero-0", "name": "Hero 0", "data": _SHEET}


def make_big_session(unit: Unit) -> None:
    """A story that writes it all."""
    for number in range(HEROES):
        _put(unit, "character", {**HERO, "id": f"hero-{number}", "name": f"Hero {number}"})
    for number in range(MONSTERS):
        goblin = {"id": f"goblin-{number}", "name": f"Goblin {number}"}
        _put(unit, "character", {**EXAMPLES["character"], **goblin, "kind": "monster", "owner": None})
        _put(unit, "combatant", {**EXAMPLES["combatant"], **goblin, "position": number, "data": {"hp": 7}})
    _put(unit, "encounter", EXAMPLES["encounter"])
    _put(unit, "session", EXAMPLES["session"])
    for number in range(NOTES):
        body = f"What is known of {number}. " * 60
        _put(unit, "note", {**EXAMPLES["note"], "id": f"note-{number}", "title": f"Note {number}", "body": body})
    _put(unit, "map", {**EXAMPLES["map"], "width": SIDE, "height": SIDE})
    for row in range(SIDE):
        cells = "".join("#."[(row * column) % 7 > 2] for column in range(SIDE))
        _put(unit, "map_row", {**EXAMPLES["map_row"], "row": row, "cells": cells, "elevation": [0] * SIDE})
        _put(unit, "map_memory", {**EXAMPLES["map_memory"], "row": row, "cells": cells, "edges": "-" * SIDE})
    for number in range(TOKENS):
        _put(unit, "token", {**EXAMPLES["token"], "id": f"t{number}", "x": number * 256})


def _put(unit: Unit, entity: str, image: dict[str, Any]) -> None:
    unit.entities.put(entity, CODECS[entity].id_of(image), image, visibility="players")
