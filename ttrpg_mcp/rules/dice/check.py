"""What can be known before the first die is drawn is checked here."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from ttrpg_mcp.rules.dice.arithmetic import DIVISIONS
from ttrpg_mcp.rules.dice.bounds import combined, magnitude, negated, of_dice, worst_of_dice
from ttrpg_mcp.rules.dice.errors import (
    DiceDivZeroError,
    DiceEndlessError,
    DiceSidesError,
    DiceSyntaxError,
    DiceTooBigError,
    DiceTooManyError,
)
from ttrpg_mcp.rules.dice.limits import DEFAULT_LIMITS, Limits
from ttrpg_mcp.rules.dice.tree import (
    Bounds,
    Chain,
    Compare,
    Dice,
    Explode,
    Expression,
    Labelled,
    Negate,
    Node,
    Number,
    Reroll,
    Value,
    dice_in,
    unmet,
)

__all__ = ["check", "inspected"]

_WORDS: Final = {"=": "{}", "<>": "not {}", "<": "below {}", "<=": "{} or less", ">": "above {}", ">=": "{} or more"}


def check(expression: Expression, times: int, limits: Limits = DEFAULT_LIMITS) -> None:
    """Hold a roll that is repeated to the limits; a single one was held to them when it was parsed.

    Raises:
        DiceTooManyError: too many repeats, or too many dice over all of them.
        DiceSyntaxError: no repeat at all.
    """
    if times < 1:
        raise DiceSyntaxError(expression.text, 0, "A roll is made at least once.")
    if times > limits.repeats:
        problem = f"{times:,} repeats; the limit is {limits.repeats:,}."
        raise DiceTooManyError(expression.text, 0, problem)
    dice = times * sum(term.count for term in dice_in(expression.root))
    if dice > limits.repeated_dice:
        problem = f"{dice:,} dice over {times:,} repeats; the limit is {limits.repeated_dice:,}."
        raise DiceTooManyError(expression.text, 0, problem)


def inspected(root: Node, text: str, limits: Limits) -> Bounds:
    """The bounds of a tree that is within all limits.

    Raises:
        DiceTooManyError, DiceSidesError, DiceEndlessError: of the dice.
        DiceDivZeroError: a divisor that may come to zero.
        DiceTooBigError: a value that may pass its limit.
    """
    _check_counts(root, text, limits)
    for dice in dice_in(root):
        _check_sides(dice, text, limits)
        _check_end(dice, text)
    told = _Inspector(text, limits.value, of_dice).bounds(root)
    if any(isinstance(modifier, Explode | Reroll) for dice in dice_in(root) for modifier in dice.modifiers):
        # An error after the draw would tell what was drawn; so the worst case counts, however unlikely it is.
        _Inspector(text, limits.value, partial(worst_of_dice, most=limits.dice)).bounds(root)
    return told


def _check_counts(root: Node, text: str, limits: Limits) -> None:
    total = 0
    for dice in dice_in(root):
        total += dice.count
        if total > limits.dice:
            raise DiceTooManyError(text, dice.position, f"{total:,} dice; the limit is {limits.dice:,} per roll.")


def _check_sides(dice: Dice, text: str, limits: Limits) -> None:
    if not isinstance(dice.sides, int):
        return
    if dice.sides < 1:
        raise DiceSidesError(text, _position_of_sides(dice, text), "A die needs at least 1 side.")
    if dice.sides > limits.sides:
        problem = f"A die of {dice.sides:,} sides; the limit is {limits.sides:,}."
        raise DiceSidesError(text, _position_of_sides(dice, text), problem)


def _position_of_sides(dice: Dice, text: str) -> int:
    return next((at + 1 for at in range(dice.position, len(text)) if text[at] in "dD"), dice.position)


def _check_end(dice: Dice, text: str) -> None:
    for modifier in dice.modifiers:
        match modifier:
            case Explode(point=point):
                points, does = (point,), "explode"
            case Reroll(points=points, once=False):
                does = "be rerolled"
            case _:
                continue
        if not unmet(points, dice.lowest, dice.highest):
            raise _endless(dice, points, does, text, modifier.position)


def _endless(dice: Dice, points: Iterable[Compare], does: str, text: str, position: int) -> DiceEndlessError:
    faces = " or ".join(_WORDS[point.operator].format(point.value) for point in points)
    problem = f"Every face of a {dice.name} is {faces}: it would {does} forever."
    return DiceEndlessError(text, position, problem)


class _Inspector:
    """Bounds from the leaves up; a divisor that may be zero, or a value too big, is refused at its operator."""

    def __init__(self, text: str, largest: Value, bounds_of_dice: Callable[[Dice], Bounds]) -> None:
        self._text = text
        self._largest = largest
        self._bounds_of_dice = bounds_of_dice

    def bounds(self, node: Node) -> Bounds:
        match node:
            case Number():
                return Bounds(node.value, node.value, isinstance(node.value, int))
            case Dice():
                return self._bounds_of_dice(node)
            case Negate():
                return negated(self.bounds(node.operand))
            case Labelled():
                return self.bounds(node.operand)
            case Chain():
                return self._chained(node)

    def _chained(self, chain: Chain) -> Bounds:
        bounds = self.bounds(chain.first)
        for step in chain.steps:
            right = self.bounds(step.operand)
            if step.operator in DIVISIONS and _has_zero(right):
                raise self._zero(step.position, right)
            bounds = combined(step.operator, bounds, right)
            if magnitude(bounds) > self._largest:
                problem = f"The result may pass {self._largest:,}; that is the limit of every value."
                raise DiceTooBigError(self._text, step.position, problem)
        return bounds

    def _zero(self, position: int, divisor: Bounds) -> DiceDivZeroError:
        if divisor.low == divisor.high == 0:
            return DiceDivZeroError(self._text, position, "Division by zero.")
        suggestion = "Divide by something that is always above 0."
        return DiceDivZeroError(self._text, position, "Division by what may come to zero.", suggestion)


def _has_zero(bounds: Bounds) -> bool:
    return (bounds.low is None or bounds.low <= 0) and (bounds.high is None or bounds.high >= 0)
