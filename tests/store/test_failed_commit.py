"""A COMMIT that failed: nobody is told anything before a later commit shows what is true.

The fault is a hook between the store and SQLite: it fails the statement before SQLite has it, or after, so that both
ends of the protocol are reached. That the real library behaves so is shown in tests/chaos.
"""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from tests.store.helpers import a_call, campaign_file, make_campaign, roll, rows, until
from ttrpg_mcp import faults
from ttrpg_mcp.play.errors import NotSaved, OutcomeUnknown, ReadOnly, StoreCorrupt
from ttrpg_mcp.play.ports import Principal
from ttrpg_mcp.recovery.deadline import within
from ttrpg_mcp.recovery.testing import ManualClock
from ttrpg_mcp.store.connection import Connection
from ttrpg_mcp.store.guarded import GuardedStore
from ttrpg_mcp.store.store import SqliteStore
from ttrpg_mcp.store.suspect import settle_suspect, suspect_mark


class Fault:
    """Fails commits of one file while it is on.

    Attributes:
        commits: How many were tried while it was on.
        saves_first: The commit is done before it fails.
    """

    def __init__(self) -> None:
        self.is_on = False
        self.saves_first = False
        self.commits = 0


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fault]:
    fault = Fault()
    honest = Connection.run

    def run(self: Connection, sql: str, /, **values: object) -> int:
        if sql != "COMMIT" or not fault.is_on or not is_campaign(self):
            return honest(self, sql, **values)  # type: ignore[arg-type]
        fault.commits += 1
        if fault.saves_first:
            fault.saves_first = False
            honest(self, sql)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
        raise error

    monkeypatch.setattr(Connection, "run", run)
    yield fault
    fault.is_on = False


def is_campaign(connection: Connection) -> bool:
    return connection.one("SELECT 1 FROM sqlite_master WHERE name = 'roll'") is not None


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(data: Path, clock: ManualClock, fault: Fault) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(data, clock, synchronous="OFF")
    await store.open()
    await make_campaign(store)
    yield store
    fault.is_on = False
    await store.close()


class Caller:
    """A task that rolls, and how it ended."""

    def __init__(self, store: SqliteStore | GuardedStore, call_id: str, *, key: str | None = None) -> None:
        self._store = store
        self._call = a_call(call_id, key=key)
        self.outcome: object = None

    async def __call__(self) -> None:
        try:
            await self._store.write(self._call, roll)
            self.outcome = "saved"
        except (NotSaved, OutcomeUnknown, ReadOnly) as error:
            self.outcome = type(error)


def saved_calls(data: Path) -> list[str]:
    return [row["call_id"] for row in rows(campaign_file(data), "SELECT call_id FROM roll ORDER BY number")]


async def test_who_is_surely_not_saved_is_told_so_after_the_first_probe_that_works(
    store: SqliteStore, fault: Fault, clock: ManualClock, data: Path
) -> None:
    """R42."""
    caller = Caller(store, "one", key="k")
    fault.is_on = True
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(caller)
            for probes, pause_s in enumerate((0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0), 2):
                await until(lambda: len(clock.limits) == 1)
                clock.advance(pause_s)
                await until(lambda probes=probes: fault.commits == probes)  # type: ignore[misc]
            told_early = caller.outcome
            was_marked = suspect_mark(campaign_file(data)).exists()
            await until(lambda: len(clock.limits) == 1)
            fault.is_on = False
            clock.advance(1.0)
    await store.close()

    assert (None, True, False) == (told_early, was_marked, suspect_mark(campaign_file(data)).exists())
    assert NotSaved is caller.outcome
    assert [] == saved_calls(data)


async def test_who_was_saved_in_spite_of_the_error_gets_the_true_answer(
    store: SqliteStore, fault: Fault, clock: ManualClock, data: Path
) -> None:
    """R42, R34."""
    caller = Caller(store, "one")
    fault.is_on = fault.saves_first = True
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(caller)
            await until(lambda: len(clock.limits) == 1)
            fault.is_on = False
            clock.advance(0.05)
    await store.close()

    assert "saved" == caller.outcome
    assert ["one"] == saved_calls(data)


async def test_a_call_that_wrote_before_is_not_taken_for_saved(
    store: SqliteStore, fault: Fault, clock: ManualClock, data: Path
) -> None:
    """The first roll of all writes twice under one call id: it makes its campaign first."""
    await store.write(a_call("one"), roll)
    caller = Caller(store, "one")
    fault.is_on = True
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(caller)
            await until(lambda: len(clock.limits) == 1)
            fault.is_on = False
            clock.advance(0.05)

    assert NotSaved is caller.outcome


async def test_a_new_write_is_refused_at_once_and_reads_go_on(
    store: SqliteStore, fault: Fault, clock: ManualClock
) -> None:
    """R42: and the repeat of what is still open stays open."""
    first = Caller(store, "one", key="k")
    fault.is_on = True
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            await until(lambda: len(clock.limits) == 1)

            with pytest.raises(ReadOnly) as other:
                await store.write(a_call("two", key="other"), roll)
            with pytest.raises(OutcomeUnknown):
                await store.write(a_call("three", key="k"), roll)
            with pytest.raises(ReadOnly):
                await store.write(a_call("four", key="k", principal=Principal("player", "Anna")), roll)
            read = await store.read(a_call("five"), lambda unit: unit.campaign.get().head_roll)

            fault.is_on = False
            clock.advance(1.0)

    assert (0, 1, 1.0) == (read, other.value.safe_seq, other.value.retry_after_s)


async def test_the_first_write_after_the_fault_is_served_and_settles_what_was_open(
    store: SqliteStore, fault: Fault, clock: ManualClock, data: Path
) -> None:
    """R29: no pause has to end first."""
    first = Caller(store, "one")
    fault.is_on = True
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            await until(lambda: len(clock.limits) == 1)
            fault.is_on = False
            await store.write(a_call("two"), roll)
    await store.close()

    assert NotSaved is first.outcome
    assert ["two"] == saved_calls(data)


async def test_a_caller_whose_deadline_comes_first_cannot_be_told(
    store: SqliteStore, fault: Fault, clock: ManualClock
) -> None:
    """R42."""
    caller = Caller(store, "one")

    async def hurried() -> None:
        with within(clock, 1.0, "total"):
            await caller()

    fault.is_on = True
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hurried)
            await until(lambda: fault.commits > 0 and len(clock.limits) == 2)
            clock.advance(1.1)
            await until(lambda: fault.commits > 1 and len(clock.limits) == 3)
            clock.advance(0.6)
            await until(lambda: caller.outcome is not None)

    assert OutcomeUnknown is caller.outcome


async def test_the_policies_repeat_what_is_surely_not_saved(
    store: SqliteStore, fault: Fault, clock: ManualClock, data: Path
) -> None:
    """R24: a short fault is not felt at all, and the repeat happens once."""
    guarded = GuardedStore(store, clock=clock, classify=faults.classify)
    caller = Caller(guarded, "one", key="k")
    fault.is_on = True
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(caller)
            await until(lambda: fault.commits == 1 and len(clock.limits) == 1)
            fault.is_on = False
            clock.advance(0.05)
            await clock.wait_for_sleepers()
            clock.advance(1.0)
    await store.close()

    assert "saved" == caller.outcome
    assert ["one"] == saved_calls(data)


async def test_closing_while_it_is_open_says_so_and_leaves_the_mark(
    store: SqliteStore, fault: Fault, clock: ManualClock, data: Path
) -> None:
    caller = Caller(store, "one")
    fault.is_on = True
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(caller)
            await until(lambda: len(clock.limits) == 1)
            await store.close()

    assert OutcomeUnknown is caller.outcome
    assert suspect_mark(campaign_file(data)).exists()


async def test_a_start_that_finds_the_mark_checks_the_file_and_takes_it_away(data: Path, store: SqliteStore) -> None:
    """R42, R53."""
    await store.close()
    suspect_mark(campaign_file(data)).touch()
    again = SqliteStore(data, ManualClock(), synchronous="OFF")
    await again.open()

    entry = await again.write(a_call("two"), roll)
    await again.close()

    assert 1 == entry.number
    assert not suspect_mark(campaign_file(data)).exists()


def test_a_start_that_finds_the_mark_and_damage_does_not_serve(tmp_path: Path) -> None:
    """R53: and leaves the mark, since nothing is settled."""
    file = tmp_path / "campaign.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE roll (number INTEGER PRIMARY KEY)")
        connection.commit()
    with file.open("r+b") as handle:
        handle.seek(4096)  # the second page is the table's
        handle.write(b"\xff" * 64)
    suspect_mark(file).touch()

    with closing(sqlite3.connect(file, isolation_level=None)) as connection, pytest.raises(StoreCorrupt):
        settle_suspect(Connection(connection), file)

    assert suspect_mark(file).exists()
