"""The Inspector as a client on the command line: one call at a time, or many at once."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.kit import Kit

__all__ = ["InspectorFailed", "Load", "Target", "call_tool", "list_tools", "load"]

LIMIT_S = 60


class InspectorFailed(Exception):
    """The Inspector ended with another code than 0."""


@dataclass(frozen=True, slots=True)
class Target:
    """A way to a server.

    Attributes:
        era: "legacy" or "modern".
        address: The MCP address over HTTP; empty for stdio.
        data: The data folder over stdio, where the Inspector starts the server itself.
    """

    era: str
    address: str = ""
    data: Path | None = None

    @property
    def name(self) -> str:
        return f"{'HTTP' if self.address else 'stdio'} {self.era}"


@dataclass(frozen=True, slots=True)
class Load:
    """What many calls at once came to."""

    calls: int
    failed: int
    calls_a_second: float


def list_tools(kit: Kit, target: Target) -> list[Any]:
    """The tool list; also checks that the schemas are portable. Raises InspectorFailed."""
    tools: list[Any] = _run(kit, target, "--method", "tools/list", "--strict")["result"]["tools"]
    return tools


def call_tool(kit: Kit, target: Target, name: str, arguments: Mapping[str, Any]) -> None:
    """Call a tool, which must not answer with an error. Raises InspectorFailed."""
    _run(kit, target, *_call(name, arguments))


def load(kit: Kit, target: Target, name: str, arguments: Mapping[str, Any], duration_s: int) -> Load:
    """Call a tool with ten calls in flight. Raises InspectorFailed."""
    options = ("--load", "--load-concurrency", "10", "--load-duration", str(duration_s))
    told = _run(kit, target, *_call(name, arguments), *options)["result"]
    return Load(told["requests"], told["toolErrors"] + told["errors"], told["throughput"])


def _call(name: str, arguments: Mapping[str, Any]) -> tuple[str, ...]:
    return ("--method", "tools/call", "--tool-name", name, "--tool-args-json", json.dumps(arguments))


def _run(kit: Kit, target: Target, *options: str) -> dict[str, Any]:
    command = [str(kit.inspector), "--cli", "--format", "json", "-q", "--protocol-era", target.era, *options]
    if target.address:
        command += ["--transport", "http", "--server-url", target.address]
    else:
        command += ["-e", f"TTRPG_MCP_DATA={target.data}", "--", sys.executable, "-m", "ttrpg_mcp"]
    done = subprocess.run(command, env=kit.environment, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    if done.returncode != 0:
        raise InspectorFailed(f"{target.name}: exit code {done.returncode}: {(done.stderr or done.stdout)[:300]}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told
