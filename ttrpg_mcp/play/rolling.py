"""Rolling dice: parse, take the next number of the audited stream, draw, save, answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

from ttrpg_mcp.play.ports import Answer, Call, Json, Ports, Receipt, RollDraft, Unit
from ttrpg_mcp.rules.dice import (
    DiceError,
    DiceSyntaxError,
    Expression,
    Roll,
    canonical,
    check,
    evaluate_all,
    parse,
    with_advantage,
)

__all__ = ["MOST_DICE_SHOWN", "Advantage", "RollDice", "Rolled", "roll_dice", "shown_rolls"]

MOST_DICE_SHOWN = 200  # entries of single dice in one answer, and in its row of the log
_LONG_BREAKDOWN = 300
_SHORT_BREAKDOWN = 120

Advantage = Literal["none", "adv", "dis"]


@dataclass(frozen=True, slots=True)
class RollDice:
    """What to roll.

    Attributes:
        times: 1 to 100; the whole expression again and again, as one roll in the log.
        dc: The total to reach, or None.
    """

    expression: str
    times: int = 1
    advantage: Advantage = "none"
    label: str = ""
    dc: int | None = None


@dataclass(frozen=True, slots=True)
class Rolled:
    """A finished roll, saved.

    Attributes:
        rolls: One a repeat, in order; their dice follow one another in the stream.
        commit: The epoch's commitment, 32 bytes.
    """

    command: RollDice
    expression: Expression
    rolls: tuple[Roll, ...]
    number: int
    epoch: int
    commit: bytes
    receipt: Receipt


async def roll_dice(ports: Ports, call: Call, command: RollDice) -> Rolled:
    """Roll, save, answer. Raises DiceError before anything is opened; committed before it returns."""
    expression = _parsed(command)
    times = max(command.times, expression.times)
    seed = ports.entropy.seed()  # used only when no epoch is open; drawn here, so that a second run is equal

    def story(unit: Unit) -> Rolled:
        stream = unit.rolls.next_stream(seed)
        rolls = evaluate_all(expression, times, stream.chance)
        unit.rolls.save(stream, _draft(command, expression, rolls))
        return Rolled(command, expression, rolls, stream.number, stream.epoch, stream.commit, unit.receipt())

    try:
        return await ports.store.write(call, story)
    except DiceError as refusal:
        # Its words may tell what was drawn, so the number is spent before they are said: nobody can look at the next
        # die and then decide whether to roll it.
        await _spend(ports, call, command, seed, refusal)
        raise


async def _spend(ports: Ports, call: Call, command: RollDice, seed: bytes, refusal: DiceError) -> None:
    """Save a roll without dice in the place of the one that was refused after drawing."""

    def story(unit: Unit) -> str:
        stream = unit.rolls.next_stream(seed)
        result = {"label": command.label, "refused": refusal.code, "rolls": []}
        unit.rolls.save(stream, RollDraft(command.expression, command.expression, (), "0", result))
        return refusal.code

    await ports.store.write(replace(call, request_key=None, render=_void_answer), story)


def _void_answer(code: str) -> Answer:
    summary = f"Spent a roll that was refused after drawing ({code})."
    return Answer(summary, {"summary": summary})


def _parsed(command: RollDice) -> Expression:
    """What is to be rolled, within all limits. Raises DiceError."""
    expression = parse(command.expression)
    if command.times > 1 and expression.times > 1:
        raise DiceSyntaxError(expression.text, 0, "The repeats are given twice, in front of the dice and as times.")
    if command.advantage != "none":
        expression = with_advantage(expression, command.advantage)
    check(expression, max(command.times, expression.times))
    return expression


def _draft(command: RollDice, expression: Expression, rolls: tuple[Roll, ...]) -> RollDraft:
    total = sum((Fraction(roll.total) for roll in rolls), Fraction(0))
    return RollDraft(
        expression=command.expression,
        canonical=canonical(expression),
        faces=[(die.faces, die.value if die.face is None else die.face) for roll in rolls for die in roll.dice],
        total=str(total),
        result=_result(command, rolls),
        label=command.label,
    )


def _result(command: RollDice, rolls: tuple[Roll, ...]) -> Json:
    """Enough to show the roll again; the faces of every die are in their own column."""
    asked = {"label": command.label} if command.label else {}
    target = {} if command.dc is None else {"dc": command.dc}
    return asked | target | {"rolls": shown_rolls(rolls)}


def shown_rolls(rolls: Sequence[Roll]) -> list[dict[str, Any]]:
    """Each throw as data; where the dice are too many to list, counted by face and with a short breakdown."""
    if sum(len(roll.dice) for roll in rolls) <= MOST_DICE_SHOWN:
        return [roll.as_data() for roll in rolls]
    longest = _LONG_BREAKDOWN if len(rolls) == 1 else _SHORT_BREAKDOWN
    return [roll.as_data(most_dice=0) | {"breakdown": _clipped(roll.breakdown, longest)} for roll in rolls]


def _clipped(breakdown: str, longest: int) -> str:
    """The beginning of a long breakdown, and its result."""
    if len(breakdown) <= longest:
        return breakdown
    _, _, result = breakdown.rpartition(" = ")
    return f"{breakdown[:longest]}… = {result}"
