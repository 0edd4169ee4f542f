"""ttrpg-mcp doctor: whether the server can start, save and be found here."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import anyio

from ttrpg_mcp import __version__
from ttrpg_mcp.commands.install import CLIENTS, client_file
from ttrpg_mcp.logs import set_up_logging
from ttrpg_mcp.settings import Settings, process_environment

__all__ = ["Finding", "add_arguments", "run"]

EXIT_FOUND = 1
_START_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        is_good: False makes the command end with 1.
        text: A sentence for the person who runs it.
    """

    is_good: bool
    text: str


def add_arguments(_: argparse.ArgumentParser) -> None:
    """None beside the settings."""


def run(settings: Settings) -> int:
    """Print one line a check; 1 when one of them failed."""
    set_up_logging("error")  # the findings say it in a sentence
    checks: tuple[Callable[[Settings], Finding], ...] = (_python, _folder, _start, _clients, _logs)
    findings = [check(settings) for check in checks]
    for finding in findings:
        print(f"{'ok     ' if finding.is_good else 'PROBLEM'}  {finding.text}")
    return 0 if all(finding.is_good for finding in findings) else EXIT_FOUND


def _python(_: Settings) -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding(is_good=True, text=f"ttrpg-mcp {__version__} on Python {version}.")


def _folder(settings: Settings) -> Finding:
    """The data folder takes a file."""
    probe = settings.data / f".doctor-{os.getpid()}"
    try:
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        return Finding(is_good=False, text=f"The data folder {settings.data} cannot be written: {error.strerror}.")
    return Finding(is_good=True, text=f"The data folder {settings.data} can be written.")


def _start(settings: Settings) -> Finding:
    """The server opens its files and answers."""
    began = time.perf_counter()
    try:
        with _one_cause():
            facts = anyio.run(_ask_health, settings)
    except Exception as error:  # noqa: BLE001 - named border: whatever keeps it from starting is the finding
        return Finding(is_good=False, text=f"The server does not answer: {error}")
    taken_ms = round((time.perf_counter() - began) * 1000)
    warnings = " ".join(facts["warnings"])
    text = f"The server starts and answers in {taken_ms} ms; SQLite {facts['sqlite_version']}. {warnings}".rstrip()
    return Finding(is_good=bool(facts["ready"]), text=text)


async def _ask_health(settings: Settings) -> Mapping[str, Any]:
    from mcp import Client  # noqa: PLC0415 - only this check needs it

    from ttrpg_mcp.app import build  # noqa: PLC0415

    with anyio.fail_after(_START_LIMIT_S):
        async with Client(build(settings)) as client:
            opened = await client.call_tool("campaign_manage", {"action": "list"})
            if opened.is_error:
                raise RuntimeError(getattr(opened.content[0], "text", "it refuses to open its files"))
            answer = await client.call_tool("status_show", {"detail": "health"})
    return dict(answer.structured_content or {})


@contextmanager
def _one_cause() -> Iterator[None]:
    """A failure inside task groups as the one error that caused it."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


def _clients(_: Settings) -> Finding:
    """Which clients know this server."""
    environment = process_environment()
    found = []
    for client, file in CLIENTS.items():
        path = client_file(client, environment)
        try:
            servers = json.loads(path.read_text(encoding="utf-8")).get(file.section, {})
        except (OSError, ValueError, AttributeError):
            continue
        found += [f"{client} ({path})"] if "ttrpg" in servers else []
    text = (
        f"Configured in {', '.join(found)}."
        if found
        else "No client is configured yet: ttrpg-mcp install --client NAME."
    )
    return Finding(is_good=True, text=text)


def _logs(_: Settings) -> Finding:
    text = "Log lines go to stderr, which the client keeps; Claude Desktop in its logs folder as mcp-server-ttrpg.log."
    return Finding(is_good=True, text=text)
