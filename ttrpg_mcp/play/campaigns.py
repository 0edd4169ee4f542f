"""Making, listing and opening campaigns."""

import re
import unicodedata
from dataclasses import dataclass, replace

from ttrpg_mcp.play.ports import (
    SERVER,
    Call,
    Campaign,
    CampaignEntry,
    Ids,
    Ports,
    Receipt,
    RollEntry,
    ServerUnit,
    Unit,
)

__all__ = [
    "DEFAULT_NAME",
    "CampaignList",
    "CampaignMade",
    "CampaignOpened",
    "campaign_id",
    "create_campaign",
    "list_campaigns",
    "open_campaign",
]

DEFAULT_NAME = "My campaign"
DEFAULT_SYSTEM = "generic"
_SLUG_LETTERS = 40
_ID_LETTERS = 6


@dataclass(frozen=True, slots=True)
class CampaignMade:
    """A campaign that was just created."""

    campaign: Campaign
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class CampaignList:
    """All campaigns, by name."""

    entries: tuple[CampaignEntry, ...]


@dataclass(frozen=True, slots=True)
class CampaignOpened:
    """A campaign, ready to play, with its newest roll."""

    campaign: Campaign
    last_roll: RollEntry | None
    receipt: Receipt


async def create_campaign(ports: Ports, call: Call, name: str) -> CampaignMade:
    """A new campaign, whole on disk before it returns. Raises NameTaken.

    Three commits: the registry's intent, the file with its first change, the registry's word that it is open. A crash
    between them leaves an intent, which the next start or a repeat under the same request key finishes.
    """
    entry = CampaignEntry(
        campaign_id(ports.ids, name), name, "creating", call.at_ms, call.request_key, system=DEFAULT_SYSTEM
    )
    quiet = replace(call, campaign_id=SERVER, request_key=None)  # only the last commit answers the request
    entry = await ports.store.write_server(quiet, lambda unit: unit.registry.begin(entry))

    def begin(unit: Unit) -> CampaignMade:
        return CampaignMade(unit.campaign.begin(entry, entry.system), unit.receipt())

    made = await ports.store.create_campaign(replace(quiet, campaign_id=entry.campaign_id), entry, begin)

    def finish(unit: ServerUnit) -> CampaignMade:
        unit.registry.opened(entry.campaign_id, at_ms=call.at_ms, head_seq=made.receipt.seq)
        return made

    return await ports.store.write_server(replace(call, campaign_id=SERVER), finish)


async def list_campaigns(ports: Ports, call: Call) -> CampaignList:
    """All campaigns of this data folder."""
    return await ports.store.read_server(call, lambda unit: CampaignList(tuple(unit.registry.all())))


async def open_campaign(ports: Ports, call: Call, entry: CampaignEntry) -> CampaignOpened:
    """The campaign and where it stands. Raises NotFound, and StoreError when its file is damaged."""

    def look(unit: Unit) -> CampaignOpened:
        newest = unit.rolls.page(before=None, since=0, limit=1)
        return CampaignOpened(unit.campaign.get(), newest[0] if newest else None, unit.receipt())

    return await ports.store.read(replace(call, campaign_id=entry.campaign_id), look)


def campaign_id(ids: Ids, name: str) -> str:
    """Readable and unique: the name's plain letters and six random ones; it names the campaign's folder for ever."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_SLUG_LETTERS].strip("-")
    return f"{slug or 'campaign'}-{ids.letters(_ID_LETTERS)}"
