"""How a server ends: asked to, left alone, or told twice; idle, and with a call under way."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import anyio
import anyio.to_thread
import pytest

from tests.e2e.ledger import Ledger, broken_promises, read_log
from tests.e2e.servers import (
    CHUNK,
    StdioServer,
    campaign_file,
    command,
    damaged,
    environment,
    held_database,
    held_lock,
    left_unclean,
    refusal_in,
    request,
    stdio_server,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither these signals nor flock")

REASONS = ("SIGTERM", "SIGINT", "SIGHUP", "end of input")


class Starters:
    """Lets nobody begin before everybody is there, so that nobody's start takes the processor from another's stop."""

    def __init__(self, count: int) -> None:
        self._missing = count
        self._all_here = anyio.Event()

    async def arrive(self) -> None:
        """Return when everybody arrived."""
        self._missing -= 1
        if not self._missing:
            self._all_here.set()
        await self._all_here.wait()


@dataclass(frozen=True, slots=True)
class Ending:
    """How a server ended.

    Attributes:
        code: Exit code; None where it was not our child.
        left: What an orderly stop must not leave behind.
        rolls: How many rolls the campaign's file has.
        said: What else was seen.
    """

    code: int | None
    left: tuple[str, ...]
    rolls: int
    said: object = None


Scene: TypeAlias = Callable[[Path, Starters], Awaitable[Ending]]


def ending(data: Path, code: int | None, said: object = None) -> Ending:
    """The ending of a server on that folder, which is gone now."""
    rolls = sum(read_log(file).head_roll for file in data.glob("campaigns/*/campaign.db"))
    return Ending(code, tuple(left_unclean(data)), rolls, said)


async def end(server: StdioServer, reason: str) -> None:
    """Make the server stop."""
    if reason == "end of input":
        await server.close_input()
    else:
        server.signal(signal.Signals[reason])


async def idle(reason: str, data: Path, starters: Starters) -> Ending:
    """Nothing runs."""
    async with stdio_server(data) as server:
        await server.call("dice_roll", expression="1d6")
        await starters.arrive()

        await end(server, reason)
        code = await server.exit_code()
    return ending(data, code, (await server.logged("stopping"))["reason"])


async def call_under_way(reason: str, data: Path, starters: Starters) -> Ending:
    """A call waits for a lock that another program keeps."""
    async with stdio_server(data, "--drain-s", "0.2") as server:
        await server.call("dice_roll", expression="1d6")
        await starters.arrive()
        with held_lock(campaign_file(data)):
            await server.ask("dice_roll", expression="1d6")
            await server.waiting_writes(1)

            await end(server, reason)
            code = await server.exit_code()
    return ending(data, code)


async def call_cut_off(reason: str, data: Path, starters: Starters) -> Ending:
    """The same, after the drain that is the default; what the caller is told."""
    async with stdio_server(data) as server:
        await server.call("dice_roll", expression="1d6")
        await starters.arrive()
        with held_lock(campaign_file(data)):
            pending = await server.ask("dice_roll", expression="1d6")
            await server.waiting_writes(1)
            await end(server, reason)
            error = refusal_in(await pending.arrived())
        code = await server.exit_code()
    return ending(data, code, (error["code"], error["retryable"], error["state_changed"]))


async def write_inside_sqlite(data: Path, starters: Starters) -> Ending:
    """A call waits in a thread that nobody can interrupt, because another program is inside a transaction."""
    async with stdio_server(data) as server:
        await server.call("dice_roll", expression="1d6")
        await starters.arrive()
        with held_database(campaign_file(data)):
            await server.ask("dice_roll", expression="1d6")
            await server.running_calls(1)

            server.signal(signal.SIGTERM)
            code = await server.exit_code()
    return ending(data, code)


async def files_locked(reason: str, data: Path, starters: Starters) -> Ending:
    """Closing waits for the lock of each file in turn, and another program keeps them all."""
    async with stdio_server(data) as server:
        for name in ("North", "South", "East"):
            await server.call("campaign_manage", action="create", name=name)
        await starters.arrive()
        with locks_of_all_files(data):
            await server.ask("dice_roll", expression="1d6", campaign="East")
            await server.waiting_writes(1)

            await end(server, reason)
            code = await server.exit_code()
    return ending(data, code)


@contextmanager
def locks_of_all_files(data: Path) -> Iterator[None]:
    """Hold the lock of every database."""
    with ExitStack() as locks:
        for file in data.rglob("*.db"):
            locks.enter_context(held_lock(file))
        yield


async def nobody_reads(data: Path, starters: Starters) -> Ending:
    """Answers fill the pipe, nobody takes them, and then the input ends."""
    call = request(1, "tools/call", {"name": "dice_roll", "arguments": {"expression": "150d6"}})
    requests = (json.dumps(call).encode() + b"\n") * 100
    pipe = subprocess.PIPE
    line = command(data)
    # anyio's own processes read their pipes beforehand, and not reading is the point here.
    with subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=pipe, env=environment()) as process:  # noqa: ASYNC220
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            await anyio.to_thread.run_sync(process.stdin.write, requests)
            await anyio.wait_readable(process.stdout)
            await starters.arrive()

            process.stdin.close()
            code = await anyio.to_thread.run_sync(process.wait, 10)
        finally:
            process.kill()
    return ending(data, code)


PARENT = """
import signal, subprocess, sys
subprocess.Popen(sys.argv[1:], stdin=0, stdout=1, stderr=2)
signal.pause()
"""


async def parent_gone(data: Path, starters: Starters) -> Ending:
    """A client was killed while something else keeps the pipes: nobody will ever write to them or close them."""
    stdin, our_stdin = os.pipe()
    our_stdout, stdout = os.pipe()
    our_stderr, stderr = os.pipe()
    line = [sys.executable, "-c", PARENT, *command(data)]
    parent = await anyio.open_process(line, stdin=stdin, stdout=stdout, stderr=stderr, env=environment())
    for end_of_child in (stdin, stdout, stderr):
        os.close(end_of_child)
    try:
        call = request(1, "tools/call", {"name": "dice_roll", "arguments": {"expression": "1d6"}})
        os.write(our_stdin, json.dumps(call).encode() + b"\n")
        answer = await read_some(our_stdout, limit_s=30)
        await starters.arrive()

        parent.kill()
        await parent.wait()
        log = await read_to_end(our_stderr, limit_s=10)
    finally:
        for end_of_ours in (our_stdin, our_stdout, our_stderr):
            os.close(end_of_ours)
        await parent.aclose()
    return ending(data, None, (b'"roll_number":1' in answer, b'"reason": "the parent is gone"' in log))


async def read_some(pipe: int, limit_s: float) -> bytes:
    """What comes next."""
    with anyio.fail_after(limit_s):
        await anyio.wait_readable(pipe)
    return os.read(pipe, CHUNK)


async def read_to_end(pipe: int, limit_s: float) -> bytes:
    """Everything until the last process that holds the other end is gone."""
    chunks = []
    with anyio.fail_after(limit_s):
        while chunk := await read_some(pipe, limit_s):
            chunks.append(chunk)
    return b"".join(chunks)


SCENES: Mapping[str, Scene] = {
    **{f"idle, {reason}": partial(idle, reason) for reason in REASONS},
    **{f"call under way, {reason}": partial(call_under_way, reason) for reason in REASONS},
    "call cut off, SIGTERM": partial(call_cut_off, "SIGTERM"),
    "call cut off, end of input": partial(call_cut_off, "end of input"),
    "write inside SQLite": write_inside_sqlite,
    "files locked, SIGTERM": partial(files_locked, "SIGTERM"),
    "files locked, end of input": partial(files_locked, "end of input"),
    "nobody reads": nobody_reads,
    "parent gone": parent_gone,
}


@pytest.fixture(scope="module")
def endings(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Ending]:
    """All scenes, played at once: nearly all of their time is waiting."""
    found: dict[str, Ending] = {}

    async def play(name: str, starters: Starters) -> None:
        found[name] = await SCENES[name](tmp_path_factory.mktemp("stop") / "data", starters)

    async def play_all() -> None:
        starters = Starters(len(SCENES))
        async with anyio.create_task_group() as tasks:
            for name in SCENES:
                tasks.start_soon(play, name, starters)

    anyio.run(play_all)
    return found


@pytest.mark.parametrize("reason", REASONS)
def test_an_idle_server_ends_with_0_and_leaves_clean_files(endings: Mapping[str, Ending], reason: str) -> None:
    """R32."""
    assert Ending(0, (), 1, reason) == endings[f"idle, {reason}"]


@pytest.mark.parametrize("reason", REASONS)
def test_a_call_under_way_does_not_keep_the_server_alive(endings: Mapping[str, Ending], reason: str) -> None:
    """R32: also with a call that never ends; it leaves no trace."""
    assert Ending(0, (), 1) == endings[f"call under way, {reason}"]


@pytest.mark.parametrize("reason", ["SIGTERM", "end of input"])
def test_a_call_that_is_cut_off_is_told_that_nothing_changed(endings: Mapping[str, Ending], reason: str) -> None:
    """R32."""
    assert Ending(0, (), 1, ("SHUTTING_DOWN", True, False)) == endings[f"call cut off, {reason}"]


def test_a_write_that_waits_inside_sqlite_does_not_keep_the_server_alive(endings: Mapping[str, Ending]) -> None:
    """R32."""
    assert Ending(0, (), 1) == endings["write inside SQLite"]


@pytest.mark.parametrize("reason", ["SIGTERM", "end of input"])
def test_files_that_cannot_be_closed_are_left_behind_in_time(endings: Mapping[str, Ending], reason: str) -> None:
    """R32: the stop was cut short, so logs may be left; the files are whole."""
    found = endings[f"files locked, {reason}"]

    assert (0, 0) == (found.code, found.rolls)
    assert [] == [problem for problem in found.left if "-wal has" not in problem]


def test_a_client_that_stops_reading_does_not_keep_the_server_alive(endings: Mapping[str, Ending]) -> None:
    """R32."""
    assert 0 == endings["nobody reads"].code


def test_a_server_whose_parent_is_gone_ends_although_its_pipes_stay_open(endings: Mapping[str, Ending]) -> None:
    """R32."""
    assert Ending(None, (), 1, (True, True)) == endings["parent gone"]


async def test_calls_that_can_finish_are_all_answered_before_the_stop(tmp_path: Path) -> None:
    """R32, R34: a volley is under way, the lock comes free after the signal, and no answer is lost on the way out."""
    ledger = Ledger()
    async with stdio_server(tmp_path) as server:
        await (await ledger.ask(server, "first")).arrived()
        with held_lock(campaign_file(tmp_path)):
            for number in range(200):
                await ledger.ask(server, f"volley-{number}")
            await server.running_calls(200)
            server.signal(signal.SIGTERM)
            await server.logged("stopping")
        code = await server.exit_code()
    ledger.settle()

    assert (0, [], {}) == (code, ledger.unanswered(), ledger.refused)
    assert [] == broken_promises(ledger, read_log(campaign_file(tmp_path)))


async def test_a_second_signal_ends_the_process_at_once_with_1(tmp_path: Path) -> None:
    """R32: without it this stop would take more than two seconds; what was committed stays."""
    async with stdio_server(tmp_path) as server:
        await server.call("dice_roll", expression="1d6")
        with held_lock(campaign_file(tmp_path)):
            await server.ask("dice_roll", expression="1d6")
            await server.waiting_writes(1)
            server.signal(signal.SIGTERM)
            await server.logged("stopping")

            server.signal(signal.SIGINT)
            code = await server.exit_code()

    assert (1, [], 1) == (code, damaged(tmp_path), read_log(campaign_file(tmp_path)).head_roll)


def test_a_damaged_file_is_found_by_the_check_of_these_tests(tmp_path: Path) -> None:
    """The check can fail."""
    file = tmp_path / "broken.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript("CREATE TABLE t (a UNIQUE); INSERT INTO t VALUES (1), (2); PRAGMA writable_schema=ON")
        connection.executescript("DELETE FROM sqlite_schema WHERE type = 'index'")

    found = damaged(tmp_path)

    assert ["broken.db"] == [verdict.partition(":")[0] for verdict in found]
