"""Server processes, ours and the bare one, spoken to as plainly as possible: the client's own work hides no ratio."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from benchmarks.wire import Era, Speaker

__all__ = ["Link", "StdioLink", "bare_command", "http_link", "our_command", "start", "stdio_link"]

_ROOT = Path(__file__).parent.parent
_IDLE_S = 2.0  # uvicorn closes a connection that was idle for five seconds


def bare_command(*options: str) -> list[str]:
    """How the bare server is started."""
    return [sys.executable, "-m", "benchmarks.bare", *options]


def our_command(data: Path, *options: str) -> list[str]:
    """How ours is started."""
    return [sys.executable, "-m", "ttrpg_mcp", "serve", "--data", str(data), *options]


class Link(Protocol):
    """One connection to a server."""

    def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The result of a tool that must succeed."""
        ...

    def cpu_s(self) -> float:
        """CPU seconds that the server's process has used, all threads; nan where the system does not tell."""
        ...


class StdioLink:
    """A server over its standard streams."""

    def __init__(self, process: "subprocess.Popen[bytes]", era: Era) -> None:
        self._process = process
        self._speaker = Speaker(era)

    def open(self) -> None:
        """Greet, where the era wants that."""
        opening = self._speaker.opening()
        for number, line in enumerate(opening):
            self._send(line)
            if number == 0:
                self._receive()

    def ask(self, method: str) -> dict[str, Any]:
        """The result of a request without parameters."""
        self._send(self._speaker.request(method, {}))
        return self._receive()

    def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The result of a tool that must succeed."""
        self._send(self._speaker.call(tool, arguments))
        return _succeeded(self._receive())

    def cpu_s(self) -> float:
        """CPU seconds of the server."""
        return _cpu_s(self._process.pid)

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return _result(json.loads(self._process.stdout.readline()))


class HttpLink:
    """A server over one kept HTTP connection."""

    def __init__(self, pid: int, url: str, era: Era) -> None:
        parts = urlsplit(url)
        self._pid = pid
        self._path = parts.path
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        self._speaker = Speaker(era)
        self._session: dict[str, str] = {}
        self._used_at = 0.0

    def open(self) -> None:
        """Greet, where the era wants that."""
        for line in self._speaker.opening():
            response = self._post(line, self._speaker.headers("initialize"))
            response.read()
            if session := response.getheader("Mcp-Session-Id"):
                self._session = {"Mcp-Session-Id": session}

    def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The result of a tool that must succeed."""
        response = self._post(self._speaker.call(tool, arguments), self._speaker.headers("tools/call", tool))
        return _succeeded(_result(json.loads(_message(response.read()))))

    def cpu_s(self) -> float:
        """CPU seconds of the server."""
        return _cpu_s(self._pid)

    def _post(self, body: bytes, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        if time.monotonic() - self._used_at > _IDLE_S:
            self._connection.close()  # it opens again by itself
        self._used_at = time.monotonic()
        always = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        self._connection.request("POST", self._path, body, {**always, **headers, **self._session})
        return self._connection.getresponse()


@contextmanager
def stdio_link(command: list[str], era: Era) -> Iterator[StdioLink]:
    """A server that has been greeted."""
    with start(command) as process:
        link = StdioLink(process, era)
        link.open()
        yield link


@contextmanager
def http_link(command: list[str], era: Era) -> Iterator[HttpLink]:
    """A server that has been greeted."""
    with start(command, stderr=subprocess.PIPE) as process:
        link = HttpLink(process.pid, _url(process), era)
        link.open()
        yield link


@contextmanager
def start(command: list[str], stderr: int = subprocess.DEVNULL) -> Iterator["subprocess.Popen[bytes]"]:
    """A server process; killed at the end, for its way out is not measured here."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, cwd=_ROOT)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _url(process: "subprocess.Popen[bytes]") -> str:
    assert process.stderr is not None
    seen = b""
    for line in process.stderr:
        seen += line
        if found := re.search(rb'"url": "([^"]+)"', line):
            _wait_for(found[1].decode())
            return found[1].decode()
    raise RuntimeError(f"the server did not start: {seen.decode()}")


def _wait_for(url: str) -> None:
    """Return once somebody listens there."""
    parts = urlsplit(url)
    for _ in range(500):
        try:
            http.client.HTTPConnection(parts.hostname or "", parts.port).connect()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise RuntimeError(f"nobody listens at {url}")


def _message(body: bytes) -> bytes:
    """The JSON of a response, the last event's where it came as a stream."""
    if body.startswith(b"{"):
        return body
    return [line for line in body.splitlines() if line.startswith(b"data: {")][-1].removeprefix(b"data: ")


def _result(message: dict[str, Any]) -> dict[str, Any]:
    if "result" not in message:
        raise RuntimeError(f"refused: {message}")
    result: dict[str, Any] = message["result"]
    return result


def _succeeded(result: dict[str, Any]) -> dict[str, Any]:
    if result.get("isError"):
        raise RuntimeError(f"the tool failed: {result}")
    return result


def _cpu_s(pid: int) -> float:
    # The clock id of another process, as glibc's clock_getcpuclockid() makes it.
    if sys.platform != "linux" or not hasattr(os, "wait4"):
        return float("nan")
    return time.clock_gettime((~pid << 3) | 2)
