"""ttrpg-mcp demo: a short session through a real client against the real server, with a crash in the middle."""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent

from ttrpg_mcp.settings import Settings

__all__ = ["DemoFailed", "add_arguments", "run"]

_LIMIT_S = 100
_SHOOTERS = 8
_SHOTS = 12
_ENOUGH = 30


class DemoFailed(AssertionError):
    """The server did not keep a promise."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the demo's server keeps its data."""

    data: Path

    def parameters(self) -> StdioServerParameters:
        """How a client starts the server."""
        arguments = ["-m", "ttrpg_mcp", "serve", "--data", str(self.data), "--log-level", "error"]
        return StdioServerParameters(command=sys.executable, args=arguments)


def add_arguments(_: argparse.ArgumentParser) -> None:
    """None beside the settings."""


def run(_: Settings) -> int:
    """Play; 1 when the server broke a promise. Uses a folder of its own, never the person's data."""
    with tempfile.TemporaryDirectory(prefix="ttrpg-mcp-demo-") as folder:
        if failure := _failure(Place(Path(folder))):
            print(f"\nThe demo failed: {failure}")
            return 1
    print("\nDone: everything above was checked, not only printed.")
    return 0


def _failure(place: Place) -> str:
    """The broken promise; empty when every one was kept."""
    failure = ""
    try:
        anyio.run(_play, place)
    except* DemoFailed as group:
        failure = str(group.exceptions[0])
    return failure


async def _play(place: Place) -> None:
    with anyio.fail_after(_LIMIT_S):
        await _first_evening(place)
        lost = await _crash(place)
        await _return(place, lost)
        await _over_http(place)


async def _first_evening(place: Place) -> None:
    async with Client(place.parameters()) as client:
        _heading("The tools")
        for tool in (await client.list_tools()).tools:
            print(f"  {tool.name:16} {tool.description}")
        _heading("A campaign, attacks and damage")
        await _ask(client, "campaign_manage", action="create", name="The Night Harbour", request_key="create-1")
        await _ask(client, "dice_roll", expression="1d20+5", label="Mira attacks", dc=15)
        await _ask(client, "dice_roll", expression="2d20kh1+7", label="Brom attacks with advantage", dc=15)
        await _ask(client, "dice_roll", expression="2d6+3 [slashing] + 1d8 [fire]", label="Damage")
        await _ask(client, "dice_roll", expression="4d6kh3", times=6, label="Ability scores")
        await _ask(client, "dice_roll", expression="8d6!>=6", label="A wild fire")
        _heading("Wrong calls, and what they answer")
        await _refused(client, "DICE_ENDLESS", "dice_roll", expression="1d1!")
        await _refused(client, "DICE_TOO_MANY", "dice_roll", expression="999999999d6")
        await _refused(client, "VALIDATION", "dice_roll", expresion="1d20")
        await _refused(client, "UNKNOWN_TOOL", "roll_dice", expression="1d20")


async def _crash(place: Place) -> Sequence[str]:
    """Kill the server while writes are in flight; the request keys that were never answered."""
    _heading(f"SIGKILL in the middle of {_SHOOTERS * _SHOTS} rolls")
    answered: dict[str, int] = {}
    enough = anyio.Event()

    async def shoot(client: Client, shooter: int) -> None:
        for shot in range(_SHOTS):
            key = f"volley-{shooter}-{shot}"
            try:
                result = await client.call_tool("dice_roll", {"expression": "1d20", "label": key, "request_key": key})
            except Exception:  # noqa: BLE001 - whatever the dead connection raises: it was not answered
                return
            if result.is_error:
                return
            answered[key] = _facts(result)["roll_number"]
            if len(answered) >= _ENOUGH:
                enough.set()

    try:
        async with Client(place.parameters()) as client:
            pid = _facts(await client.call_tool("status_show", {"detail": "health"}))["pid"]
            async with anyio.create_task_group() as tasks:
                for shooter in range(_SHOOTERS):
                    tasks.start_soon(shoot, client, shooter)
                await enough.wait()
                os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    except BaseExceptionGroup as group:
        if group.split(Exception)[1] is not None:
            raise
    keys = [f"volley-{shooter}-{shot}" for shooter in range(_SHOOTERS) for shot in range(_SHOTS)]
    lost = [key for key in keys if key not in answered]
    print(f"  {len(answered)} rolls were answered before the server died, {len(lost)} were not.")
    await _check_answered(place, answered)
    return lost


async def _check_answered(place: Place, answered: Mapping[str, int]) -> None:
    _heading("The server is started again")
    async with Client(place.parameters()) as client:
        saved = await _rolls(client)
        missing = [key for key, number in answered.items() if saved.get(key) != [number]]
        _require(not missing, f"answered rolls are missing or doubled: {missing}")
        print(f"  All {len(answered)} answered rolls are in the log, each once.")


async def _return(place: Place, lost: Sequence[str]) -> None:
    _heading("The unanswered calls are repeated with their request keys")
    async with Client(place.parameters()) as client:
        replayed = 0
        for key in lost:
            result = await client.call_tool("dice_roll", {"expression": "1d20", "label": key, "request_key": key})
            replayed += bool(_facts(result).get("replayed"))
        saved = await _rolls(client)
        doubled = [key for key in lost if len(saved.get(key, [])) != 1]
        _require(not doubled, f"repeated rolls are not in the log exactly once: {doubled}")
        print(f"  {replayed} had reached the disk and came back as they were, {len(lost) - replayed} were rolled now;")
        print("  each is in the log exactly once.")
        await _ask(client, "status_show")


async def _over_http(place: Place) -> None:
    _heading("The same campaign over HTTP")
    async with _http_server(place) as url, Client(url) as client:
        await _ask(client, "dice_roll", expression="1d20+5", label="Mira, over HTTP")
        await _ask(client, "history_show", limit=3)


@asynccontextmanager
async def _http_server(place: Place) -> AsyncIterator[str]:
    """A server on a free port; its address."""
    arguments = ["-m", "ttrpg_mcp", "serve", "--http", "--port", "0", "--data", str(place.data)]
    async with await anyio.open_process([sys.executable, *arguments], stdout=subprocess.DEVNULL) as process:
        try:
            yield await _address(process)
        finally:
            process.terminate()
        code = await process.wait()
    _require(code == 0, f"the server ended with {code}")
    print("  Asked to stop, it ended with exit code 0.")


async def _address(process: Any) -> str:
    """The address that the server logs once it listens."""
    text = ""
    async for chunk in process.stderr:
        text += chunk.decode()
        if found := re.search(r'"url": "([^"]+)"', text):
            return found[1]
    raise DemoFailed(f"the HTTP server did not start: {text[-300:]}")


async def _rolls(client: Client) -> Mapping[str, Sequence[int]]:
    """Roll numbers by label, of the whole log."""
    found: dict[str, list[int]] = {}
    cursor = ""
    while True:
        page = _facts(await client.call_tool("history_show", {"kind": "rolls", "limit": 100, "cursor": cursor}))
        for row in page["rolls"]:
            found.setdefault(row.get("label", ""), []).append(row["roll_number"])
        cursor = page.get("next_cursor", "")
        if not cursor:
            return found


async def _ask(client: Client, tool: str, **arguments: object) -> None:
    result = await client.call_tool(tool, arguments)
    _require(not result.is_error, f"{tool} answered {_text(result)}")
    print(_indented(_text(result)))


async def _refused(client: Client, code: str, tool: str, **arguments: object) -> None:
    result = await client.call_tool(tool, arguments)
    _require(bool(result.is_error) and f"[{code}]" in _text(result), f"{tool} {arguments} answered {_text(result)}")
    print(_indented(f"{tool} {arguments}"))
    print(_indented(_text(result), 4))


def _facts(result: CallToolResult) -> Mapping[str, Any]:
    _require(not result.is_error, _text(result))
    return dict(result.structured_content or {})


def _text(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def _indented(text: str, blanks: int = 2) -> str:
    return "\n".join(" " * blanks + line for line in text.splitlines())


def _require(is_kept: bool, promise: str) -> None:
    if not is_kept:
        raise DemoFailed(promise)


def _heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")
