"""Whether a file is what it should be, found out without changing a byte of it.

An emptied file would open as a new and valid database, and merely opening another program's file can change it. So the
file is first read through an immutable connection, which takes no lock and leaves write-ahead log and journal alone.
A file of ours answers even then: its tables were made before the log was switched on.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from ttrpg_mcp.play.errors import StoreCorrupt
from ttrpg_mcp.store.connection import Connection
from ttrpg_mcp.store.errors import as_store_error
from ttrpg_mcp.store.migrations import APPLICATION_ID, CAMPAIGN_SCHEMA, Schema

__all__ = ["require_ours", "was_cut_off"]


def was_cut_off(path: Path) -> bool:
    """Whether the making of this file began and did not end: it is empty, or its first transaction is still open."""
    return path.is_file() and (path.stat().st_size == 0 or path.with_name(path.name + "-journal").exists())


def require_ours(path: Path, schema: Schema, compartment: str) -> None:
    """Raise StoreCorrupt unless the file is there and ours, SchemaTooNew when a newer release wrote it."""
    if not path.is_file() or path.stat().st_size == 0:
        raise StoreCorrupt(compartment, "the file is missing or empty")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as raw:
            _look(Connection(raw), schema, compartment)
    except sqlite3.Error as error:
        raise as_store_error(compartment, error) or StoreCorrupt(compartment, str(error)) from error


def _look(connection: Connection, schema: Schema, compartment: str) -> None:
    application_id = connection.one("PRAGMA application_id")
    if application_id is None or application_id[0] != APPLICATION_ID:
        raise StoreCorrupt(compartment, "the file was not made by this program")
    if schema.require_known(connection, compartment) == 0:
        raise StoreCorrupt(compartment, "the file has no tables")
    if schema is CAMPAIGN_SCHEMA:
        _require_no_other_campaign(connection, compartment)


def _require_no_other_campaign(connection: Connection, campaign_id: str) -> None:
    sql = "SELECT campaign_id FROM campaign WHERE campaign_id <> :campaign_id"
    other = connection.one(sql, campaign_id=campaign_id)
    if other is not None:
        raise StoreCorrupt(campaign_id, f"the file belongs to {other[0]}")
