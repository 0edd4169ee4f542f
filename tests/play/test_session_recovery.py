"""Checkpoints by themselves on a clock that is turned by hand, and the way back from the newest sound one."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.abc
import pytest

from tests.fakes import CountingIds, FixedEntropy, client_of
from tests.store.entity_images import EXAMPLES
from tests.store.helpers import CAMPAIGN_ID, ENTRY, a_call, campaign_file, make_campaign, roll, rows, until
from ttrpg_mcp.play.errors import StoreUnavailable
from ttrpg_mcp.play.ports import Call, CheckpointEntry, Ports, StoreHealth, Unit, entity_id
from ttrpg_mcp.play.session_recovery import (
    RecoveredSession,
    SessionRecovery,
    SkippedCheckpoint,
    picture_of,
    recover_session,
)
from ttrpg_mcp.play.sessions import end_session, start_session
from ttrpg_mcp.recovery.clock import SystemClock
from ttrpg_mcp.recovery.testing import ManualClock
from ttrpg_mcp.store.store import SqliteStore

T = TypeVar("T")
OTHER_ID = "other-fghijk"
HOUR_MS = 3_600_000


class DoctoredStore:
    """The real store, whose reads can be held or made to fail, campaign by campaign."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.failing: set[str] = set()
        self.gate: anyio.Event | None = None
        self.reading = 0
        self.most_reading = 0

    async def read(self, call: Call, story: Callable[[Unit], T]) -> T:
        if call.campaign_id in self.failing:
            raise StoreUnavailable(call.campaign_id)
        self.reading += 1
        self.most_reading = max(self.most_reading, self.reading)
        try:
            if self.gate is not None:
                await self.gate.wait()
            return await self._store.read(call, story)
        finally:
            self.reading -= 1

    async def write(self, call: Call, story: Callable[[Unit], T]) -> T:
        return await self._store.write(call, story)

    def health(self) -> StoreHealth:
        return self._store.health()


@dataclass(frozen=True)
class Tasks:
    """Background work in the test's own task group."""

    group: anyio.abc.TaskGroup

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        self.group.start_soon(self._run, work)

    async def _run(self, work: Callable[[], Awaitable[None]]) -> None:
        await work()


@dataclass
class Table:
    """A store with a campaign, a clock, and session recovery on both."""

    store: SqliteStore
    doctored: DoctoredStore
    clock: ManualClock
    ports: Ports
    recovery: SessionRecovery
    calls: list[str] = field(default_factory=list)

    async def write(self, story: Callable[[Unit], T], campaign_id: str = CAMPAIGN_ID, at_ms: int | None = None) -> T:
        self.calls.append("")
        call = a_call(f"call-{len(self.calls)}", campaign_id=campaign_id)
        return await self.store.write(replace(call, at_ms=self.now_ms if at_ms is None else at_ms), story)

    async def note(self, text: str, campaign_id: str = CAMPAIGN_ID) -> None:
        await self.write(lambda unit: put(unit, "note", {**EXAMPLES["note"], "body": text}), campaign_id)

    async def kept(self, campaign_id: str = CAMPAIGN_ID) -> list[CheckpointEntry]:
        """Oldest first."""
        found = await self.store.read(a_call(campaign_id=campaign_id), lambda unit: unit.checkpoints.all())
        return list(found)[::-1]

    async def seqs(self, campaign_id: str = CAMPAIGN_ID) -> list[int]:
        return [entry.seq for entry in await self.kept(campaign_id)]

    async def turn(self, seconds: float) -> None:
        """Turn the clock, and wait until every timer that was due sleeps again."""
        slept = len(self.clock.sleeps_s)
        self.clock.advance(seconds)
        due = sum(1 for sleeper in self.clock.sleepers if sleeper.due <= self.clock.monotonic())
        await until(lambda: len(self.clock.sleeps_s) == slept + due)

    async def start(self) -> None:
        self.recovery.start_checkpointing()
        with anyio.fail_after(5):
            await self.clock.wait_for_sleepers()

    async def recover(self, at_ms: int | None = None) -> RecoveredSession | None:
        call = replace(a_call("recover"), at_ms=self.now_ms if at_ms is None else at_ms)
        return await recover_session(self.ports, call)

    @property
    def now_ms(self) -> int:
        return int(self.clock.wall().timestamp() * 1000)


def put(unit: Unit, entity: str, image: dict[str, Any]) -> None:
    keys = {"combatant": ("encounter_id", "id"), "token": ("map_id", "id"), "session": ("number",)}
    unit.entities.put(entity, entity_id(*(image[key] for key in keys.get(entity, ("id",)))), image, visibility="gm")


@asynccontextmanager
async def opened_table(data: Path, group: anyio.abc.TaskGroup, clock: ManualClock) -> AsyncIterator[Table]:
    store = SqliteStore(data, SystemClock(), synchronous="OFF")
    await store.open()
    try:
        doctored: Any = DoctoredStore(store)
        nobody: Any = None
        ports = Ports(doctored, clock, FixedEntropy(), CountingIds(), health=nobody, background=Tasks(group))
        yield Table(store, doctored, clock, ports, SessionRecovery(ports, 30.0))
    finally:
        await store.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def table(data: Path) -> AsyncIterator[Table]:
    async with anyio.create_task_group() as group, opened_table(data, group, ManualClock()) as table:
        await make_campaign(table.store)
        yield table
        group.cancel_scope.cancel()


# The timer.


async def test_there_is_one_at_the_start_and_then_one_every_30_seconds_that_changed_something(table: Table) -> None:
    """R53."""
    await table.start()
    await table.note("one")
    await table.turn(29)
    before = await table.seqs()
    await table.turn(1)
    await table.turn(30)
    await table.write(roll)
    await table.turn(30)

    assert [1] == before
    assert [1, 2, 3] == await table.seqs()
    assert [30.0] * 4 == table.clock.sleeps_s


async def test_its_row_is_the_system_s_and_moves_no_seq(table: Table) -> None:
    """R53."""
    await table.start()

    [entry] = await table.kept()
    assert ("auto", "system", table.now_ms) == (entry.kind, entry.created_by, entry.created_at_ms)
    assert 1 == (await table.store.read(a_call(), lambda unit: unit.campaign.get())).head_seq


async def test_an_error_does_not_stop_the_timer_and_keeps_no_other_campaign(
    table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    """R53."""
    other = replace(ENTRY, campaign_id=OTHER_ID, name="Other")
    await make_campaign(table.store, other)
    table.doctored.failing.add(CAMPAIGN_ID)
    await table.start()
    first = (await table.seqs(), await table.seqs(OTHER_ID))
    table.doctored.failing.clear()

    await table.turn(30)

    assert ([], [1]) == first
    assert [1] == await table.seqs()
    assert f"{CAMPAIGN_ID}: the checkpoint failed" in caplog.text


async def test_two_at_once_are_one_after_the_other(table: Table) -> None:
    """R53: no overlap, and what the second one would repeat is not written."""
    table.doctored.gate = anyio.Event()
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(table.recovery.save_checkpoint, CAMPAIGN_ID)
        await anyio.wait_all_tasks_blocked()
        table.doctored.gate.set()

    assert (1, [1]) == (table.doctored.most_reading, await table.seqs())


async def test_a_stop_takes_the_last_one_and_ends_the_timer(table: Table) -> None:
    """R53: also at the end of the process."""
    await table.start()
    table.recovery.start_checkpointing()
    await table.note("last words")

    await table.recovery.stop()
    await table.recovery.stop()

    await anyio.wait_all_tasks_blocked()
    assert ([1, 2], []) == (await table.seqs(), table.clock.sleepers)


async def test_a_stop_that_cannot_save_ends_within_a_second(table: Table) -> None:
    """R53."""
    await table.start()
    table.doctored.gate = anyio.Event()

    async with anyio.create_task_group() as group:
        group.start_soon(table.recovery.stop)
        await anyio.wait_all_tasks_blocked()
        table.clock.advance(1)
        with anyio.fail_after(5):
            await anyio.wait_all_tasks_blocked()

    assert 0 == table.doctored.reading


async def test_a_paused_campaign_is_left_alone(table: Table, caplog: pytest.LogCaptureFixture) -> None:
    image = {**EXAMPLES["campaign"], "id": CAMPAIGN_ID, "name": "Lost Mine"}
    await table.write(lambda unit: unit.entities.put("campaign", CAMPAIGN_ID, image, visibility="gm"))

    await table.start()

    assert ([], "") == (await table.seqs(), caplog.text)


async def test_two_servers_on_one_folder_save_once(table: Table, data: Path) -> None:
    """R53."""
    async with anyio.create_task_group() as group, opened_table(data, group, table.clock) as second:
        await second.store.read(a_call(), lambda unit: unit.campaign.get())
        for server in (table, second):
            server.recovery.start_checkpointing()
        with anyio.fail_after(5):
            await table.clock.wait_for_sleepers(2)
        for step in range(4):
            await table.note(f"step {step}")
            await table.turn(30)

        assert [1, 2, 3, 4, 5] == await table.seqs()
        group.cancel_scope.cancel()


async def test_a_clock_that_is_set_back_does_not_stop_the_checkpoints(table: Table) -> None:
    """R53."""
    await table.start()
    table.clock.jump_wall(-2 * 24 * 3600)
    await table.note("yesterday")

    await table.turn(30)

    assert [1, 2] == await table.seqs()


async def test_a_session_has_one_at_its_start_and_one_for_good_at_its_end(table: Table) -> None:
    """R53: each in the transaction that starts or ends it."""
    await start_session(table.ports, a_call("start"), "Into the cave")
    await end_session(table.ports, a_call("end"), "All went well.")

    kept = await table.kept()
    state = await table.store.read(a_call(), lambda unit: unit.checkpoints.state(kept[1].id))
    assert [("auto", 2, 1), ("session", 3, 1)] == [(entry.kind, entry.seq, entry.session_number) for entry in kept]
    assert "ended" == state["session"]["1"]["status"]


async def test_the_newest_one_is_looked_at_first_and_then_daily_and_a_whole_one_follows_an_unsound_one(
    table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    """R53: nothing is built on a checkpoint that is rotten, although nothing changed since."""
    await table.write(lambda unit: unit.checkpoints.save("auto"))
    await table.write(rot)
    await table.start()
    first = [entry.status for entry in await table.kept()]
    await table.write(rot)
    await table.turn(24 * 3600 - 1)

    second = [entry.status for entry in await table.kept()]
    await table.turn(30)

    assert (["invalid", "valid"], ["invalid", "valid"]) == (first, second)
    assert ["invalid", "invalid", "valid"] == [entry.status for entry in await table.kept()]
    assert "a checkpoint is unsound" in caplog.text


def rot(unit: Any) -> None:
    unit._connection.run("UPDATE blob SET body = x'ffffff'")


async def test_the_real_server_takes_the_last_one_when_it_closes(data: Path) -> None:
    """R53."""
    async with client_of(data) as client:
        await client.call_tool("dice_roll", {"expression": "1d20"})

    [folder] = (data / "campaigns").iterdir()
    found = rows(campaign_file(data, folder.name), "SELECT kind, seq, roll_number, status FROM checkpoint")
    assert [{"kind": "auto", "seq": 2, "roll_number": 1, "status": "valid"}] == found


# The way back.


async def test_nothing_to_recover_from_is_none(table: Table) -> None:
    """R55."""
    assert await table.recover() is None


async def test_the_newest_by_seq_is_used_whatever_the_clock_said_and_later_changes_are_applied(table: Table) -> None:
    """R55."""
    await table.note("first")
    await table.write(lambda unit: unit.checkpoints.save("auto"), at_ms=10**14)
    await table.note("second")
    await table.write(lambda unit: unit.checkpoints.save("auto"))
    await table.write(lambda unit: put(unit, "character", EXAMPLES["character"]))
    await table.write(lambda unit: unit.entities.delete("note", "klarg", visibility="gm"))

    recovered = await table.recover()

    assert recovered is not None
    assert (3, 5, 2, ()) == (recovered.entry.seq, recovered.seq, recovered.changes_applied, recovered.skipped)
    assert ["second"] == [note["body"] for note in recovered.picture.notes]
    now = await table.store.read(
        a_call(), lambda unit: {kind: {e[0]: e[1] for e in unit.entities.all(kind)} for kind in recovered.state}
    )
    assert now == recovered.state


def spoil_newest(unit: Any, column: str, value: str) -> None:
    unit._connection.run(f"UPDATE checkpoint SET {column} = {value} WHERE seq = 3")  # noqa: S608


async def test_unsound_ones_are_passed_over_named_and_marked(table: Table) -> None:
    """R55: newest first, each with its reason, and the next time without another look."""
    for text in ("one", "two", "three"):
        await table.note(text)
        await table.write(lambda unit: unit.checkpoints.save("auto"))
    await table.write(lambda unit: spoil_newest(unit, "schema", "99"))
    await table.write(lambda unit: unit.checkpoints.invalidate("c4", "somebody said so"))

    first, second = await table.recover(), await table.recover()

    assert first is not None
    assert ("c2", "three") == (first.entry.id, first.state["note"]["klarg"]["body"])
    newer = "a newer release wrote it (schema 99)"
    assert (SkippedCheckpoint("c4", 4, "somebody said so"), SkippedCheckpoint("c3", 3, newer)) == first.skipped
    assert first == second
    assert ["valid", "invalid", "invalid"] == [entry.status for entry in await table.kept()]


async def test_where_none_is_sound_there_is_none(table: Table) -> None:
    """R55."""
    await table.write(lambda unit: unit.checkpoints.save("auto"))
    await table.write(lambda unit: unit.checkpoints.invalidate("c1", "rotten"))

    assert await table.recover() is None


async def test_a_paused_campaign_is_recovered_although_nothing_can_be_marked(table: Table) -> None:
    """R55."""
    await table.write(lambda unit: unit.checkpoints.save("auto"))
    await table.note("two")
    await table.note("three")
    await table.write(lambda unit: unit.checkpoints.save("auto"))
    await table.write(lambda unit: spoil_newest(unit, "manifest_hash", "zeroblob(32)"))
    image = {**EXAMPLES["campaign"], "id": CAMPAIGN_ID, "name": "Lost Mine"}
    await table.write(lambda unit: unit.entities.put("campaign", CAMPAIGN_ID, image, visibility="gm"))

    recovered = await table.recover()

    assert recovered is not None
    assert ("c1", "paused", 1) == (
        recovered.entry.id,
        recovered.state["campaign"][CAMPAIGN_ID]["status"],
        len(recovered.skipped),
    )
    assert ["valid", "valid"] == [entry.status for entry in await table.kept()]


@pytest.mark.parametrize(
    ("status", "age_ms", "expected"),
    [
        ("active", 24 * HOUR_MS, "resume"),
        ("active", 24 * HOUR_MS + 1, "ask"),
        ("active", 7 * 24 * HOUR_MS, "ask"),
        ("active", -(10**9), "resume"),
        ("ended", 7 * 24 * HOUR_MS, "none"),
        ("planned", 0, "none"),
    ],
)
async def test_24_hours_decide_only_whether_a_turn_order_goes_on_by_itself(
    table: Table, status: str, age_ms: int, expected: str
) -> None:
    """R56: weekly play never looks like loss, and a time in the future is noted and accepted."""
    await table.write(lambda unit: put(unit, "encounter", {**EXAMPLES["encounter"], "status": status}))
    await table.write(lambda unit: unit.checkpoints.save("auto"))

    recovered = await table.recover(table.now_ms + age_ms)

    assert recovered is not None
    assert (expected, status) == (recovered.turn_order, recovered.state["encounter"]["ambush"]["status"])
    assert (1 if age_ms < 0 else 0) == len(recovered.remarks)


async def test_the_picture_has_the_founding_fields(table: Table) -> None:
    """R54."""

    def play(unit: Unit) -> CheckpointEntry:
        for entity in ("session", "character", "note", "encounter", "map", "token"):
            put(unit, entity, EXAMPLES[entity])
        slow, fast, unready = ({**EXAMPLES["combatant"], "id": name, "name": name} for name in ("s", "f", "u"))
        for image, initiative in ((unready, None), (slow, 3.0), (fast, 18.5)):
            put(unit, "combatant", {**image, "initiative": initiative})
        roll(unit)
        return unit.checkpoints.save("turn")

    entry = await table.write(play, at_ms=1_700_000_000_000)
    state = await table.store.read(a_call(), lambda unit: unit.checkpoints.state(entry.id))

    picture = picture_of(CAMPAIGN_ID, entry, state)

    assert (f"{CAMPAIGN_ID}/3", "2023-11-14T22:13:20+00:00") == (picture.session_id, picture.timestamp)
    assert picture.initiative is not None
    assert EXAMPLES["encounter"] == picture.initiative.encounter
    assert ["f", "s", "u"] == [combatant["id"] for combatant in picture.initiative.combatants]
    assert ((EXAMPLES["character"],), (EXAMPLES["note"],)) == (picture.characters, picture.notes)
    assert ((EXAMPLES["map"],), (EXAMPLES["token"],)) == (picture.map_state["map"], picture.map_state["token"])
    assert (1, 2, entry.seq, entry.manifest_hash) == (
        picture.dice_history,
        picture.schema_version,
        picture.seq,
        picture.fingerprint,
    )


async def test_a_time_that_no_calendar_has_is_no_reason_to_fail(table: Table) -> None:
    """R56."""
    entry = await table.write(lambda unit: unit.checkpoints.save("auto"), at_ms=2**60)

    assert "" == picture_of(CAMPAIGN_ID, entry, {}).timestamp
