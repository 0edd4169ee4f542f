"""Whether the content of a database is whole, asked on any connection to it."""

from typing import Literal

from ttrpg_mcp.play.errors import StoreCorrupt
from ttrpg_mcp.store.connection import Connection
from ttrpg_mcp.store.errors import SERVER_COMPARTMENT

__all__ = ["head_of", "require_sound"]

_HEAD = "SELECT head_seq FROM campaign WHERE campaign_id = :campaign_id"
_LAST_LOGGED = """
SELECT max(
    (SELECT coalesce(max(seq), 0) FROM changes WHERE campaign_id = :campaign_id),
    coalesce((SELECT seq FROM roll WHERE campaign_id = :campaign_id ORDER BY number DESC LIMIT 1), 0)
) AS seq
"""


def require_sound(
    connection: Connection, compartment: str, depth: Literal["integrity_check", "quick_check"] = "integrity_check"
) -> None:
    """Raise StoreCorrupt unless SQLite finds nothing wrong. integrity_check also compares indexes with their tables."""
    verdicts = [str(row[0]) for row in connection.all(f"PRAGMA {depth}(5)")]
    if verdicts != ["ok"]:
        raise StoreCorrupt(compartment, f"{depth}: {'; '.join(verdicts)}")


def head_of(connection: Connection, compartment: str) -> int:
    """The newest `seq` of a campaign's file; 0 for the server's own. Raises StoreCorrupt.

    Counter and logs must agree: they are written in one transaction.
    """
    if compartment == SERVER_COMPARTMENT:
        return 0
    head = connection.one(_HEAD, campaign_id=compartment)
    if head is None:
        raise StoreCorrupt(compartment, "the file has no row of this campaign")
    logged = connection.one(_LAST_LOGGED, campaign_id=compartment)
    if logged is None or logged["seq"] > head["head_seq"]:
        raise StoreCorrupt(compartment, "the logs have changes that the counter does not know")
    return int(head["head_seq"])
