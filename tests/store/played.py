"""A campaign that was played for a while, and everything that must still be true of it after a damage."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.store.helpers import CAMPAIGN_ID, a_call, campaign_file, roll, rows
from ttrpg_mcp.play.ports import Unit
from ttrpg_mcp.recovery.clock import Clock, SystemClock
from ttrpg_mcp.store.store import SqliteStore

TABLES = (
    "changes",
    "call_log",
    "roll",
    "roll_epoch",
    "posting",
    "answer",
    "audience",
    "note",
    "note_tag",
    "random_table",
)
Picture = dict[str, list[dict[str, Any]]]


def note(number: int, body: str) -> dict[str, Any]:
    return {
        "id": f"note-{number}",
        "title": f"Note {number}",
        "kind": "lore",
        "body": body,
        "secret": "",
        "tags": ["cave"],
        "visibility": "gm",
        "session_number": None,
        "pinned": False,
        "data": {},
        "created_at_ms": 1,
        "updated_at_ms": 1,
        "readers": [],
        "links": [],
    }


async def play(store: SqliteStore, turns: Sequence[int], campaign_id: str = CAMPAIGN_ID) -> list[str]:
    """Roll, write and rewrite notes; the request keys that were answered."""
    answered = []
    for turn in turns:

        def story(unit: Unit, turn: int = turn) -> int:
            roll(unit)
            unit.entities.put("note", f"note-{turn % 7}", note(turn % 7, f"turn {turn} " + "x" * 300), visibility="gm")
            if turn % 5 == 4:
                unit.entities.delete("note", f"note-{(turn - 2) % 7}", visibility="players")
            return turn

        key = f"key-{turn}"
        await store.write(a_call(f"call-{turn}", campaign_id=campaign_id, key=key), story)
        answered.append(key)
    return answered


def picture(data: Path, campaign_id: str = CAMPAIGN_ID) -> Picture:
    """All that was acknowledged, out of a file that nobody has open."""
    file = campaign_file(data, campaign_id)
    found = {table: rows(file, f"SELECT * FROM {table}") for table in TABLES}  # noqa: S608
    for row in found["note"]:
        del row["note_number"]  # belongs to the search index
    found["note"].sort(key=lambda row: str(row["id"]))
    found["campaign"] = rows(file, "SELECT name, status, head_seq, head_roll, lineage, version FROM campaign")
    return found


def opened(data: Path, clock: Clock | None = None) -> SqliteStore:
    return SqliteStore(data, clock or SystemClock(), synchronous="OFF")
