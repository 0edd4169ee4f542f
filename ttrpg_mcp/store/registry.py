"""The server's list of campaigns, and which one a principal used last."""

from collections.abc import Sequence

from ttrpg_mcp.play.errors import NameTaken
from ttrpg_mcp.play.ports import CampaignEntry, Principal
from ttrpg_mcp.store.connection import Connection, Row
from ttrpg_mcp.store.folders import is_campaign_id
from ttrpg_mcp.store.migrations import CAMPAIGN_SCHEMA
from ttrpg_mcp.store.names import free_name, name_key

__all__ = ["PreferenceTable", "RegistryTable"]

_COLUMNS = "campaign_id, name, status, created_at_ms, request_key, head_seq, last_opened_at_ms, system"
_ALL = f"SELECT {_COLUMNS} FROM registry ORDER BY name_key"  # noqa: S608 - column names of ours
_BY_ID = f"SELECT {_COLUMNS} FROM registry WHERE campaign_id = :campaign_id"  # noqa: S608
_BY_NAME = f"SELECT {_COLUMNS} FROM registry WHERE name_key = :name_key"  # noqa: S608
_OPENED = """
UPDATE registry
SET status = CASE status WHEN 'creating' THEN 'open' ELSE status END, last_opened_at_ms = :at_ms,
    head_seq = max(head_seq, :head_seq)
WHERE campaign_id = :campaign_id
"""
_PREFERRED = "SELECT campaign_id FROM preference WHERE principal = :principal"
_PREFER = """
INSERT INTO preference (principal, campaign_id, updated_at_ms) VALUES (:principal, :campaign_id, :at_ms)
ON CONFLICT (principal) DO UPDATE SET campaign_id = excluded.campaign_id, updated_at_ms = excluded.updated_at_ms
"""


class RegistryTable:
    """The RegistryRecords of a server unit."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> Sequence[CampaignEntry]:
        """Every campaign, by name."""
        return tuple(_entry(row) for row in self._connection.all(_ALL))

    def find(self, name_or_id: str) -> CampaignEntry | None:
        """The campaign of that id, or else of that name."""
        return self._by_id(name_or_id) or self._by_name(name_or_id)

    def begin(self, entry: CampaignEntry) -> CampaignEntry:
        """Add a campaign whose file is still to be made; a repeat gets the entry of the first time.

        A repeat is the same id, or the same name under the same request key; a start may have finished it meanwhile.
        Raises NameTaken with a free name.
        """
        if not is_campaign_id(entry.campaign_id):
            raise ValueError(f"not a campaign id: {entry.campaign_id!r}")
        known = self._by_id(entry.campaign_id) or self._by_name(entry.name) or self._by_id(name_key(entry.name))
        if known is None:
            self._insert(entry)
            return entry
        if known.campaign_id == entry.campaign_id or _is_repeat(known, entry):
            return known
        raise NameTaken("campaign", entry.name, free_name(entry.name, self._is_taken))

    def opened(self, campaign_id: str, *, at_ms: int, head_seq: int) -> None:
        """Note that the campaign's file is there and was opened."""
        self._connection.run(_OPENED, campaign_id=campaign_id, at_ms=at_ms, head_seq=head_seq)

    def _insert(self, entry: CampaignEntry) -> None:
        self._connection.insert(
            "registry",
            {
                "campaign_id": entry.campaign_id,
                "name": entry.name,
                "name_key": name_key(entry.name),
                "folder": entry.campaign_id,
                "system": entry.system,
                "status": "creating",
                "lineage": entry.campaign_id,
                "head_seq": 0,
                "schema": CAMPAIGN_SCHEMA.latest,
                "request_key": entry.request_key,
                "created_at_ms": entry.created_at_ms,
            },
        )

    def _by_id(self, campaign_id: str) -> CampaignEntry | None:
        row = self._connection.one(_BY_ID, campaign_id=campaign_id)
        return _entry(row) if row else None

    def _by_name(self, name: str) -> CampaignEntry | None:
        row = self._connection.one(_BY_NAME, name_key=name_key(name))
        return _entry(row) if row else None

    def _is_taken(self, key: str) -> bool:
        return self._connection.one(_BY_NAME, name_key=key) is not None


class PreferenceTable:
    """The PreferenceRecords of a server unit."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, principal: Principal) -> str | None:
        """The campaign that the principal used last, or None."""
        row = self._connection.one(_PREFERRED, principal=str(principal))
        return row["campaign_id"] if row else None

    def put(self, principal: Principal, campaign_id: str, at_ms: int) -> None:
        """Remember it."""
        self._connection.run(_PREFER, principal=str(principal), campaign_id=campaign_id, at_ms=at_ms)


def _is_repeat(known: CampaignEntry, entry: CampaignEntry) -> bool:
    return known.request_key is not None and known.request_key == entry.request_key


def _entry(row: Row) -> CampaignEntry:
    return CampaignEntry(**dict(row))
