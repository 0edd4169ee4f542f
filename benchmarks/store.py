"""Writes and reads of the store against the least that a safe write can cost: append 4 KiB and fdatasync."""

import itertools
import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiosqlite
import anyio

from benchmarks.commit import bare_commit
from benchmarks.table import Row
from benchmarks.timing import async_burst, ratio, rounds, sync_burst
from ttrpg_mcp.play.ports import GM, SERVER, Answer, Call, CampaignEntry, RollDraft, RollEntry, Unit
from ttrpg_mcp.recovery.clock import SystemClock
from ttrpg_mcp.store import batch, writer
from ttrpg_mcp.store.store import SqliteStore

__all__ = ["measure"]

_CAMPAIGN = "benchmark-aaaaaa"
_SEED = bytes(32)
_CALLERS = 32
_fdatasync = getattr(os, "fdatasync", os.fsync)


async def measure(folder: Path, *, quick: bool) -> list[Row]:
    """One caller, then 32 at once."""
    calls = _Calls()
    async with _open_store(folder / "store", calls) as store:

        async def write() -> None:
            await store.write(calls.next(), _roll)

        await write()
        with _floor(folder / "floor") as append, bare_commit(folder / "store") as commit:

            async def read() -> None:
                await store.read(calls.next(), _look)

            subjects = {
                "floor": sync_burst(append, 40),
                "commit": sync_burst(commit.roll, 40),
                "write": async_burst(write, 40),
                "read": async_burst(read, 40),
            }
            costs = await rounds(5 if quick else 15, subjects)
            wall, cpu = ratio(costs, "write", "floor")
            floor_ms = 1000 * statistics.median(cost.wall for cost in costs["floor"])
            rows = [Row("store", "write, 1 caller, p50 / floor", wall, 2, cpu, note=f"floor {floor_ms:.2f} ms")]
            wall, cpu = ratio(costs, "write", "commit")
            rows.append(Row("store", "write, 1 caller, p50 / commit", wall, cpu=cpu))
            hops, commits = await _count(write, 50)
            rows += [Row("store", "hops a write", hops, 1), Row("store", "commits (fsyncs) a write", commits, 1)]
            wall, _ = ratio(costs, "read", "floor")
            rows.append(Row("store", "read, 1 caller, p50 / floor", wall))
            return rows + await _crowd(write, append, 3 if quick else 9)


async def _crowd(write: Callable[[], Awaitable[None]], append: Callable[[], None], count: int) -> list[Row]:
    """32 callers: how many writes a second, and the slowest hundredth."""
    rates, lates = [], []
    for _ in range(count):
        floor = _alone(append, 100)
        crowd = await _together(write, 20)
        rates.append(crowd.rate / floor.rate)
        lates.append(crowd.p99 / floor.p99)
    return [
        Row("store", f"writes a second, {_CALLERS} callers / floor", statistics.median(rates), 10, at_least=True),
        Row("store", f"write, {_CALLERS} callers, p99 / floor p99", statistics.median(lates), 5),
    ]


@dataclass(frozen=True, slots=True)
class _Pace:
    """Calls a second, and the time that 99 of 100 stayed below."""

    rate: float
    p99: float


def _alone(append: Callable[[], None], calls: int) -> _Pace:
    walls = []
    for _ in range(calls):
        began = time.perf_counter()
        append()
        walls.append(time.perf_counter() - began)
    return _Pace(calls / sum(walls), statistics.quantiles(walls, n=100)[-1])


async def _together(write: Callable[[], Awaitable[None]], calls_each: int) -> _Pace:
    walls = []

    async def caller() -> None:
        for _ in range(calls_each):
            began = time.perf_counter()
            await write()
            walls.append(time.perf_counter() - began)

    began = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(_CALLERS):
            tasks.start_soon(caller)
    return _Pace(len(walls) / (time.perf_counter() - began), statistics.quantiles(walls, n=100)[-1])


async def _count(write: Callable[[], Awaitable[None]], calls: int) -> tuple[float, float]:
    """Hops into a database's thread, and transactions, a write; under FULL every commit is one fsync of the log."""
    counted = {"hops": 0, "commits": 0}
    execute: Any = aiosqlite.Connection._execute
    run_batch = batch.run_batch

    async def counting_execute(*given: Any, **named: Any) -> Any:
        counted["hops"] += 1
        return await execute(*given, **named)

    def counting_run_batch(*given: Any, **named: Any) -> None:
        counted["commits"] += 1
        run_batch(*given, **named)

    aiosqlite.Connection._execute = counting_execute  # type: ignore[method-assign]
    setattr(writer, "run_batch", counting_run_batch)  # noqa: B010 - the writer's own name for it
    try:
        for _ in range(calls):
            await write()
    finally:
        aiosqlite.Connection._execute = execute  # type: ignore[method-assign]
        setattr(writer, "run_batch", run_batch)  # noqa: B010
    return counted["hops"] / calls, counted["commits"] / calls


class _Calls:
    """Calls of the game master, each with its own id."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._first = Call("dice_roll", GM, _CAMPAIGN, "", 1_000, None, b"", _answer)

    def next(self, campaign_id: str = _CAMPAIGN) -> Call:
        return replace(self._first, campaign_id=campaign_id, call_id=f"call-{next(self._numbers)}")


def _answer(_: object) -> Answer:
    return Answer("1d20 (7) = 7.", {"summary": "1d20 (7) = 7."})


def _roll(unit: Unit) -> RollEntry:
    """What dice_roll writes, without the dice."""
    stream = unit.rolls.next_stream(_SEED)
    faces = [(20, stream.chance.draw(1, 20)[0])]
    return unit.rolls.save(stream, RollDraft("d20", "1d20", faces, str(faces[0][1]), {"total": faces[0][1]}))


def _look(unit: Unit) -> object:
    return unit.rolls.page(before=None, since=0, limit=5)


@asynccontextmanager
async def _open_store(data: Path, calls: _Calls) -> AsyncIterator[SqliteStore]:
    """A store with one campaign."""
    store = SqliteStore(data, SystemClock())
    entry = CampaignEntry(_CAMPAIGN, "Benchmark", "creating", 1_000)
    await store.open()
    try:
        await store.write_server(calls.next(SERVER), lambda unit: unit.registry.begin(entry))
        await store.create_campaign(calls.next(), entry, lambda unit: unit.campaign.begin(entry, "generic"))
        opened = lambda unit: unit.registry.opened(_CAMPAIGN, at_ms=1_000, head_seq=1)  # noqa: E731
        await store.write_server(calls.next(SERVER), opened)
        yield store
    finally:
        await store.close()


@contextmanager
def _floor(file: Path) -> Iterator[Callable[[], None]]:
    """Append 4 KiB and wait until the disk has it."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    block = bytes(4096)

    def append() -> None:
        os.write(handle, block)
        _fdatasync(handle)

    try:
        yield append
    finally:
        os.close(handle)
