"""Exact arithmetic: int where both sides are int, else Fraction, and never a float."""

from collections.abc import Callable
from fractions import Fraction
from typing import Final

from ttrpg_mcp.rules.dice.tree import Value

__all__ = ["DIVISIONS", "apply", "exact"]

DIVISIONS: Final = frozenset({"/", "//", "%"})

_OPERATIONS: Final[dict[str, Callable[[Value, Value], Value]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: Fraction(left) / right,
    "//": lambda left, right: left // right,
    "%": lambda left, right: left % right,
}


def apply(operator: str, left: Value, right: Value) -> Value:
    """The value of `left operator right`; `//` and `%` floor.

    >>> apply("/", 7, 2)
    Fraction(7, 2)
    >>> apply("%", -7, 3)
    2
    """
    return exact(_OPERATIONS[operator](left, right))


def exact(value: Value) -> Value:
    """The same value, as an int where it is whole."""
    return value if isinstance(value, int) or value.denominator != 1 else value.numerator
