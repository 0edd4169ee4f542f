"""The tool history_rewind."""

from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import BaseModel, ConfigDict, Field

from ttrpg_mcp.play.ports import Answer, Json, Ports
from ttrpg_mcp.play.rewinding import Difference, Rewind, Rewound, rewind_history
from ttrpg_mcp.recovery.op_classes import OpClass
from ttrpg_mcp.tools._call import begin, ports, to_client
from ttrpg_mcp.tools._spec import ToolSpec
from ttrpg_mcp.tools._wire import CampaignName, Facts, RequestKey, Told, quoted

__all__ = ["TOOLS"]

_MOST_SHOWN = 50
_LINES = 4
_VALUE_LETTERS = 200

Action = Annotated[Literal["undo", "redo"], Field(description="Take back, or do again.")]
Target = Annotated[str, Field(max_length=100, description="A seq or call id; default: the newest.")]
Preview = Annotated[bool, Field(description="false does it; true only shows what would change.")]


class DifferenceShown(BaseModel):
    """One thing that changes, with its fields as [now, then]."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    id: str
    does: Literal["appears", "changes", "disappears", "stays"]
    fields: dict[str, list[Any]]


class HistoryRewound(Told):
    """The result of history_rewind."""

    preview: bool
    action: str
    call: str = Field(description="Id of the call that is taken back or done again.")
    about: str = Field(description="What that call did.")
    differences: list[DifferenceShown]
    conflicts: list[str] = Field(description="What stands in the way; empty: it can be done.")


async def history_rewind(
    ctx: Context[Ports],
    action: Action = "undo",
    target: Target = "",
    preview: Preview = True,
    campaign: CampaignName = "",
    request_key: RequestKey = "",
) -> Annotated[CallToolResult, HistoryRewound]:
    """Preview an undo or redo, or do it."""
    call = begin(render=rewound_answer)
    return to_client(call, await rewind_history(ports(ctx), call, Rewind(action, target, preview)))


def rewound_answer(rewound: Rewound) -> Answer:
    """What changed, or what would."""
    command = rewound.command
    shown = [_shown(entry) for entry in rewound.differences[:_MOST_SHOWN]]
    summary = _summary(rewound)
    facts: Facts = {
        "summary": summary,
        "preview": command.preview,
        "action": command.action,
        "call": rewound.call.call_id,
        "about": rewound.call.summary,
        "differences": shown,
        "conflicts": list(rewound.standing),
        "campaign": rewound.receipt.campaign,
        "seq": rewound.receipt.seq,
    }
    lines = [f"{entry['what']} {entry['id']} {entry['does']}: {', '.join(entry['fields'])}" for entry in shown[:_LINES]]
    return Answer("\n".join([summary, *lines, *rewound.standing[:_LINES]]), facts)


def _summary(rewound: Rewound) -> str:
    about = quoted(rewound.call.summary)
    action = rewound.command.action
    if not rewound.command.preview:
        return f"{'Undid' if action == 'undo' else 'Did again'}: {about}. Take that back with history_rewind."
    if rewound.standing:
        return f"Cannot {action} {about}: later changes stand in the way. Nothing was changed."
    return f"Would {action} {about}. Nothing was changed yet; repeat with preview=false to do it."


def _shown(entry: Difference) -> Facts:
    if entry.now is None:
        does = "stays" if entry.then is None else "appears"
    else:
        does = "disappears" if entry.then is None else "changes"
    return {
        "what": entry.entity,
        "id": entry.entity_id,
        "does": does,
        "fields": _fields(entry.now or {}, entry.then or {}),
    }


def _fields(now: Json, then: Json) -> dict[str, list[Any]]:
    keys = [key for key in {**now, **then} if now.get(key) != then.get(key)]
    return {key: [_clipped(now.get(key)), _clipped(then.get(key))] for key in keys}


def _clipped(value: Any) -> Any:
    """A value short enough to show; long texts and structures as the beginning of their text."""
    if isinstance(value, str):
        return value if len(value) <= _VALUE_LETTERS else f"{value[: _VALUE_LETTERS - 1]}…"
    if isinstance(value, dict | list) and len(text := str(value)) > _VALUE_LETTERS:
        return f"{text[: _VALUE_LETTERS - 1]}…"
    return value


TOOLS: tuple[ToolSpec, ...] = (
    ToolSpec(
        handler=history_rewind,
        title="Undo and redo",
        description=(
            "Take back a change, or do it again. Shows the exact difference first; preview=false does it. "
            "Dice are never undone."
        ),
        family="campaign",
        op_class=OpClass.DB_WRITE,
        near_names={"seq": "target", "id": "target", "call": "target", "dry_run": "preview", "table": "campaign"},
    ),
)
