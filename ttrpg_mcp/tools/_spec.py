"""How a tool is declared."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from mcp.types import CallToolResult, InputRequiredResult, ToolAnnotations

from ttrpg_mcp.recovery.op_classes import OpClass

__all__ = ["ToolSpec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """One tool: its handler and what the gate must know of it.

    Attributes:
        handler: An `async def`; its name is the tool's name.
        description: When to use it and what comes back, in one or two sentences.
        family: What `--tools` names; "campaign" is always shown.
        op_class: A writing class takes request_key.
        reading_actions: Values of the argument `action` that only read.
        scope: "campaign" acts on one and makes the first one if there is none; "glance" looks at one if there is one,
            and waits in no queue; "server" acts on none.
        near_names: Likely wrong argument names, each with the right one.
    """

    handler: Callable[..., Awaitable[CallToolResult | InputRequiredResult]]
    title: str
    description: str
    family: str
    op_class: OpClass
    reading_actions: frozenset[str] = frozenset()
    scope: Literal["campaign", "glance", "server"] = "campaign"
    is_idempotent: bool = False
    near_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The tool's name on the wire."""
        return self.handler.__name__

    @property
    def is_read_only(self) -> bool:
        """Whether no call of it changes anything."""
        return self.op_class in {OpClass.PURE, OpClass.DB_READ}

    def annotations(self) -> ToolAnnotations:
        """All four hints of the protocol."""
        return ToolAnnotations(
            read_only_hint=self.is_read_only,
            destructive_hint=False,
            idempotent_hint=self.is_read_only or self.is_idempotent,
            open_world_hint=False,
        )
