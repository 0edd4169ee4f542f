"""Advantage and disadvantage: one single die becomes two, of which one is kept."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, Literal, TypeAlias

from ttrpg_mcp.rules.dice.check import inspected
from ttrpg_mcp.rules.dice.errors import DiceAdvantageError
from ttrpg_mcp.rules.dice.limits import DEFAULT_LIMITS, Limits
from ttrpg_mcp.rules.dice.tree import Dice, Explode, Expression, Keep, dice_in, map_dice

__all__ = ["Way", "doubled", "with_advantage"]

Way: TypeAlias = Literal["adv", "dis"]

_KEEPS: Final[dict[Way, Literal["kh", "kl"]]] = {"adv": "kh", "dis": "kl"}


def with_advantage(expression: Expression, way: Way, limits: Limits = DEFAULT_LIMITS) -> Expression:
    """The expression with advantage or disadvantage on its only single d20, else on its only single die.

    Raises:
        DiceAdvantageError: there is no such die, or more than one.
    """
    chosen = _single_die(expression)
    doubled_die = doubled(chosen, way, expression.text)
    root = map_dice(expression.root, lambda dice: doubled_die if dice is chosen else dice)
    return replace(expression, root=root, bounds=inspected(root, expression.text, limits))


def doubled(dice: Dice, way: Way, text: str) -> Dice:
    """Two dice for one; every other modifier works on both of them before one is kept.

    Raises:
        DiceAdvantageError: the term is not one single die, or chooses or grows its dice by itself.
    """
    if dice.count != 1:
        raise _refused(text, dice.position, [dice])
    if any(isinstance(modifier, Keep | Explode) for modifier in dice.modifiers):
        problem = "Advantage on a die that explodes, or is kept or dropped, is not supported yet."
        raise DiceAdvantageError(text, dice.position, problem, f"Write two dice, such as 2{dice.name}kh1.")
    return replace(dice, count=2, modifiers=(*dice.modifiers, Keep(_KEEPS[way], 1, dice.position)))


def _single_die(expression: Expression) -> Dice:
    terms = list(dice_in(expression.root))
    singles = [dice for dice in terms if dice.count == 1]
    twenties = [dice for dice in singles if dice.sides == 20]
    for candidates in (twenties, singles):
        if len(candidates) == 1:
            return candidates[0]
    first = terms[0].position if terms else 0
    raise _refused(expression.text, first, twenties or terms)


def _refused(text: str, position: int, terms: Iterable[Dice]) -> DiceAdvantageError:
    found = " and ".join(f"{_counted(dice.count)} {dice.name}" for dice in terms) or "no dice"
    return DiceAdvantageError(text, position, f"Advantage needs one single die; this roll has {found}.")


def _counted(count: int) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six")
    return words[count] if count < len(words) else f"{count:,}"
