"""The messages of both eras, ready to send."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["ERAS", "Era", "Speaker"]

Era = Literal["legacy", "2026-07-28"]
ERAS: tuple[Era, ...] = ("legacy", "2026-07-28")

_CLIENT = {"name": "benchmark", "version": "0"}
_LEGACY = "2025-11-25"
_PREFIX = "io.modelcontextprotocol/"


@dataclass(slots=True)
class Speaker:
    """A client's side of one era."""

    era: Era
    _ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def opening(self) -> list[bytes]:
        """What must be sent before the first request: an `initialize` and its notification, or nothing."""
        if self.era != "legacy":
            return []
        hello = {"protocolVersion": _LEGACY, "capabilities": {}, "clientInfo": _CLIENT}
        return [self.request("initialize", hello), _packed({"method": "notifications/initialized"})]

    def request(self, method: str, params: Mapping[str, Any]) -> bytes:
        """One request as a line without its end."""
        return _packed({"id": next(self._ids), "method": method, "params": {**params, **self._meta()}})

    def call(self, tool: str, arguments: Mapping[str, Any]) -> bytes:
        """A tools/call."""
        return self.request("tools/call", {"name": tool, "arguments": arguments})

    def headers(self, method: str, name: str = "") -> dict[str, str]:
        """What HTTP wants beside the body."""
        if self.era == "legacy":
            return {"MCP-Protocol-Version": _LEGACY}
        return {"MCP-Protocol-Version": self.era, "Mcp-Method": method} | ({"Mcp-Name": name} if name else {})

    def _meta(self) -> dict[str, Any]:
        if self.era == "legacy":
            return {}
        about = {"protocolVersion": self.era, "clientInfo": _CLIENT, "clientCapabilities": {}}
        return {"_meta": {_PREFIX + key: value for key, value in about.items()}}


def _packed(message: Mapping[str, Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")).encode()
