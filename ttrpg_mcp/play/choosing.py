"""Which campaign a call means.

In this order: the one that is named; the one that an earlier call with the same request key went to; the one this
principal used last in this process; the one it used last at all; the only one there is; a new one where there is
none. The process comes before the stored row, so that two client windows on one folder do not move each other.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TypeVar

import anyio

from ttrpg_mcp.play.campaigns import DEFAULT_NAME, create_campaign
from ttrpg_mcp.play.errors import NameAmbiguous, NameTaken, NotFound, StoreError
from ttrpg_mcp.play.ports import Call, CampaignEntry, Ports, Principal, ServerUnit
from ttrpg_mcp.recovery.errors import RecoveryError

__all__ = ["CampaignChooser", "Chosen", "find_campaign"]

_MOST_REMEMBERED = 10_000
_MOST_CAUGHT_UP = 32  # as many campaigns as stay open
_MOST_KEYS_EACH = 200

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The campaign a call means.

    Attributes:
        is_new: It was made for this call, because there was none.
    """

    campaign_id: str
    name: str
    is_new: bool = False


async def find_campaign(ports: Ports, call: Call, name: str) -> CampaignEntry:
    """The campaign of that name or id. Raises NotFound with the nearest names."""

    def look(unit: ServerUnit) -> tuple[CampaignEntry | None, Sequence[CampaignEntry]]:
        entry = unit.registry.find(name)
        return entry, () if entry else unit.registry.all()

    entry, others = await ports.store.read_server(call, look)
    if entry is None:
        names = {other.name.casefold(): other.name for other in others}
        near = [names[match] for match in get_close_matches(name.casefold(), list(names), n=3, cutoff=0.5)]
        raise NotFound("campaign", name, near)
    return entry


class CampaignChooser:
    """Remembers, in this process only, which campaign each principal and each keyed call used."""

    def __init__(self) -> None:
        self._last: dict[Principal, Chosen] = {}
        self._moved: dict[Principal, Chosen] = {}  # since the preference row was written
        self._named: OrderedDict[str, Chosen] = OrderedDict()
        self._keyed: OrderedDict[tuple[Principal, str], Chosen] = OrderedDict()
        self._catching_up = anyio.Lock()
        self._is_caught_up = False

    async def choose(self, ports: Ports, call: Call, name: str) -> Chosen:
        """The campaign that the call means; made where there is none. Raises NotFound, NameAmbiguous."""
        chosen = await self.glance(ports, call, name)
        return chosen or self.note(call, await self._first(ports, call))

    async def glance(self, ports: Ports, call: Call, name: str) -> Chosen | None:
        """The same, but None where there is no campaign yet."""
        if name:
            return self.note(call, await self._find(ports, call, name))
        if call.request_key is not None and not self._is_caught_up:
            await self._catch_up(ports, call)
        remembered = self._keyed.get((call.principal, call.request_key or "")) or self._last.get(call.principal)
        if remembered is not None:
            return self.note(call, remembered)
        stored = await self._stored(ports, call)
        return self.note(call, stored) if stored else None

    async def _catch_up(self, ports: Ports, call: Call) -> None:
        """Learn, once, where the keyed calls of earlier processes went; with one campaign there is nothing to learn.

        Without this a call that is repeated after a crash could go to the campaign another window used last.
        """
        async with self._catching_up:
            entries = () if self._is_caught_up else await ports.store.read_server(call, _all_entries)
            for entry in entries[:_MOST_CAUGHT_UP] if len(entries) > 1 else ():
                for key in reversed(await _recent_keys(ports, call, entry)):
                    _remember(self._keyed, (call.principal, key), Chosen(entry.campaign_id, entry.name))
            self._is_caught_up = True

    def note(self, call: Call, chosen: Chosen) -> Chosen:
        """Make it the default of this principal, and of a repeat under the same key."""
        known = Chosen(chosen.campaign_id, chosen.name)
        if self._last.get(call.principal) != known:
            self._moved[call.principal] = known
        self._last[call.principal] = known
        if call.request_key is not None:
            _remember(self._keyed, (call.principal, call.request_key), known)
        return chosen

    def has_moved(self, call: Call) -> bool:
        """Whether the preference row of this principal is behind."""
        return call.principal in self._moved

    async def save(self, ports: Ports, call: Call) -> None:
        """Write the preference row; for after the answer."""
        moved = self._moved.pop(call.principal, None)
        if moved is None:
            return

        def put(unit: ServerUnit) -> None:
            unit.preferences.put(call.principal, moved.campaign_id, call.at_ms)

        await ports.store.write_server(_without_key(call), put)

    def name_for(self, call: Call) -> str:
        """The name of the campaign that a repeat of this call must name; empty when none is known."""
        chosen = self._keyed.get((call.principal, call.request_key or ""))
        return chosen.name if chosen else ""

    async def _find(self, ports: Ports, call: Call, name: str) -> Chosen:
        """The campaign of that name. Raises NotFound.

        A name is looked up once: it belongs to its campaign for ever, and calls on one campaign then wait for nothing
        that calls on another one use.
        """
        if name not in self._named:
            entry = await find_campaign(ports, call, name)
            _remember(self._named, name, Chosen(entry.campaign_id, entry.name))
        return self._named[name]

    async def _stored(self, ports: Ports, call: Call) -> Chosen | None:
        """The campaign of the preference row, or the only one; None where there is none. Raises NameAmbiguous."""

        def look(unit: ServerUnit) -> tuple[str | None, Sequence[CampaignEntry]]:
            return unit.preferences.of(call.principal), unit.registry.all()

        preferred, entries = await ports.store.read_server(call, look)
        for entry in entries:
            if entry.campaign_id == preferred or len(entries) == 1:
                return Chosen(entry.campaign_id, entry.name)
        if entries:
            raise NameAmbiguous("campaign", "", [entry.name for entry in entries[:10]])
        return None

    async def _first(self, ports: Ports, call: Call) -> Chosen:
        """The campaign of a first call on an empty folder; another server may be making it at this very moment."""
        try:
            made = await create_campaign(ports, _without_key(call), DEFAULT_NAME)
        except NameTaken:
            entry = await find_campaign(ports, call, DEFAULT_NAME)
            return Chosen(entry.campaign_id, entry.name)
        return Chosen(made.campaign.id, made.campaign.name, is_new=True)


def _all_entries(unit: ServerUnit) -> Sequence[CampaignEntry]:
    """Every campaign, the one opened last first."""
    return sorted(unit.registry.all(), key=lambda entry: -(entry.last_opened_at_ms or 0))


async def _recent_keys(ports: Ports, call: Call, entry: CampaignEntry) -> Sequence[str]:
    """The newest request keys that a campaign answered; none where it cannot be read, which its own calls will tell."""
    there = replace(call, campaign_id=entry.campaign_id)
    try:
        return await ports.store.read(there, lambda unit: unit.recent_keys(_MOST_KEYS_EACH))
    except (StoreError, RecoveryError):
        return ()


def _remember(memory: OrderedDict[K, Chosen], key: K, chosen: Chosen) -> None:
    """Put it into a memory that forgets the oldest."""
    memory[key] = chosen
    while len(memory) > _MOST_REMEMBERED:
        memory.popitem(last=False)


def _without_key(call: Call) -> Call:
    """The same call for a side errand: its key belongs to what was asked."""
    return Call(call.tool, call.principal, call.campaign_id, call.call_id, call.at_ms)
