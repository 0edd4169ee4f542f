"""The tool history_show."""

from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import BaseModel, ConfigDict, Field

from ttrpg_mcp.play.history import ChangePage, Page, Proofs, RollPage, show_changes, show_proofs, show_rolls
from ttrpg_mcp.play.ports import Answer, ChangeEntry, EpochEntry, Ports, RollEntry
from ttrpg_mcp.recovery.op_classes import OpClass
from ttrpg_mcp.tools._call import begin, ports, to_client
from ttrpg_mcp.tools._spec import ToolSpec
from ttrpg_mcp.tools._wire import CampaignName, Cursor, Facts, Limit, Since, Told, moment, quoted

__all__ = ["TOOLS", "roll_line", "shown_roll"]

_MOST_EPOCHS = 50
_LINES = 4  # rows that the text reads aloud; the facts hold the whole page

Kind = Annotated[Literal["rolls", "changes", "proofs"], Field(description="Dice, who changed what, or dice proofs.")]


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
    refused: str | None = Field(None, description="Code of a refusal that came after drawing; the number is spent.")


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


class EpochShown(_Wire):
    """The life of one seed; everything in hexadecimal."""

    epoch: int
    commit: str = Field(description="Commitment, told with the first roll.")
    first_roll: int
    opened_at: str
    open: str | None = Field(None, description="Revealed: what the open rolls are drawn from.")
    secret_hash: str | None = Field(None, description="Revealed: hash of the half that stays closed.")


class HistoryShown(Told):
    """The result of history_show."""

    epochs: list[EpochShown] | None = None
    chain_holds: bool | None = Field(None, description="Whether every roll is in its place in the hash chain.")
    first_broken: int | None = None

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
    if kind == "proofs":
        call = begin(render=proofs_answer)
        return to_client(call, await show_proofs(ports(ctx), call))
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


def proofs_answer(proofs: Proofs) -> Answer:
    """Every epoch, and whether the chain holds."""
    verdict = "holds" if proofs.first_broken is None else f"is broken at roll {proofs.first_broken}"
    revealed = sum(entry.open_half is not None for entry in proofs.epochs)
    summary = f"{proofs.rolls} rolls in {len(proofs.epochs)} epochs, {revealed} of them revealed; the chain {verdict}."
    epochs = [_shown_epoch(entry) for entry in proofs.epochs[-_MOST_EPOCHS:]]
    facts: Facts = {"summary": summary, "epochs": epochs, "chain_holds": proofs.first_broken is None}
    facts |= {} if proofs.first_broken is None else {"first_broken": proofs.first_broken}
    return Answer(summary, facts | {"campaign": proofs.receipt.campaign, "seq": proofs.receipt.seq})


def _shown_epoch(entry: EpochEntry) -> Facts:
    shown: Facts = {"epoch": entry.epoch, "commit": entry.commit.hex(), "first_roll": entry.first_roll}
    shown["opened_at"] = moment(entry.opened_at_ms)
    if entry.open_half is not None and entry.secret_hash is not None:
        shown |= {"open": entry.open_half.hex(), "secret_hash": entry.secret_hash.hex()}
    return shown


def roll_line(entry: RollEntry) -> str:
    """A roll of the log in one line."""
    label = entry.result.get("label")
    outcome = f"refused ({entry.result['refused']})" if "refused" in entry.result else f"= {entry.total}"
    return f"{entry.number}: {quoted(label) + ' ' if label else ''}{entry.canonical} {outcome}"


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
    if "refused" in entry.result:
        row["refused"] = entry.result["refused"]
    elif len(rolls) > 1:
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
        description=(
            "Look back: the rolls (kind=rolls) or who changed what (kind=changes), newest first, page by page; "
            "or the proof of the dice (kind=proofs)."
        ),
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
