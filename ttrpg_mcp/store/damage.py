"""Whether a file may be used as it is, found out under its lock and without changing a byte of it.

SQLite alone does not see everything: a cut log silently drops the newest commits, and an emptied file opens as a new
and valid one. So the head inside is compared with what is known outside, and the pages are checked.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ttrpg_mcp.play.errors import StoreCorrupt
from ttrpg_mcp.store.connection import Connection
from ttrpg_mcp.store.errors import as_store_error
from ttrpg_mcp.store.identity import require_ours
from ttrpg_mcp.store.migrations import CAMPAIGN_SCHEMA, Schema
from ttrpg_mcp.store.soundness import head_of, require_sound

__all__ = ["Found", "KnownHead", "is_without_campaign", "look_into"]

_SMALL_BYTES = 16 * 1024 * 1024  # checking so much takes a few hundredths of a second
_ANY_ROW = "SELECT 1 FROM campaign UNION ALL SELECT 1 FROM changes UNION ALL SELECT 1 FROM roll LIMIT 1"
_STATE = "SELECT clean, lineage FROM campaign WHERE campaign_id = :campaign_id"


@dataclass(frozen=True, slots=True)
class KnownHead:
    """How far a campaign had come, as something outside its file says.

    Attributes:
        lineage: None when the source does not know it.
    """

    seq: int
    lineage: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is sound.

    Attributes:
        was_clean: The last write was followed by an orderly close.
    """

    head_seq: int = 0
    was_clean: bool = True


def look_into(path: Path, schema: Schema, compartment: str, known: tuple[KnownHead, ...] = ()) -> Found:
    """What the file holds. Raises StoreCorrupt, whose detail says what is wrong, and SchemaTooNew."""
    require_ours(path, schema, compartment)
    try:
        with closing(_opened(path)) as raw:
            return _look(Connection(raw), path, schema, compartment, known)
    except sqlite3.Error as error:
        raise as_store_error(compartment, error) or StoreCorrupt(compartment, str(error)) from error


def is_without_campaign(path: Path, compartment: str) -> bool:
    """Whether the file has its tables and nothing in them yet. Raises StoreCorrupt, and SchemaTooNew."""
    require_ours(path, CAMPAIGN_SCHEMA, compartment)
    try:
        with closing(_opened(path)) as raw:
            return Connection(raw).one(_ANY_ROW) is None
    except sqlite3.Error:
        return False


def _opened(path: Path) -> sqlite3.Connection:
    """A connection that reads the file with its log and can change neither."""
    raw = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    raw.row_factory = sqlite3.Row
    return raw


def _look(connection: Connection, path: Path, schema: Schema, compartment: str, known: tuple[KnownHead, ...]) -> Found:
    if schema is not CAMPAIGN_SCHEMA:
        require_sound(connection, compartment, "quick_check")
        return Found()
    head_seq = head_of(connection, compartment)
    state = connection.one(_STATE, campaign_id=compartment)
    was_clean, lineage = (bool(state["clean"]), state["lineage"]) if state else (False, None)
    outside = max((head.seq for head in known if head.lineage in {None, lineage}), default=0)
    if outside > head_seq:
        raise StoreCorrupt(compartment, f"the file ends with change {head_seq}, but {outside} was saved")
    if not was_clean or path.stat().st_size <= _SMALL_BYTES:
        require_sound(connection, compartment, "quick_check")
    return Found(head_seq, was_clean)
