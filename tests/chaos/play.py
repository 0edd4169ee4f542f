"""What the chaos tests do with a server: many roll at once, and afterwards the ledger is held against the file."""

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from tests.chaos.shim import Disk
from tests.e2e.ledger import Ledger, broken_promises, read_log
from tests.e2e.servers import Json, ServerGone, StdioServer, campaign_file, damaged, stdio_server

__all__ = ["PRODUCT", "WAL", "back", "found_out", "on_disk", "resend", "roll_once", "volley"]

WAL = "campaign.db-wal"
PRODUCT = ("-m", "ttrpg_mcp")
BACK_WITHIN_S = 5  # after the fault is lifted, without a restart
LIMIT_S = 2.0  # for one call, so that what is left open is told soon


@asynccontextmanager
async def on_disk(data: Path, disk: Disk | None, *, program: Sequence[str] = PRODUCT) -> AsyncIterator[StdioServer]:
    """A server whose disk fails on command; or on the real one."""
    variables = disk.environment if disk else {}
    flags = ("--log-level", "error", "--interactive-s", str(LIMIT_S))
    async with stdio_server(data, *flags, program=program, variables=variables) as server:
        yield server


async def roll_once(server: StdioServer, ledger: Ledger, key: str) -> Json:
    """The answer to one roll, which is in the ledger then."""
    answer = await (await ledger.ask(server, key)).arrived()
    ledger.settle()
    return answer


async def volley(server: StdioServer, ledger: Ledger, name: str, writers: int, rolls: int | None = None) -> None:
    """All writers roll one after the other, so often or until the server is gone."""

    async def write(writer: int) -> None:
        number = 0
        while rolls is None or number < rolls:
            number += 1
            try:
                await (await ledger.ask(server, f"{name}-w{writer}-{number}")).arrived()
            except ServerGone:
                return

    async with anyio.create_task_group() as tasks:
        for writer in range(writers):
            tasks.start_soon(write, writer)
    ledger.settle()


async def back(server: StdioServer, ledger: Ledger) -> None:
    """Return when a roll is recorded again. Raises TimeoutError after five seconds."""
    with anyio.fail_after(BACK_WITHIN_S):
        for number in itertools.count():
            await roll_once(server, ledger, key := f"back-{len(ledger.asked)}-{number}")
            if key in ledger.acknowledged:
                return
            await anyio.sleep(0.05)


async def resend(server: StdioServer, ledger: Ledger) -> None:
    """Ask again for everything that was not answered well."""
    for pending in [await ledger.ask(server, key) for key in ledger.unanswered()]:
        await pending.arrived()
    ledger.settle()


def found_out(ledger: Ledger, data: Path) -> list[str]:
    """Every promise that the files do not keep; empty when all are kept."""
    return damaged(data) + broken_promises(ledger, read_log(campaign_file(data)))
