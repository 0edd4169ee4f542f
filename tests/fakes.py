"""Small whole stand-ins, and the real server with known chance and known names."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.types import CallToolResult, TextContent

from ttrpg_mcp.app import build
from ttrpg_mcp.recovery.clock import Clock
from ttrpg_mcp.server import TtrpgServer
from ttrpg_mcp.settings import Settings

ERAS = ("legacy", "2026-07-28")


@dataclass(frozen=True)
class FixedEntropy:
    """The seed of the published vectors: bytes 00..1f."""

    def seed(self) -> bytes:
        return bytes(range(32))


@dataclass
class CountingIds:
    """Identifiers in a row."""

    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def call_id(self) -> str:
        return f"call-{next(self._numbers):06d}"

    def letters(self, count: int) -> str:
        return "".join(chr(ord("a") + int(digit)) for digit in f"{next(self._numbers):0{count}d}")[-count:]

    def incident(self) -> str:
        return "E-TEST"


def make_server(data: Path, clock: Clock | None = None, **settings: Any) -> TtrpgServer:
    """The real server on a real folder, with known chance."""
    return build(Settings(data=data, **settings), clock=clock, entropy=FixedEntropy(), ids=CountingIds())


@asynccontextmanager
async def client_of(data: Path, era: str = "2026-07-28", **settings: Any) -> AsyncIterator[Client]:
    """A client in this process."""
    async with Client(make_server(data, **settings), mode=era) as client:
        yield client


def text_of(result: CallToolResult) -> str:
    """What the model reads."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def facts_of(result: CallToolResult) -> dict[str, Any]:
    """The facts of a call that must have worked."""
    assert not result.is_error, text_of(result)
    return dict(result.structured_content or {})


def error_of(result: CallToolResult) -> dict[str, Any]:
    """The envelope of a call that must have been refused."""
    assert result.is_error, text_of(result)
    error: dict[str, Any] = (result.structured_content or {})["error"]
    return error
