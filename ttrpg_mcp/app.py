"""The composition root: the only place that builds real things."""

import logging
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import anyio
import anyio.abc
from mcp.server import MCPServer

from ttrpg_mcp import __version__, faults
from ttrpg_mcp.play.ports import Entropy, Ids, Json, Ports, Store
from ttrpg_mcp.recovery.admission import Admission
from ttrpg_mcp.recovery.bulkhead import Bulkheads
from ttrpg_mcp.recovery.clock import Clock, SystemClock
from ttrpg_mcp.recovery.pipeline import Gate
from ttrpg_mcp.server import GateLimits, TtrpgServer
from ttrpg_mcp.settings import Settings
from ttrpg_mcp.store.guarded import GuardedStore
from ttrpg_mcp.store.store import SqliteStore
from ttrpg_mcp.tools import all_tools
from ttrpg_mcp.tools._spec import ToolSpec

__all__ = ["SystemEntropy", "SystemIds", "build", "shown_tools"]

_log = logging.getLogger(__name__)

_INCIDENT_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # none that are read as another


class SystemEntropy:
    """The operating system's randomness."""

    def seed(self) -> bytes:
        """32 unpredictable bytes."""
        return secrets.token_bytes(32)


@dataclass(frozen=True, slots=True)
class SystemIds:
    """Identifiers from the clock and the operating system's randomness."""

    clock: Clock

    def call_id(self) -> str:
        """Twelve hex digits of time and eight random ones."""
        return f"{int(self.clock.wall().timestamp() * 1000):012x}{secrets.token_hex(4)}"

    def letters(self, count: int) -> str:
        """`count` random letters of a-z."""
        return "".join(secrets.choice(ascii_lowercase) for _ in range(count))

    def incident(self) -> str:
        """A number such as E-7K2F."""
        return "E-" + "".join(secrets.choice(_INCIDENT_LETTERS) for _ in range(4))


@dataclass(slots=True)
class _OpenStores:
    """Every storage that a lifespan opened and has not closed."""

    stores: list[GuardedStore] = field(default_factory=list)

    async def close(self) -> None:
        """Close them all; safe to call twice."""
        while self.stores:
            await self.close_one(self.stores[-1])

    async def close_one(self, store: GuardedStore) -> None:
        """Close this one; safe to call twice."""
        if store in self.stores:
            self.stores.remove(store)
        await store.close()

    def is_ready(self) -> bool:
        """Whether at least one is open and answers."""
        return any(store.health().is_ready for store in self.stores)


@dataclass(frozen=True, slots=True)
class _TaskBackground:
    """Background work in the lifespan's own task group."""

    tasks: anyio.abc.TaskGroup

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        """Begin it and return at once."""
        self.tasks.start_soon(self._run, work)

    async def _run(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception:  # noqa: BLE001 - named border: nobody waits for background work
            _log.exception("background work failed")


@dataclass(frozen=True, slots=True)
class _ServerHealth:
    """What the running server knows of itself."""

    admission: Admission
    store: GuardedStore
    clock: Clock
    started_at: float

    def report(self) -> Json:
        """JSON-ready facts, from memory only."""
        storage = self.store.health()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "uptime_s": round(self.clock.monotonic() - self.started_at, 1),
            "ready": storage.is_ready,
            "draining": self.admission.is_closed,
            "running_calls": self.admission.running,
            "sqlite_version": storage.sqlite_version,
            "open_campaigns": [
                {"id": entry.campaign_id, "seq": entry.head_seq, "queued": entry.queued}
                for entry in storage.open_campaigns
            ],
            "breakers": self.store.breakers(),
            "warnings": list(storage.warnings),
        }


def shown_tools(settings: Settings) -> Sequence[ToolSpec]:
    """The tools of the chosen families, in the order of the tool table; "campaign" is always among them."""
    return [spec for spec in all_tools() if not settings.tools or spec.family in {*settings.tools, "campaign"}]


def build(
    settings: Settings,
    *,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
    ids: Ids | None = None,
    specs: Sequence[ToolSpec] | None = None,
    make_store: Callable[[Path, Clock], SqliteStore] = SqliteStore,
) -> TtrpgServer:
    """The server with everything it needs; nothing is opened before its lifespan begins.

    Tests give their own clock, chance, names, tools or storage; without them the real ones are built.
    """
    clock = clock or SystemClock()
    ids = ids or SystemIds(clock)
    entropy = entropy or SystemEntropy()
    stores = _OpenStores()
    started_at = clock.monotonic()

    def make_ports(store: GuardedStore, tasks: anyio.abc.TaskGroup) -> Ports:
        health = _ServerHealth(server.admission, store, clock, started_at)
        background = _TaskBackground(tasks)
        return Ports(store=store, clock=clock, entropy=entropy, ids=ids, health=health, background=background)

    server = TtrpgServer(
        shown_tools(settings) if specs is None else specs,
        lifespan=_lifespan(lambda: make_store(settings.data, clock), clock, stores, make_ports),
        clock=clock,
        ids=ids,
        gate=Gate(clock=clock, bulkheads=Bulkheads(settings.campaign_slots, settings.campaign_queue)),
        limits=GateLimits(total_s=settings.interactive_s),
        close_files=stores.close,
        is_ready=stores.is_ready,
    )
    return server


def _lifespan(
    make_store: Callable[[], SqliteStore],
    clock: Clock,
    stores: _OpenStores,
    make_ports: Callable[[GuardedStore, anyio.abc.TaskGroup], Ports],
) -> Callable[[MCPServer[Ports]], Any]:
    """The lifespan of one connection over stdio, or of the whole process over HTTP.

    The SDK enters it before it answers anything, so the files open beside it and the gate waits for them.
    """

    @asynccontextmanager
    async def lifespan(_: MCPServer[Ports]) -> AsyncIterator[Ports]:
        store = GuardedStore(make_store(), clock=clock, classify=faults.classify)
        stores.stores.append(store)
        async with anyio.create_task_group() as opening:
            opening.start_soon(store.keep_opening)
            try:
                async with anyio.create_task_group() as background:
                    yield make_ports(store, background)
            finally:
                with anyio.CancelScope(shield=True):
                    await stores.close_one(store)
                opening.cancel_scope.cancel()

    return lifespan


def _is_port(store: GuardedStore) -> Store:
    """Let the type checker say that the guarded store keeps the port's promise."""
    return store
