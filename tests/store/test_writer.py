"""Queueing, group commit and cancellation, on a real file through Database."""

import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.store.helpers import until
from ttrpg_mcp.play.errors import OutcomeUnknown, StoreBusy, StoreUnavailable
from ttrpg_mcp.recovery.deadline import within
from ttrpg_mcp.recovery.errors import BulkheadFull, DeadlineExceeded
from ttrpg_mcp.recovery.testing import ManualClock
from ttrpg_mcp.store.connection import Connection
from ttrpg_mcp.store.database import Database, DatabaseFile
from ttrpg_mcp.store.host import TaskHost
from ttrpg_mcp.store.locks import FileLock
from ttrpg_mcp.store.migrations import SERVER_SCHEMA
from ttrpg_mcp.store.writer import MOST_QUEUED

Work = Callable[[Connection], str]


class Gate:
    """A unit that stands in the writer's thread until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, connection: Connection) -> str:
        write("gate")(connection)
        self.entered.set()
        assert self.opened.wait(5)
        return "through"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def database(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Database]:
    host = TaskHost()
    await host.start()
    file = DatabaseFile("server", tmp_path / "server.db", SERVER_SCHEMA, is_new=True)
    database = await Database.open(file, clock, "OFF", host.spawn)
    yield database
    await database.close()
    await host.stop()


@pytest.fixture
def gate() -> Gate:
    return Gate()


def write(key: str) -> Work:
    def work(connection: Connection) -> str:
        connection.insert("server_state", {"key": key, "value": "0"})
        return key

    return work


async def keys(database: Database) -> set[str]:
    return await database.read(lambda connection: {row["key"] for row in connection.all("SELECT * FROM server_state")})


class Caller:
    """A task that writes, and how it ended."""

    def __init__(self, database: Database, work: Work) -> None:
        self.scope = anyio.CancelScope()
        self.outcome: object = None
        self._database = database
        self._work = work

    async def __call__(self) -> None:
        try:
            with self.scope:
                self.outcome = await self._database.write(self._work)
        except (BulkheadFull, OutcomeUnknown, StoreBusy, StoreUnavailable) as error:
            self.outcome = type(error)


async def test_who_waits_while_a_batch_runs_shares_the_next_one(database: Database, gate: Gate) -> None:
    commits: list[object] = []

    def counting(connection: Connection) -> str:
        if not commits or commits[-1] != connection:
            commits.append(connection)  # a batch has one Connection of its own
        return "counted"

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(database.write, gate)
            await until(gate.entered.is_set)
            for _ in range(100):
                group.start_soon(database.write, counting)
            await until(lambda: database.writer.queued == 100)
            gate.opened.set()

    assert 1 == len(commits)


async def test_a_full_queue_refuses_at_once(database: Database, gate: Gate) -> None:
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(database.write, gate)
            await until(gate.entered.is_set)
            for number in range(MOST_QUEUED):
                group.start_soon(database.write, write(str(number)))
            await until(lambda: database.writer.queued == MOST_QUEUED)

            with pytest.raises(BulkheadFull) as caught:
                await database.write(write("one too many"))
            gate.opened.set()

    assert "db:server:write" == caught.value.key
    assert MOST_QUEUED + 1 == len(await keys(database))


async def test_a_waiting_unit_goes_with_its_caller(database: Database, gate: Gate) -> None:
    waiting = Caller(database, write("waiting"))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(database.write, gate)
            await until(gate.entered.is_set)
            group.start_soon(waiting)
            await until(lambda: database.writer.queued == 1)
            waiting.scope.cancel()
            await until(lambda: database.writer.queued == 0)
            gate.opened.set()

    assert waiting.scope.cancelled_caught
    assert {"gate"} == await keys(database)


async def test_a_started_unit_is_awaited_before_the_cancellation_goes_on(database: Database, gate: Gate) -> None:
    caller = Caller(database, gate)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(caller)
            await until(gate.entered.is_set)
            caller.scope.cancel()
            for _ in range(20):
                await checkpoint()
            was_waiting = not caller.scope.cancelled_caught
            gate.opened.set()

    assert was_waiting
    assert caller.scope.cancelled_caught
    assert {"gate"} == await keys(database)


async def test_a_cancelled_caller_waits_two_seconds_at_most(database: Database, gate: Gate, clock: ManualClock) -> None:
    caller = Caller(database, gate)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(caller)
            await until(gate.entered.is_set)
            caller.scope.cancel()
            await until(lambda: len(clock.limits) == 1)
            clock.advance(1.9)
            await checkpoint()
            was_waiting = not caller.scope.cancelled_caught
            clock.advance(0.2)
            await until(lambda: caller.scope.cancelled_caught)
            gate.opened.set()

    assert was_waiting


class HurriedCaller(Caller):
    """The same with a deadline of our own."""

    def __init__(self, database: Database, work: Work, clock: ManualClock) -> None:
        super().__init__(database, work)
        self._clock = clock

    async def __call__(self) -> None:
        try:
            with within(self._clock, 1.0, "attempt"):
                await super().__call__()
        except DeadlineExceeded as error:
            self.outcome = type(error)


async def test_an_expired_deadline_gets_the_true_result_of_a_batch_that_ends_soon(
    database: Database, gate: Gate, clock: ManualClock
) -> None:
    caller = HurriedCaller(database, gate, clock)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(caller)
            await until(gate.entered.is_set)
            clock.advance(1.1)
            await until(lambda: len(clock.limits) == 2)
            clock.advance(0.4)
            gate.opened.set()

    assert "through" == caller.outcome


async def test_an_expired_deadline_leaves_a_slow_batch_with_the_outcome_unknown(
    database: Database, gate: Gate, clock: ManualClock
) -> None:
    caller = HurriedCaller(database, gate, clock)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(caller)
            await until(gate.entered.is_set)
            clock.advance(1.1)
            await until(lambda: len(clock.limits) == 2)
            clock.advance(0.6)
            await until(lambda: caller.outcome is not None)
            gate.opened.set()

    assert OutcomeUnknown is caller.outcome


async def test_an_expired_deadline_drops_a_waiting_unit(database: Database, gate: Gate, clock: ManualClock) -> None:
    caller = HurriedCaller(database, write("waiting"), clock)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(database.write, gate)
            await until(gate.entered.is_set)
            group.start_soon(caller)
            await until(lambda: database.writer.queued == 1)
            clock.advance(1.1)
            await until(lambda: caller.outcome is not None)
            gate.opened.set()

    assert DeadlineExceeded is caller.outcome
    assert {"gate"} == await keys(database)


async def test_a_lock_held_elsewhere_for_too_long_is_busy_and_nothing_happened(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    foreign = FileLock("foreign", tmp_path / "server.db", clock)
    clock.skips_sleeps = True

    async with foreign.held():
        with pytest.raises(StoreBusy) as caught:
            await database.write(write("one"))
    foreign.close()

    assert caught.value.nothing_happened
    assert set() == await keys(database)


async def test_a_unit_can_be_dropped_while_the_lock_is_awaited(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    foreign = FileLock("foreign", tmp_path / "server.db", clock)
    caller = Caller(database, write("one"))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            async with foreign.held():
                group.start_soon(caller)
                await clock.wait_for_sleepers()
                caller.scope.cancel()
                await until(lambda: caller.scope.cancelled_caught)
            clock.advance(1)
    foreign.close()

    assert set() == await keys(database)


async def test_closing_finishes_what_waits_and_refuses_what_comes(database: Database, gate: Gate) -> None:
    late = Caller(database, write("late"))
    waiting = Caller(database, write("waiting"))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(database.write, gate)
            await until(gate.entered.is_set)
            group.start_soon(waiting)
            await until(lambda: database.writer.queued == 1)
            group.start_soon(database.writer.stop)
            await checkpoint()
            await late()
            gate.opened.set()

    assert ["waiting", StoreUnavailable] == [waiting.outcome, late.outcome]


async def test_a_cancelled_read_leaves_its_connection_free(database: Database) -> None:
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    started = threading.Event()

    def count_for_ever(connection: Connection) -> None:
        started.set()
        connection.one(endless)

    with anyio.fail_after(5):
        for _ in range(2):
            started.clear()
            async with anyio.create_task_group() as group:
                group.start_soon(database.read, count_for_ever)
                await until(started.is_set)
                group.cancel_scope.cancel()

        assert [set(), set()] == [await keys(database), await keys(database)]


async def test_a_read_is_one_consistent_picture(database: Database) -> None:
    before, after = threading.Event(), threading.Event()

    def twice(connection: Connection) -> tuple[int, int]:
        first = len(connection.all("SELECT * FROM server_state"))
        before.set()
        assert after.wait(5)
        return first, len(connection.all("SELECT * FROM server_state"))

    seen: list[tuple[int, int]] = []

    async def read() -> None:
        seen.append(await database.read(twice))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await until(before.is_set)
            await database.write(write("meanwhile"))
            after.set()

    assert [(0, 0)] == seen
