"""A checkpoint's parts: which entities lie in which, and a part as canonical bytes.

Parts are small enough that one changed character writes a few kilobytes, and few enough that a checkpoint is a short
list. Characters and notes lie in buckets, by the first bits of sha256 of their id.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeAlias
from urllib.parse import quote, unquote

from ttrpg_mcp.play.ports import EntityRecord, State, entity_id, entity_key
from ttrpg_mcp.store.canonical import canonical_json
from ttrpg_mcp.store.connection import Connection
from ttrpg_mcp.store.entities import EntityTable
from ttrpg_mcp.store.entity_codecs import CODECS

__all__ = [
    "BALANCE",
    "LEDGER",
    "MOST_PART_BYTES",
    "Contents",
    "PartReader",
    "decoded",
    "encoded",
    "part_of",
    "piece_name",
    "whole_name",
]

Contents: TypeAlias = dict[str, dict[str, Any]]  # by kind of entity and entity_id

MOST_PART_BYTES = 8 * 1024 * 1024
LEDGER = "ledger"
BALANCE = "balance"  # what the ledger's part keeps, beside the kinds of entity

_BY_KIND = {
    "campaign": "campaign",
    "member": "members",
    "session": "sessions",
    "encounter": "encounters",
    "combatant": "encounters",
    "random_table": "random_tables",
}
_BY_BUCKET = {"character": ("characters", 4), "note": ("notes", 6)}  # folder, bits
_BY_MAP = {
    "map": ("maps/", "/rows"),
    "map_row": ("maps/", "/rows"),
    "map_memory": ("maps/", "/memory"),
    "map_part": ("maps/", "/parts"),
    "token": ("tokens/", ""),
}

_IDS = {
    "character": "SELECT id FROM character WHERE campaign_id = :campaign_id",
    "note": "SELECT id FROM note WHERE campaign_id = :campaign_id",
}
_BALANCES = """
SELECT account, kind, what, SUM(amount) AS amount FROM posting
WHERE campaign_id = :campaign_id GROUP BY account, kind, what HAVING SUM(amount) <> 0
"""


def part_of(entity: str, entity_id_text: str) -> str:
    """The name of the part where the entity lies.

    >>> part_of("map_row", "crypt/12"), part_of("note", "klarg"), part_of("combatant", "ambush/goblin-1")
    ('maps/crypt/rows', 'notes/1b', 'encounters')
    """
    if entity in _BY_KIND:
        return _BY_KIND[entity]
    if entity in _BY_BUCKET:
        folder, bits = _BY_BUCKET[entity]
        bucket = hashlib.sha256(entity_id_text.encode()).digest()[0] >> (8 - bits)
        return f"{folder}/{bucket:0{(bits + 3) // 4}x}"
    before, after = _BY_MAP[entity]
    map_id = entity_key(entity_id_text, len(CODECS[entity].key))[0]
    return f"{before}{quote(map_id, safe='')}{after}"


def piece_name(part: str, index: int) -> str:
    """The name of one piece of a part that is too long for one blob; the first, 0, has the part's own."""
    return f"{part}#{index}" if index else part  # a map's id has its "#" quoted


def whole_name(piece: str) -> str:
    """The name of the part that the piece belongs to."""
    return piece.partition("#")[0]


def encoded(contents: State | Contents) -> list[bytes]:
    """The contents as canonical JSON; in several pieces, each of its own sense, where they are too long for one."""
    whole = canonical_json(contents).encode()
    rows = [(entity, key) for entity in sorted(contents) for key in sorted(contents[entity])]
    if len(whole) <= MOST_PART_BYTES or len(rows) < 2:
        return [whole]
    return [
        piece for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]) for piece in encoded(_chosen(contents, half))
    ]


def _chosen(contents: State | Contents, rows: Collection[tuple[str, str]]) -> Contents:
    chosen: Contents = {}
    for entity, key in rows:
        chosen.setdefault(entity, {})[key] = contents[entity][key]
    return chosen


def decoded(piece: bytes) -> Contents:
    """The contents of one piece. Raises ValueError for bytes that are none."""
    found = json.loads(piece)
    if not isinstance(found, dict) or not all(isinstance(rows, dict) for rows in found.values()):
        raise ValueError("it is no part of a checkpoint")
    return found


class PartReader:
    """Reads parts out of the tables."""

    __slots__ = ("_campaign_id", "_connection", "_entities")

    def __init__(self, connection: Connection, campaign_id: str, entities: EntityTable) -> None:
        self._connection = connection
        self._campaign_id = campaign_id
        self._entities = entities

    def all(self) -> Mapping[str, Contents]:
        """Every part that is not empty."""
        return self._sorted_in((entity, record) for entity in CODECS for record in self._entities.all(entity)) | (
            self._ledger()
        )

    def some(self, parts: Collection[str]) -> Mapping[str, Contents]:
        """Those of these parts that are not empty."""
        found = self._sorted_in((entity, record) for entity in CODECS for record in self._of(entity, parts))
        return found | (self._ledger() if LEDGER in parts else {})

    def _sorted_in(self, records: Iterator[tuple[str, EntityRecord]]) -> dict[str, Contents]:
        parts: dict[str, Contents] = {}
        for entity, record in records:
            contents = parts.setdefault(part_of(entity, record.entity_id), {})
            contents.setdefault(entity, {})[record.entity_id] = record.image
        return parts

    def _of(self, entity: str, parts: Collection[str]) -> Iterator[EntityRecord]:
        """All entities of the kind that lie in these parts."""
        if entity in _BY_KIND:
            if _BY_KIND[entity] in parts:
                yield from self._entities.all(entity)
        elif entity in _BY_BUCKET:
            yield from self._in_buckets(entity, parts)
        else:
            for map_id in _maps(entity, parts):
                yield from self._entities.all(entity, map_id)

    def _in_buckets(self, entity: str, parts: Collection[str]) -> Iterator[EntityRecord]:
        folder, _ = _BY_BUCKET[entity]
        if not any(part.startswith(f"{folder}/") for part in parts):
            return
        # The ids alone, so that a changed note costs its bucket and not all notes.
        for row in self._connection.all(_IDS[entity], campaign_id=self._campaign_id):
            if part_of(entity, row["id"]) in parts and (record := self._entities.find(entity, row["id"])):
                yield record

    def _ledger(self) -> dict[str, Contents]:
        rows = self._connection.all(_BALANCES, campaign_id=self._campaign_id)
        balances = {entity_id(row["account"], row["kind"], row["what"]): row["amount"] for row in rows}
        return {LEDGER: {BALANCE: balances}} if balances else {}


def _maps(entity: str, parts: Collection[str]) -> Iterator[str]:
    before, after = _BY_MAP[entity]
    for part in parts:
        if part.startswith(before) and part.endswith(after):
            yield unquote(part[len(before) : len(part) - len(after)])
