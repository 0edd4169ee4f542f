"""The tool dice_roll."""

from fractions import Fraction
from typing import Annotated, Literal

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from ttrpg_mcp.play.ports import Answer, Ports
from ttrpg_mcp.play.rolling import RollDice, Rolled, roll_dice, shown_rolls
from ttrpg_mcp.recovery.op_classes import OpClass
from ttrpg_mcp.rules.dice import canonical
from ttrpg_mcp.tools._call import begin, ports, to_client
from ttrpg_mcp.tools._spec import ToolSpec
from ttrpg_mcp.tools._wire import CampaignName, Facts, RequestKey, Told, one_line

__all__ = ["TOOLS"]

_MOST_LINES = 10  # throws of a batch that the text shows one by one


def _advantage(value: object) -> object:
    """The short word for what people also say."""
    words = {True: "adv", False: "none", "true": "adv", "false": "none", "advantage": "adv", "disadvantage": "dis"}
    key = value.strip().lower() if isinstance(value, str) else value
    return words.get(key, key) if isinstance(key, str | bool) else value


ExpressionText = Annotated[str, Field(description="Dice notation.", examples=["4d6kh3+2"])]
Times = Annotated[int, Field(ge=1, le=100, description="Roll the whole expression this often.")]
AdvantageChoice = Annotated[
    Literal["none", "adv", "dis"], BeforeValidator(_advantage), Field(description="On the only d20, or the only die.")
]
LabelText = Annotated[str, Field(max_length=80, description="What the roll is for."), AfterValidator(one_line)]
Dc = Annotated[int | None, Field(ge=-1_000_000, le=1_000_000, description="Number the total must reach.")]


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DieShown(_Wire):
    """One die that was drawn."""

    value: int
    faces: int | str
    kept: bool
    face: int | None = Field(None, description="Natural face, where a clamp changed the value.")
    origin: str | None = Field(None, alias="from")
    rerolled: bool | None = None
    exploded: bool | None = None
    success: bool | None = None
    failure: bool | None = None
    term: int | None = None


class OneRoll(_Wire):
    """One throw of the expression."""

    total: float | int
    exact: str | None = None
    successes: int | None = None
    failures: int | None = None
    dice: list[DieShown] | None = None
    dice_counts: dict[str, dict[str, int]] | None = None
    dice_omitted: bool | None = None
    by_label: dict[str, float | int] | None = None
    natural: int | None = None
    crit: Literal["hit", "fumble"] | None = None
    min: float | int | None = None
    max: float | int | None = None
    breakdown: str
    notes: list[str] | None = None


class Checked(_Wire):
    """The total against its target."""

    dc: int
    met: bool
    margin: float | int


class DiceRolled(Told):
    """The result of dice_roll."""

    expression: str
    canonical: str
    total: float | int | None = None
    exact: str | None = None
    successes: int | None = None
    failures: int | None = None
    dice: list[DieShown] | None = None
    dice_counts: dict[str, dict[str, int]] | None = None
    dice_omitted: bool | None = None
    by_label: dict[str, float | int] | None = None
    natural: int | None = None
    crit: Literal["hit", "fumble"] | None = None
    check: Checked | None = None
    min: float | int | None = None
    max: float | int | None = None
    breakdown: str | None = None
    notes: list[str]
    comment: str | None = None
    label: str | None = None
    rolls: list[OneRoll] | None = None
    totals: list[float | int] | None = None
    sum: float | int | None = None
    roll_number: int
    epoch: int
    commit: str


async def dice_roll(
    ctx: Context[Ports],
    expression: ExpressionText,
    times: Times = 1,
    advantage: AdvantageChoice = "none",
    label: LabelText = "",
    dc: Dc = None,
    campaign: CampaignName = "",
    request_key: RequestKey = "",
) -> Annotated[CallToolResult, DiceRolled]:
    """Roll, save, and answer."""
    call = begin(render=dice_answer)
    return to_client(call, await roll_dice(ports(ctx), call, RollDice(expression, times, advantage, label, dc)))


def dice_answer(rolled: Rolled) -> Answer:
    """The roll as one sentence a round, and as facts."""
    shown = shown_rolls(rolled.rolls)
    checks = [_check(roll.total, rolled.command.dc) for roll in rolled.rolls]
    lines = [
        _sentence(rolled.command.label, str(data["breakdown"]), check)
        for data, check in zip(shown[:_MOST_LINES], checks, strict=False)
    ]
    if len(shown) > 1:
        lines = [_batch_sentence(rolled, checks), *(lines if len(lines) == len(shown) else [])]
    summary = lines[0]
    facts: Facts = {
        "summary": summary,
        "expression": rolled.command.expression,
        "canonical": canonical(rolled.expression),
    }
    facts |= _single(shown[0], checks[0]) if len(shown) == 1 else _batch(rolled, shown)
    facts["notes"] = _notes(rolled)
    facts |= {
        key: text for key, text in (("comment", rolled.expression.comment), ("label", rolled.command.label)) if text
    }
    facts |= {"roll_number": rolled.number, "epoch": rolled.epoch, "commit": rolled.commit.hex()[:16]}
    facts |= {"campaign": rolled.receipt.campaign, "seq": rolled.receipt.seq}
    return Answer("\n".join([*lines, *_notes(rolled)]), facts)


def _check(total: int | Fraction, dc: int | None) -> Checked | None:
    if dc is None:
        return None
    margin = total - dc
    return Checked(dc=dc, met=margin >= 0, margin=int(margin) if margin.denominator == 1 else round(float(margin), 6))


def _sentence(label: str, breakdown: str, check: Checked | None) -> str:
    verdict = "" if check is None else f", {'meets' if check.met else 'misses'} DC {check.dc}"
    return f"{label + ': ' if label else ''}{breakdown}{verdict}."


def _batch_sentence(rolled: Rolled, checks: list[Checked | None]) -> str:
    totals = ", ".join(str(_number(roll.total)) for roll in rolled.rolls)
    met = (
        f"; {sum(check.met for check in checks if check)} of {len(checks)} meet DC {rolled.command.dc}"
        if checks[0]
        else ""
    )
    label = f"{rolled.command.label}: " if rolled.command.label else ""
    return f"{label}{len(rolled.rolls)} times {canonical(rolled.expression, with_times=False)}: {totals}{met}."


def _single(data: Facts, check: Checked | None) -> Facts:
    verdict: Facts = {} if check is None else {"check": check.model_dump()}
    return {key: value for key, value in data.items() if key != "notes"} | verdict


def _batch(rolled: Rolled, shown: list[Facts]) -> Facts:
    total = sum((Fraction(roll.total) for roll in rolled.rolls), Fraction(0))
    rolls = [{key: value for key, value in data.items() if key != "notes"} for data in shown]
    return {"rolls": rolls, "totals": [_number(roll.total) for roll in rolled.rolls], "sum": _number(total)}


def _notes(rolled: Rolled) -> list[str]:
    """Every note once, in order."""
    return list(dict.fromkeys(note for roll in rolled.rolls for note in roll.notes))


def _number(total: int | Fraction) -> int | float:
    return int(total) if total.denominator == 1 else round(float(total), 6)


TOOLS: tuple[ToolSpec, ...] = (
    ToolSpec(
        handler=dice_roll,
        title="Roll dice",
        description=(
            "Roll dice; use it for every roll and never invent one. Understands 4d6kh3+2, 2d20kh1, 8d6!, 2d6ro<3, "
            "6d10>=8, d%, 4dF, labels [fire]. Answers total, every die, and a sentence to read aloud."
        ),
        family="dice",
        op_class=OpClass.DB_WRITE,
        near_names={
            "dice": "expression",
            "roll": "expression",
            "notation": "expression",
            "formula": "expression",
            "count": "times",
            "repeat": "times",
            "difficulty": "dc",
            "target": "dc",
            "reason": "label",
            "name": "label",
            "table": "campaign",
        },
    ),
)
