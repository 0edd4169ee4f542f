"""Between the gate and a handler: the call that runs now, the ports, and the answer on its way out."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, TextContent

from ttrpg_mcp.play.ports import Answer, Call, Ports
from ttrpg_mcp.tools._envelope import within_cap

__all__ = ["GateCall", "begin", "current_call", "note_campaign", "ports", "to_client", "to_result"]


@dataclass(frozen=True, slots=True)
class GateCall:
    """What the gate hands to a handler.

    Attributes:
        note_campaign: Takes id and name of the campaign that the caller's next calls mean.
        notices: What the game master should know besides the answer.
    """

    call: Call
    note_campaign: Callable[[str, str], None]
    notices: tuple[str, ...] = ()


current_call: ContextVar[GateCall] = ContextVar("ttrpg_mcp_call")


def begin(render: Callable[[Any], Answer]) -> Call:
    """The call that the gate admitted, with this tool's pure renderer; what it keeps and what it says is one answer."""
    return replace(current_call.get().call, render=lambda value: within_cap(render(value)))


def note_campaign(campaign_id: str, name: str) -> None:
    """From now on the caller means this campaign."""
    current_call.get().note_campaign(campaign_id, name)


def ports(ctx: Context[Ports]) -> Ports:
    """The ports of the use cases."""
    return ctx.request_context.lifespan_context


def to_client(call: Call, value: object) -> CallToolResult:
    """The story's value as the client gets it, with the gate's notices."""
    return to_result(call.render(value), notices=current_call.get().notices)


def to_result(answer: Answer, *, notices: tuple[str, ...] = (), is_replayed: bool = False) -> CallToolResult:
    """Text and facts, each complete alone."""
    lines = [answer.text, *notices]
    facts = dict(answer.facts)
    if notices:
        facts["notices"] = list(notices)
    if is_replayed:
        lines.append("This call was answered before; nothing was done a second time.")
        facts["replayed"] = True
    return CallToolResult(content=[TextContent(type="text", text="\n".join(lines))], structured_content=facts)
