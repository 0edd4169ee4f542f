"""The storage: one file for the server, one a campaign, and every write committed before it returns."""

import logging
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeVar

import anyio
from anyio import to_thread

from ttrpg_mcp.play.errors import NotFound, StoreError, StoreUnavailable
from ttrpg_mcp.play.ports import (
    SERVER,
    SYSTEM,
    Call,
    CampaignEntry,
    CompartmentHealth,
    ServerUnit,
    StoredAnswer,
    StoreHealth,
    Unit,
)
from ttrpg_mcp.recovery.clock import Clock
from ttrpg_mcp.store.answers import AnswerTable
from ttrpg_mcp.store.campaigns import require_campaign
from ttrpg_mcp.store.connection import Connection
from ttrpg_mcp.store.database import Database, DatabaseFile
from ttrpg_mcp.store.errors import SERVER_COMPARTMENT, as_store_error
from ttrpg_mcp.store.folders import DataFolder, is_campaign_id, make_folder
from ttrpg_mcp.store.host import TaskHost
from ttrpg_mcp.store.migrations import CAMPAIGN_SCHEMA, SERVER_SCHEMA
from ttrpg_mcp.store.pool import CampaignPool
from ttrpg_mcp.store.pragmas import Synchronous
from ttrpg_mcp.store.registry import RegistryTable
from ttrpg_mcp.store.unit import CampaignUnit, RegistryUnit, run_creation, run_server_write, run_write

__all__ = ["SqliteStore"]

T = TypeVar("T")

_logger = logging.getLogger(__name__)

# SQLite 3.7.0 to 3.51.2 can damage a file when one connection commits while another checkpoints.
_SAFE_SQLITE = (3, 51, 3)


class SqliteStore:
    """The Store port on SQLite. Opened once; close() is safe to repeat.

    synchronous="OFF" is for unit tests alone.
    """

    def __init__(self, data_folder: Path, clock: Clock, *, synchronous: Synchronous = "FULL") -> None:
        self._folder = DataFolder(data_folder)
        self._clock = clock
        self._synchronous: Synchronous = synchronous
        self._host = TaskHost()
        self._campaigns = CampaignPool()
        self._server_file: Database | None = None
        self._is_ready = False
        self._changing = anyio.Lock()  # held by open() and close()

    async def open(self) -> None:
        """Open the server's file, made where there is none, and finish the campaigns whose making was cut off.

        Raises StoreError; then nothing stays open.
        """
        async with self._changing:
            _logger.info("SQLite %s, data in %s", sqlite3.sqlite_version, self._folder.path)
            try:
                await self._host.start()
                await self._open_server()
                await self._finish_campaigns()
                self._is_ready = True
            except BaseException:
                await self._close()
                raise

    async def close(self) -> None:
        """Finish the writes that wait and close every file."""
        with anyio.CancelScope(shield=True):
            async with self._changing:
                await self._close()

    async def write(self, call: Call, story: Callable[[Unit], T]) -> T:
        """Run the story in one transaction on the call's campaign; committed before it returns."""
        async with self._campaign(call.campaign_id) as database:
            value, head_seq = await database.write(lambda connection: run_write(connection, call, story))
            database.note_head(head_seq)
            return value

    async def read(self, call: Call, story: Callable[[Unit], T]) -> T:
        """Run the story on one consistent picture of the call's campaign."""
        async with self._campaign(call.campaign_id) as database:
            return await database.read(lambda connection: story(CampaignUnit(connection, call, call.campaign_id)))

    async def write_server(self, call: Call, story: Callable[[ServerUnit], T]) -> T:
        """Run the story in one transaction on the server's own file; committed before it returns."""
        return await self._server.write(lambda connection: run_server_write(connection, call, story))

    async def read_server(self, call: Call, story: Callable[[ServerUnit], T]) -> T:  # noqa: ARG002 - the port's
        """Run the story on one consistent picture of the server's own file."""
        return await self._server.read(lambda connection: story(RegistryUnit(connection)))

    async def create_campaign(self, call: Call, entry: CampaignEntry, story: Callable[[Unit], T]) -> T:
        """Make the campaign's file where there is none yet, then run the story as its first write.

        The registry must have the campaign. Raises NotFound, StoreError and what the story raises.
        """
        first_write: list[tuple[T, int]] = []

        def work(connection: Connection) -> tuple[T, int]:
            return run_creation(connection, call, entry.campaign_id, story)

        async def made() -> Database:
            registered = await self._registered(entry.campaign_id)
            if registered.status != "creating":
                return await self._open_campaign(entry.campaign_id)
            return await self._make_campaign(registered, work, first_write)

        async with self._campaigns.use(entry.campaign_id, made) as database:
            value, head_seq = first_write[0] if first_write else await database.write(work)
            database.note_head(head_seq)
            return value

    async def stored_answer(self, call: Call) -> StoredAnswer | None:
        """The answer kept under the call's request key, or None. Raises RequestKeyReused."""
        if call.request_key is None:
            return None
        if call.campaign_id == SERVER:
            return await self._server.read(lambda connection: AnswerTable(connection, None).find(call))
        async with self._campaign(call.campaign_id) as database:
            return await database.read(lambda connection: AnswerTable(connection, call.campaign_id).find(call))

    def health(self) -> StoreHealth:
        """From memory only."""
        open_campaigns = tuple(
            CompartmentHealth(campaign_id, database.writer.queued, database.head_seq)
            for campaign_id, database in self._campaigns.open_now()
        )
        return StoreHealth(self._is_ready, sqlite3.sqlite_version, open_campaigns, _warnings())

    @property
    def _server(self) -> Database:
        if self._server_file is None:
            raise StoreUnavailable(SERVER_COMPARTMENT, "the store is not open")
        return self._server_file

    def _campaign(self, campaign_id: str) -> AbstractAsyncContextManager[Database]:
        return self._campaigns.use(campaign_id, lambda: self._open_campaign(campaign_id))

    async def _open_server(self) -> None:
        try:
            await to_thread.run_sync(self._folder.make)
        except OSError as error:
            raise as_store_error(SERVER_COMPARTMENT, error) or error from error
        # Campaigns without the file that lists them: it was lost, and a new one would hide them.
        is_new = not self._folder.has_campaigns()
        file = DatabaseFile(SERVER_COMPARTMENT, self._folder.server_file, SERVER_SCHEMA, is_new=is_new)
        self._server_file = await self._opened(file)

    async def _finish_campaigns(self) -> None:
        """Complete every campaign that a crash left in the making."""
        entries = await self._server.read(lambda connection: RegistryTable(connection).all())
        for entry in entries:
            if entry.status != "creating":
                continue
            try:
                async with self._campaign(entry.campaign_id):
                    _logger.info("finished the making of campaign %s", entry.campaign_id)
            except StoreError:
                # One damaged campaign must not keep the others from opening; whoever uses it gets this error.
                _logger.exception("campaign %s is still unfinished", entry.campaign_id)

    async def _registered(self, campaign_id: str) -> CampaignEntry:
        """The registry's entry. Raises NotFound."""
        entry = await self._server.read(lambda connection: RegistryTable(connection).find(campaign_id))
        if entry is None or entry.campaign_id != campaign_id or not is_campaign_id(campaign_id):
            raise NotFound("campaign", campaign_id)
        return entry

    async def _open_campaign(self, campaign_id: str) -> Database:
        """Open a registered campaign's file; one that is still being made is completed first."""
        entry = await self._registered(campaign_id)
        if entry.status == "creating":
            return await self._complete_campaign(entry)
        database = await self._opened(self._campaign_file(campaign_id, is_new=False))
        try:
            campaign = await database.read(lambda connection: require_campaign(connection, campaign_id))
        except BaseException:
            await database.close()
            raise
        database.note_head(campaign.head_seq)
        return database

    async def _complete_campaign(self, entry: CampaignEntry) -> Database:
        """Do what a crash kept create_campaign and its caller from doing."""
        at_ms = int(self._clock.wall().timestamp() * 1000)
        call = Call("campaign_manage", SYSTEM, entry.campaign_id, f"create-{entry.campaign_id}", at_ms)

        def work(connection: Connection) -> tuple[object, int]:
            begin = lambda unit: unit.campaign.begin(entry, entry.system)  # noqa: E731
            return run_creation(connection, call, entry.campaign_id, begin)

        written: list[tuple[object, int]] = []
        database = await self._make_campaign(entry, work, written)
        head_seq = written[0][1]
        database.note_head(head_seq)
        await self._server.write(
            lambda connection: RegistryTable(connection).opened(entry.campaign_id, at_ms=at_ms, head_seq=head_seq)
        )
        return database

    async def _make_campaign(
        self, entry: CampaignEntry, work: Callable[[Connection], tuple[T, int]], written: list[tuple[T, int]]
    ) -> Database:
        """The campaign's file, made or completed, with the outcome of its first write. Safe to repeat at any point."""
        folder = self._folder.campaign(entry.campaign_id)
        await to_thread.run_sync(make_folder, folder.path)
        database = await self._opened(self._campaign_file(entry.campaign_id, is_new=True))
        try:
            written.append(await database.write(work))
        except BaseException:
            await database.close()
            raise
        return database

    def _campaign_file(self, campaign_id: str, *, is_new: bool) -> DatabaseFile:
        return DatabaseFile(campaign_id, self._folder.campaign(campaign_id).file, CAMPAIGN_SCHEMA, is_new=is_new)

    async def _opened(self, file: DatabaseFile) -> Database:
        return await Database.open(file, self._clock, self._synchronous, self._host.spawn)

    async def _close(self) -> None:
        self._is_ready = False
        with anyio.CancelScope(shield=True):
            server, self._server_file = self._server_file, None
            await self._campaigns.close()
            if server is not None:
                await server.close()
            await self._host.stop()


def _warnings() -> tuple[str, ...]:
    if sqlite3.sqlite_version_info >= _SAFE_SQLITE:
        return ()
    safe = ".".join(str(part) for part in _SAFE_SQLITE)
    return (
        f"SQLite {sqlite3.sqlite_version} on this computer has a rare fault that can damage a campaign's file; "
        f"version {safe} or newer does not.",
    )
