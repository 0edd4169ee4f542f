"""Servers and helpers as processes of their own, each ended by whoever started it."""

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.conformance.faults import FAULT, HELD

__all__ = ["FIXTURE", "PRODUCT", "ServerFailed", "faults_met", "serving", "taking_locks"]

PRODUCT = ("-m", "ttrpg_mcp", "serve", "--http", "--port", "0")
FIXTURE = ("-m", "tests.conformance.fixture")
LOCKS = ("-m", "tests.conformance.faults")
START_LIMIT_S = 15.0
STOP_LIMIT_S = 10.0
POLL_S = 0.05


class ServerFailed(Exception):
    """A server did not start, or did not stop in order."""


@contextmanager
def serving(data: Path, *arguments: str) -> Iterator[str]:
    """A server on this folder; its MCP address. Raises ServerFailed, also when it does not stop with exit code 0."""
    data.mkdir(parents=True, exist_ok=True)
    log = log_of(data)
    with log.open("wb") as errors:
        process = subprocess.Popen([sys.executable, *arguments, "--data", str(data)], stderr=errors)
    try:
        yield _address_of(process, log)
    finally:
        code = _stop(process)
    if code != 0:
        raise ServerFailed(f"the server ended with {code}; its log: {_tail(log)}")


@contextmanager
def taking_locks(data: Path) -> Iterator[Callable[[], int]]:
    """A foreign program that takes the lock of every campaign in this folder now and then; how often it did so far."""
    log = data.with_suffix(".locks")
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, *LOCKS, str(data)], stdout=output)
    try:
        yield lambda: log.read_text(encoding="utf-8").count(HELD)
    finally:
        process.kill()
        process.wait(STOP_LIMIT_S)


def faults_met(data: Path) -> int:
    """How many attempts of this folder's server were refused to order."""
    return log_of(data).read_text(encoding="utf-8").count(FAULT)


def log_of(data: Path) -> Path:
    """What the server of this folder says on stderr."""
    return data.with_suffix(".log")


def _address_of(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address from the log, once /livez answers there."""
    ends_at = time.monotonic() + START_LIMIT_S
    while time.monotonic() < ends_at and process.poll() is None:
        address = _logged_address(log)
        if address and _is_live(address):
            return address
        time.sleep(POLL_S)
    raise ServerFailed(f"the server did not start; its log: {_tail(log)}")


def _logged_address(log: Path) -> str | None:
    for line in log.read_text(encoding="utf-8").splitlines():
        if '"url"' in line and line.endswith("}"):
            return str(json.loads(line)["url"])
    return None


def _is_live(address: str) -> bool:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=1)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> int:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(STOP_LIMIT_S)


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2000:]
