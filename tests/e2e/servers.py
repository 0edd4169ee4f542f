"""Real server processes: on pipes, driven line by line, and on HTTP; and the files they leave."""

import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import anyio.abc

__all__ = [
    "CHUNK",
    "ERAS",
    "MODERN",
    "Json",
    "Pending",
    "ServerGone",
    "ServerProcess",
    "StdioServer",
    "campaign_file",
    "command",
    "damaged",
    "environment",
    "facts_in",
    "held_database",
    "held_lock",
    "http_server",
    "initialize",
    "left_unclean",
    "refusal_in",
    "request",
    "stdio_server",
]

Json: TypeAlias = dict[str, Any]

MODERN = "2026-07-28"
LEGACY = "2025-11-25"
ERAS = ("legacy", MODERN)
CHUNK = 65_536

_META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class ServerGone(Exception):
    """The server ended before it answered."""


def command(data: Path, *flags: str, program: Sequence[str] = ("-m", "ttrpg_mcp")) -> list[str]:
    """The command line of a server on that folder; another program is one that a test broke on purpose."""
    return [sys.executable, *program, "serve", "--data", str(data), *flags]


def environment(**changes: str) -> dict[str, str]:
    """The environment of this process without settings of the product."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TTRPG_MCP_")}
    return kept | changes


def request(number: int, method: str, params: Mapping[str, Any] | None = None, *, era: str = MODERN) -> Json:
    """A JSON-RPC request as a client of that era sends it."""
    meta = {"_meta": _META} if era == MODERN else {}
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": {**(params or {}), **meta}}


def initialize() -> list[Json]:
    """What a client of the older era says first."""
    hello = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "tests", "version": "1"}}
    return [request(0, "initialize", hello, era="legacy"), {"jsonrpc": "2.0", "method": "notifications/initialized"}]


def facts_in(answer: Json) -> Json:
    """The facts of an answer that must be no refusal."""
    result = answer["result"]
    assert not result.get("isError"), result["content"]
    facts: Json = result["structuredContent"]
    return facts


def refusal_in(answer: Json) -> Json:
    """The envelope of an answer that must be a refusal."""
    result = answer["result"]
    assert result.get("isError"), result["structuredContent"]
    error: Json = result["structuredContent"]["error"]
    return error


class _Signpost:
    """Wakes whoever waits for a state each time that the state may have been reached."""

    def __init__(self) -> None:
        self._moved = anyio.Event()
        self._is_last = False

    def move(self, *, is_last: bool = False) -> None:
        """Something changed; nothing ever will after the last time."""
        self._is_last = self._is_last or is_last
        self._moved.set()
        self._moved = anyio.Event()

    async def until(self, is_reached: Callable[[], bool], limit_s: float, what: str) -> None:
        """Return when it is reached. Raises ServerGone when it never will be, TimeoutError when it takes too long."""
        with anyio.fail_after(limit_s):
            while not is_reached():
                if self._is_last:
                    raise ServerGone(what)
                await self._moved.wait()


class ServerProcess:
    """A running server, its log, its signals and its end.

    Attributes:
        log: Lines of stderr so far.
    """

    def __init__(self, process: anyio.abc.Process) -> None:
        self.process = process
        self.log: list[str] = []
        self._logged = _Signpost()

    async def read_log(self) -> None:
        """Read stderr to its end, unless the test has it."""
        if self.process.stderr is None:
            return
        async for line in _lines(self.process.stderr):
            self.log.append(line.decode())
            self._logged.move()
        self._logged.move(is_last=True)

    async def logged(self, message: str, limit_s: float = 20) -> Json:
        """The first log line with that message, once it is there."""
        found: list[Json] = []

        def look() -> bool:
            lines = (json.loads(line) for line in self.log if line.startswith("{"))
            found[:] = [line for line in lines if line["message"] == message]
            return bool(found)

        await self._logged.until(look, limit_s, f"never logged {message!r}: {self.log[-3:]}")
        return found[0]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    async def exit_code(self, limit_s: float = 5) -> int:
        """The exit code, once the process ended. Raises TimeoutError after limit_s."""
        with anyio.fail_after(limit_s):
            return await self.process.wait()

    async def kill(self) -> None:
        """End it as kill -9 does, and return when it is dead and its pipes are read to their ends."""
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.exit_code(20)


class Pending:
    """A request on its way.

    Attributes:
        answer: The JSON-RPC answer; None while there is none.
    """

    def __init__(self, settled: _Signpost) -> None:
        self.answer: Json | None = None
        self._settled = settled

    async def arrived(self, limit_s: float = 30) -> Json:
        """The answer. Raises ServerGone."""
        await self._settled.until(lambda: self.answer is not None, limit_s, "ended before it answered")
        assert self.answer is not None
        return self.answer


class StdioServer(ServerProcess):
    """A server on pipes, spoken to in single lines.

    Attributes:
        lines: Lines of stdout so far.
        order: Ids of the answers so far, as they came.
    """

    def __init__(self, process: anyio.abc.Process, era: str) -> None:
        super().__init__(process)
        self.era = era
        self.lines: list[bytes] = []
        self.order: list[int] = []
        self._pending: dict[int, Pending] = {}
        self._numbers = itertools.count(1)
        self._answered = _Signpost()
        self._sending = anyio.Lock()

    async def read_answers(self) -> None:
        """Read stdout to its end and hand each answer to its request."""
        assert self.process.stdout is not None
        async for line in _lines(self.process.stdout):
            self.lines.append(line)
            answer = json.loads(line)
            if (number := answer.get("id")) in self._pending:
                self._pending[number].answer = answer
                self.order.append(number)
                self._answered.move()
        self._answered.move(is_last=True)

    async def write(self, data: bytes) -> None:
        """Write to stdin. Raises ServerGone."""
        assert self.process.stdin is not None
        async with self._sending:
            try:
                await self.process.stdin.send(data)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
                raise ServerGone("stdin is closed") from error

    async def send(self, method: str, params: Mapping[str, Any] | None = None) -> Pending:
        """Send a request and do not wait for its answer."""
        number = next(self._numbers)
        pending = self._pending[number] = Pending(self._answered)
        await self.write(_line(request(number, method, params, era=self.era)))
        return pending

    async def ask(self, tool: str, /, **arguments: object) -> Pending:
        """Call a tool and do not wait for its answer."""
        return await self.send("tools/call", {"name": tool, "arguments": arguments})

    async def call(self, tool: str, /, **arguments: object) -> Json:
        """The facts of a call that must be answered well."""
        return facts_in(await (await self.ask(tool, **arguments)).arrived())

    async def answered(self, count: int, limit_s: float = 30) -> None:
        """Return when that many answers came. Raises ServerGone."""
        await self._answered.until(lambda: len(self.order) >= count, limit_s, f"{len(self.order)} of {count} answers")

    async def waiting_writes(self, count: int) -> None:
        """Return when that many writes wait for the lock of their files."""
        with anyio.fail_after(20):
            while True:
                health = await self.call("status_show", detail="health")
                if sum(campaign["queued"] for campaign in health["open_campaigns"]) >= count:
                    return

    async def running_calls(self, count: int) -> None:
        """Return when that many calls run, the question itself not counted."""
        with anyio.fail_after(20):
            while (await self.call("status_show", detail="health"))["running_calls"] <= count:
                pass

    async def close_input(self) -> None:
        """End stdin."""
        assert self.process.stdin is not None
        await self.process.stdin.aclose()


@asynccontextmanager
async def stdio_server(
    data: Path,
    *flags: str,
    era: str = MODERN,
    program: Sequence[str] = ("-m", "ttrpg_mcp"),
    stderr: int = subprocess.PIPE,
) -> AsyncIterator[StdioServer]:
    """A server on pipes; in the older era it was greeted already. Killed at the end if it still runs."""
    line = command(data, *flags, program=program)
    server = StdioServer(await _started(line, stdin=subprocess.PIPE, stderr=stderr), era)
    async with _attended(server, server.read_answers, server.read_log):
        if era != MODERN:
            for message in initialize():
                await server.write(_line(message))
        yield server


@asynccontextmanager
async def http_server(data: Path, *flags: str) -> AsyncIterator[tuple[ServerProcess, str]]:
    """A server on a free port and its base address. Killed at the end if it still runs."""
    line = command(data, "--http", "--port", "0", *flags)
    server = ServerProcess(await _started(line, stdin=subprocess.DEVNULL))

    async def discard() -> None:
        assert server.process.stdout is not None
        async for _ in server.process.stdout:
            pass

    async with _attended(server, discard, server.read_log):
        url = (await server.logged("listening"))["url"]
        yield server, url.removesuffix("/mcp")


@contextmanager
def held_lock(file: Path) -> Iterator[None]:
    """Hold the lock of a database file as another program would."""
    import fcntl  # noqa: PLC0415 - POSIX alone has it

    with file.with_suffix(".lock").open("rb+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def held_database(file: Path) -> Iterator[None]:
    """Hold a write transaction in a database file, as a foreign program would."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def campaign_file(data: Path) -> Path:
    """The file of the only campaign."""
    (file,) = data.glob("campaigns/*/campaign.db")
    return file


def left_unclean(data: Path) -> list[str]:
    """What an orderly stop must not leave: side files with content, and files that SQLite finds damaged."""
    found = [f"{side.name} has {side.stat().st_size} bytes" for side in data.rglob("*.db-wal") if side.stat().st_size]
    return found + damaged(data)


def damaged(data: Path) -> list[str]:
    """The databases of the folder that SQLite finds damaged."""
    files = sorted(data.rglob("*.db"))
    assert files
    verdicts = {file.name: _verdict(file) for file in files}
    return [f"{name}: {verdict}" for name, verdict in verdicts.items() if verdict != ["ok"]]


def _verdict(file: Path) -> Sequence[str]:
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        try:
            return [row[0] for row in connection.execute("PRAGMA integrity_check")]
        except sqlite3.DatabaseError as error:
            return [str(error)]


def _line(message: Json) -> bytes:
    return json.dumps(message).encode() + b"\n"


async def _lines(stream: anyio.abc.ByteReceiveStream) -> AsyncIterator[bytes]:
    """Whole lines, and what is left at the end."""
    parts: list[bytes] = []
    with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
        async for chunk in stream:
            *ended, rest = chunk.split(b"\n")
            for line in ended:
                yield b"".join([*parts, line])
                parts.clear()
            parts.append(rest)
    if last := b"".join(parts):
        yield last


async def _started(line: Sequence[str], *, stdin: int, stderr: int = subprocess.PIPE) -> anyio.abc.Process:
    return await anyio.open_process(line, stdin=stdin, stderr=stderr, env=environment())


@asynccontextmanager
async def _attended(server: ServerProcess, *readers: Callable[[], Any]) -> AsyncIterator[None]:
    """Read the pipes beside the block, and leave no process behind."""
    try:
        async with anyio.create_task_group() as tasks:
            for reader in readers:
                tasks.start_soon(reader)
            try:
                yield
            finally:
                with anyio.CancelScope(shield=True):
                    await server.kill()
    finally:
        with anyio.CancelScope(shield=True):
            await server.process.aclose()
