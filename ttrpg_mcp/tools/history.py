"""The tool history_show."""

from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import BaseModel, ConfigDict, Field

from ttrpg_mcp.play.history import ChangePage, Page, RollPage, show_changes, show_rolls
from ttrpg_mcp.play.ports import Answer, ChangeEntry, Ports, RollEntry
from ttrpg_mcp.recovery.op_classes import OpClass
from ttrpg_mcp.tools._call import begin, ports, to_client
from ttrpg_mcp.tools._spec import ToolSpec
from ttrpg_mcp.tools._wire import CampaignName, Cursor, Facts, Limit, Since, Told, moment, quoted

__all__ = ["TOOLS", "roll_line", "shown_roll"]

_LINES = 4  # rows that the text reads aloud; the facts hold the whole page

Kind = Annotated[Literal["rolls", "changes"], Field(description="Dice, or who changed what.")]


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RollShown(_Wire):
    """A roll of the log."""

    roll_number: int
    seq: int
    at: str
    by: str
    expression: str
    total: str
    label: str | None = None
    breakdown: str | None = None
    totals: list[int | float] | None = None


class ChangeShown(_Wire):
    """A change of the log."""

    seq: int
    at: str
    by: str
    tool: str
    what: str
    id: str
    did: Literal["created", "changed", "deleted"]
    summary: str


class HistoryShown(Told):
    """The result of history_show."""

    rolls: list[RollShown] | None = None
    changes: list[ChangeShown] | None = None


async def history_show(
    ctx: Context[Ports],
    kind: Kind = "rolls",
    since: Since = 0,
    limit: Limit = 20,
    cursor: Cursor = "",
    campaign: CampaignName = "",
) -> Annotated[CallToolResult, HistoryShown]:
    """Page through the logs."""
    page = Page(cursor, since, limit)
    if kind == "rolls":
        call = begin(render=rolls_answer)
        return to_client(call, await show_rolls(ports(ctx), call, page))
    call = begin(render=changes_answer)
    return to_client(call, await show_changes(ports(ctx), call, page))


def rolls_answer(page: RollPage) -> Answer:
    """Rolls, newest first."""
    rows = [shown_roll(entry) for entry in page.rolls]
    lines = [roll_line(entry) for entry in page.rolls[:_LINES]]
    summary = _heading(len(rows), "roll", page.next_cursor, page.receipt.campaign)
    return Answer("\n".join([summary, *lines]), _facts(summary, "rolls", rows, page))


def changes_answer(page: ChangePage) -> Answer:
    """Changes, newest first."""
    rows = [_shown_change(entry, page) for entry in page.changes]
    lines = [f"{row['seq']}: {row['summary']} ({row['by']})" for row in rows[:_LINES]]
    summary = _heading(len(rows), "change", page.next_cursor, page.receipt.campaign)
    return Answer("\n".join([summary, *lines]), _facts(summary, "changes", rows, page))


def roll_line(entry: RollEntry) -> str:
    """A roll of the log in one line."""
    label = entry.result.get("label")
    return f"{entry.number}: {quoted(label) + ' ' if label else ''}{entry.canonical} = {entry.total}"


def shown_roll(entry: RollEntry) -> Facts:
    """A roll of the log as facts; a long breakdown is left to the roll's own answer."""
    rolls: list[dict[str, Any]] = entry.result["rolls"]
    row: Facts = {
        "roll_number": entry.number,
        "seq": entry.seq,
        "at": moment(entry.at_ms),
        "by": entry.principal,
        "expression": entry.expression,
        "total": entry.total,
    }
    if label := entry.result.get("label"):
        row["label"] = label
    if len(rolls) > 1:
        row["totals"] = [roll["total"] for roll in rolls]
    elif len(rolls[0]["breakdown"]) <= 120:
        row["breakdown"] = rolls[0]["breakdown"]
    return row


def _shown_change(entry: ChangeEntry, page: ChangePage) -> Facts:
    call = page.calls[entry.call_id]
    did = "created" if entry.before is None else "deleted" if entry.after is None else "changed"
    return {
        "seq": entry.seq,
        "at": moment(entry.at_ms),
        "by": call.principal,
        "tool": call.tool,
        "what": entry.entity,
        "id": entry.entity_id,
        "did": did,
        "summary": call.summary,
    }


def _heading(count: int, noun: str, next_cursor: str, campaign: str) -> str:
    if not count:
        return f"No {noun}s here yet in {quoted(campaign)}."
    more = f"; more with cursor={next_cursor}" if next_cursor else ""
    return f"{count} {noun if count == 1 else noun + 's'} of {quoted(campaign)}, newest first{more}."


def _facts(summary: str, kind: str, rows: list[Facts], page: RollPage | ChangePage) -> Facts:
    facts: Facts = {"summary": summary, kind: rows, "campaign": page.receipt.campaign, "seq": page.receipt.seq}
    return facts | ({"next_cursor": page.next_cursor} if page.next_cursor else {})


TOOLS: tuple[ToolSpec, ...] = (
    ToolSpec(
        handler=history_show,
        title="Show history",
        description="Look back: the rolls (kind=rolls) or who changed what (kind=changes), newest first, page by page.",
        family="campaign",
        op_class=OpClass.DB_READ,
        near_names={
            "type": "kind",
            "count": "limit",
            "n": "limit",
            "page": "cursor",
            "table": "campaign",
            "after": "since",
        },
    ),
)
