"""The campaigns that are open, at most 32: the one idle longest makes room, never one in use."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import anyio

from ttrpg_mcp.recovery.errors import BulkheadFull
from ttrpg_mcp.store.database import Database

__all__ = ["MOST_OPEN", "CampaignPool"]

MOST_OPEN = 32
_RETRY_AFTER_S = 1.0


class _Slot:
    """A campaign's place; its lock is held while its file is opened or closed."""

    __slots__ = ("database", "lock", "users")

    def __init__(self) -> None:
        self.database: Database | None = None
        self.lock = anyio.Lock()
        self.users = 0

    @property
    def is_idle(self) -> bool:
        return self.users == 0 and self.database is not None and self.database.writer.is_idle


class CampaignPool:
    """Opens a campaign's file when it is first used, once, and keeps it."""

    def __init__(self) -> None:
        self._slots: OrderedDict[str, _Slot] = OrderedDict()  # used longest ago first

    @asynccontextmanager
    async def use(self, campaign_id: str, open_file: Callable[[], Awaitable[Database]]) -> AsyncIterator[Database]:
        """The campaign's open file, kept open inside. Raises BulkheadFull, and what open_file raises."""
        slot = self._slots.setdefault(campaign_id, _Slot())
        self._slots.move_to_end(campaign_id)
        slot.users += 1
        try:
            yield slot.database or await self._opened(slot, open_file)
        finally:
            slot.users -= 1
            self._drop_if_empty(campaign_id)

    async def _opened(self, slot: _Slot, open_file: Callable[[], Awaitable[Database]]) -> Database:
        # Others may wait for the same file, so the opening outlives the caller who happened to begin it.
        with anyio.CancelScope(shield=True):
            async with slot.lock:
                if slot.database is None:
                    await self._make_room()
                    slot.database = await open_file()
                database = slot.database
        return database

    async def _make_room(self) -> None:
        """Close until there is room for the slot that is being opened, which counts already."""
        while sum(1 for slot in self._slots.values() if slot.users or slot.database) > MOST_OPEN:
            campaign_id = next((key for key, slot in self._slots.items() if slot.is_idle), None)
            if campaign_id is None:
                raise BulkheadFull("db:campaigns", _RETRY_AFTER_S)
            await self._close(campaign_id)

    async def _close(self, campaign_id: str) -> None:
        slot = self._slots[campaign_id]
        async with slot.lock:
            database, slot.database = slot.database, None
            if database is not None:
                await database.close()
        self._drop_if_empty(campaign_id)

    def _drop_if_empty(self, campaign_id: str) -> None:
        slot = self._slots.get(campaign_id)
        if slot is not None and slot.users == 0 and slot.database is None and not slot.lock.statistics().locked:
            del self._slots[campaign_id]

    def open_now(self) -> Iterator[tuple[str, Database]]:
        """Every open campaign by id, used longest ago first."""
        for campaign_id, slot in self._slots.items():
            if slot.database is not None:
                yield campaign_id, slot.database

    async def close(self) -> None:
        """Close all files; writes that wait are finished first."""
        for campaign_id in tuple(self._slots):
            await self._close(campaign_id)
