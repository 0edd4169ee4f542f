"""Interval arithmetic: what a node can come to, before anything is rolled.

Every dice term stands in a tree once, so sums and products of bounds are exact.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from typing import Final

from ttrpg_mcp.rules.dice.arithmetic import apply, exact
from ttrpg_mcp.rules.dice.tree import Bounds, Clamp, Count, Dice, Explode, Keep, Reroll, Value, unmet

__all__ = ["UNKNOWN", "combined", "magnitude", "negated", "of_dice", "worst_of_dice"]

UNKNOWN: Final = Bounds(None, None, is_whole=False)


def of_dice(dice: Dice) -> Bounds:
    """The bounds of a dice term, as people are told them; there is no highest where dice explode."""
    count, low, high, explodes = _each(dice)
    if explodes:
        return Bounds(count * low if low >= 0 else None, None)
    return Bounds(count * low, count * high)


def worst_of_dice(dice: Dice, most: int) -> Bounds:
    """What a dice term cannot pass with at most this many dice, even if every chain runs to its limit."""
    unlucky = tuple(replace(one, once=True) if isinstance(one, Reroll) else one for one in dice.modifiers)
    count, low, high, explodes = _each(replace(dice, modifiers=unlucky))
    if explodes:
        return Bounds(count * low if low >= 0 else most * low, most * high)
    return Bounds(count * low, count * high)


def _each(dice: Dice) -> tuple[int, int, int, bool]:
    """How many dice count, the lowest and the highest value of each, and whether they explode."""
    count, low, high = dice.count, dice.lowest, dice.highest
    explodes = False
    for modifier in dice.modifiers:
        match modifier:
            case Keep():
                count = _kept(modifier, count)
            case Reroll():
                # New dice are not clamped by what was written before them; so below.
                low, high = _rerolled(modifier, min(low, dice.lowest), max(high, dice.highest))
            case Clamp(name="mi"):
                low, high = max(low, modifier.value), max(high, modifier.value)
            case Clamp(name="ma"):
                low, high = min(low, modifier.value), min(high, modifier.value)
            case Explode():
                low, high, explodes = min(low, dice.lowest), max(high, dice.highest), True
            case _:
                pass
    if dice.is_pool:
        low, high = _counted(dice)
    return count, low, high, explodes


def negated(bounds: Bounds) -> Bounds:
    """The bounds with their sign turned."""
    low = None if bounds.high is None else -bounds.high
    high = None if bounds.low is None else -bounds.low
    return Bounds(low, high, bounds.is_whole)


def combined(operator: str, left: Bounds, right: Bounds) -> Bounds:
    """The bounds of two nodes under an operator."""
    if _is_fixed(left) and _is_fixed(right) and not (right.low == 0 and operator in ("/", "//", "%")):
        return _fixed(operator, left, right)
    return _COMBINED[operator](left, right)


def magnitude(bounds: Bounds) -> Value:
    """The largest known distance from zero."""
    low, high = bounds.low or 0, bounds.high or 0
    return max(-low, low, -high, high)


def _kept(keep: Keep, count: int) -> int:
    return min(count, keep.count) if keep.name in ("kh", "kl") else max(0, count - keep.count)


def _rerolled(reroll: Reroll, low: int, high: int) -> tuple[int, int]:
    """The faces that stay, where at least half of them do; else a chain of rerolls may reach its limit on any face."""
    stays = [] if reroll.once else unmet(reroll.points, low, high)
    if not stays:
        return low, high
    inside = range(stays[0], stays[-1] + 1)
    holes = {point.value for point in reroll.points if point.operator == "=" and point.value in inside}
    return (stays[0], stays[-1]) if 2 * (len(inside) - len(holes)) >= high + 1 - low else (low, high)


def _counted(dice: Dice) -> tuple[int, int]:
    counts = [modifier for modifier in dice.modifiers if isinstance(modifier, Count)]
    return -int(any(count.is_failure for count in counts)), int(any(not count.is_failure for count in counts))


def _is_fixed(bounds: Bounds) -> bool:
    return bounds.low is not None and bounds.low == bounds.high


def _fixed(operator: str, left: Bounds, right: Bounds) -> Bounds:
    if left.low is None or right.low is None:
        return UNKNOWN
    value = apply(operator, left.low, right.low)
    return Bounds(value, value, is_whole=isinstance(value, int))


def _sum(left: Bounds, right: Bounds) -> Bounds:
    low = None if left.low is None or right.low is None else left.low + right.low
    high = None if left.high is None or right.high is None else left.high + right.high
    return Bounds(low, high, left.is_whole and right.is_whole)


def _difference(left: Bounds, right: Bounds) -> Bounds:
    return _sum(left, negated(right))


def _product(left: Bounds, right: Bounds) -> Bounds:
    is_whole = left.is_whole and right.is_whole
    lows = [end for end in (left.low, right.low) if end is not None]
    highs = [end for end in (left.high, right.high) if end is not None]
    if len(lows) == len(highs) == 2:
        return _around((one * other for one in (lows[0], highs[0]) for other in (lows[1], highs[1])), is_whole=is_whole)
    if len(lows) == 2 and min(lows) >= 0:
        return Bounds(lows[0] * lows[1], None, is_whole)
    return Bounds(None, None, is_whole)


def _quotient(left: Bounds, right: Bounds) -> Bounds:
    if right.low is not None and right.low > 0:
        inverse = Bounds(0 if right.high is None else Fraction(1) / right.high, Fraction(1) / right.low, is_whole=False)
        product = _product(left, inverse)
        return Bounds(_exact_or_none(product.low), _exact_or_none(product.high), is_whole=False)
    if right.high is not None and right.high < 0:
        return _quotient(negated(left), negated(right))
    return UNKNOWN


def _floor_quotient(left: Bounds, right: Bounds) -> Bounds:
    bounds = _quotient(left, right)
    low = None if bounds.low is None else math.floor(bounds.low)
    return Bounds(low, None if bounds.high is None else math.floor(bounds.high))


def _rest(left: Bounds, right: Bounds) -> Bounds:
    is_whole = left.is_whole and right.is_whole
    if right.low is not None and right.low > 0:
        return Bounds(0, None if right.high is None else right.high - is_whole, is_whole)
    if right.high is not None and right.high < 0:
        return Bounds(None if right.low is None else right.low + is_whole, 0, is_whole)
    return Bounds(None, None, is_whole)


def _around(values: Iterable[Value], *, is_whole: bool) -> Bounds:
    ordered = sorted(values)
    return Bounds(ordered[0], ordered[-1], is_whole)


def _exact_or_none(value: Value | None) -> Value | None:
    return None if value is None else exact(value)


_COMBINED: Final[dict[str, Callable[[Bounds, Bounds], Bounds]]] = {
    "+": _sum,
    "-": _difference,
    "*": _product,
    "/": _quotient,
    "//": _floor_quotient,
    "%": _rest,
}
