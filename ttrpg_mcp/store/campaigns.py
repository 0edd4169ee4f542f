"""The one row of a campaign file."""

import json
from dataclasses import replace

from ttrpg_mcp import __version__
from ttrpg_mcp.play.errors import CampaignPaused, StoreCorrupt
from ttrpg_mcp.play.ports import Campaign, CampaignEntry
from ttrpg_mcp.store.changes import ChangeTable
from ttrpg_mcp.store.connection import Connection, Row, Value
from ttrpg_mcp.store.counters import Counters
from ttrpg_mcp.store.entity_codecs import codec_of

__all__ = ["CampaignTable", "find_campaign", "require_campaign"]

_FIND = "SELECT * FROM campaign WHERE campaign_id = :campaign_id"
_SAVE_HEADS = """
UPDATE campaign SET head_seq = :head_seq, head_roll = :head_roll, clean = 0 WHERE campaign_id = :campaign_id
"""


class CampaignTable:
    """The campaign's own row. The CampaignRecords of a unit."""

    __slots__ = ("_campaign_id", "_changes", "_connection", "_counters")

    def __init__(self, connection: Connection, campaign_id: str, counters: Counters, changes: ChangeTable) -> None:
        self._connection = connection
        self._campaign_id = campaign_id
        self._counters = counters
        self._changes = changes

    def get(self) -> Campaign:
        """The row, its counters with what this transaction took. Raises StoreCorrupt where there is none."""
        found = require_campaign(self._connection, self._campaign_id)
        return replace(found, head_seq=self._counters.head_seq, head_roll=self._counters.head_roll)

    def require_open(self) -> None:
        """Raise CampaignPaused when the campaign takes no writes."""
        campaign = self.get()
        if campaign.status != "open":
            raise CampaignPaused(campaign.name, campaign.status, campaign.status_reason)

    def begin(self, entry: CampaignEntry, system: str) -> Campaign:
        """Write the first row of a new file and log it; the row that is there already is returned as it is."""
        if find_campaign(self._connection, self._campaign_id) is None:
            self._insert(entry, system)
        return self.get()

    def _insert(self, entry: CampaignEntry, system: str) -> None:
        codec = codec_of("campaign")
        image = codec.normal(
            {
                "id": self._campaign_id,
                "name": entry.name,
                "system": system,
                "status": "open",
                "settings": {},
                "created_at_ms": entry.created_at_ms,
            }
        )
        seq = self._changes.append("campaign", self._campaign_id, before=None, after=image)
        outside_the_image: dict[str, Value] = {
            "head_seq": seq,
            "head_roll": 0,
            "commit_epoch": 0,
            "lineage": self._campaign_id,  # unique by its random letters; a restore that lost rows begins another
            "clean": 0,
            "app_version": __version__,
            "version": seq,
        }
        self._connection.insert("campaign", codec.row(image) | outside_the_image)

    def save_heads(self) -> None:
        """Write the counters back."""
        counters = self._counters
        heads = {"head_seq": counters.head_seq, "head_roll": counters.head_roll}
        self._connection.run(_SAVE_HEADS, campaign_id=self._campaign_id, **heads)


def find_campaign(connection: Connection, campaign_id: str) -> Campaign | None:
    """The campaign of the file, or None."""
    row = connection.one(_FIND, campaign_id=campaign_id)
    return None if row is None else _campaign(row)


def require_campaign(connection: Connection, campaign_id: str) -> Campaign:
    """The campaign of the file. Raises StoreCorrupt where there is none."""
    found = find_campaign(connection, campaign_id)
    if found is None:
        raise StoreCorrupt(campaign_id, "the file has no campaign")
    return found


def _campaign(row: Row) -> Campaign:
    return Campaign(
        id=row["campaign_id"],
        name=row["name"],
        system=row["system"],
        status=row["status"],
        status_reason=row["status_reason"] or "",
        settings=json.loads(row["settings"]),
        head_seq=row["head_seq"],
        head_roll=row["head_roll"],
        created_at_ms=row["created_at_ms"],
        version=row["version"],
    )
