"""The brief of a campaign: where it stands and what is new."""

from dataclasses import dataclass

from ttrpg_mcp.play.ports import Call, Campaign, Ports, Receipt, RollEntry, Unit

__all__ = ["Brief", "brief_campaign"]

_NEWEST = 5


@dataclass(frozen=True, slots=True)
class Brief:
    """Where a campaign stands.

    Attributes:
        new_rolls: The newest rolls after `since`, newest first, at most five.
    """

    campaign: Campaign
    new_rolls: tuple[RollEntry, ...]
    receipt: Receipt


async def brief_campaign(ports: Ports, call: Call, since: int) -> Brief:
    """The campaign of the call, with what is new after the change number `since`."""

    def look(unit: Unit) -> Brief:
        newest = unit.rolls.page(before=None, since=since, limit=_NEWEST)
        return Brief(unit.campaign.get(), tuple(newest), unit.receipt())

    return await ports.store.read(call, look)
