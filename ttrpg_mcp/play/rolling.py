"""Rolling dice: parse, take the next number of the audited stream, draw, save, answer."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from ttrpg_mcp.play.ports import Call, Json, Ports, Receipt, RollDraft, Unit
from ttrpg_mcp.rules.dice import DiceSyntaxError, Expression, Roll, canonical, check, evaluate, parse, with_advantage

__all__ = ["Advantage", "RollDice", "Rolled", "roll_dice"]

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
        rolls = tuple(evaluate(expression, stream.chance) for _ in range(times))
        unit.rolls.save(stream, _draft(command, expression, rolls))
        return Rolled(command, expression, rolls, stream.number, stream.epoch, stream.commit, unit.receipt())

    return await ports.store.write(call, story)


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
    """Enough to show the roll again."""
    asked = {"label": command.label} if command.label else {}
    target = {} if command.dc is None else {"dc": command.dc}
    return asked | target | {"rolls": [roll.as_data() for roll in rolls]}
