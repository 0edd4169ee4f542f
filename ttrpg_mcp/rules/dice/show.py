"""Trees and rolls as text."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Final

from ttrpg_mcp.rules.dice.die import Die
from ttrpg_mcp.rules.dice.tree import (
    Chain,
    Clamp,
    Compare,
    Count,
    Dice,
    Explode,
    Expression,
    Fate,
    Keep,
    Labelled,
    Modifier,
    Negate,
    Node,
    Number,
    Reroll,
    Value,
)

__all__ = ["breakdown", "canonical", "number"]

_SHOWN_DICE: Final = 50  # of one term; a line that nobody reads to its end is no breakdown
_PLACES: Final = 6
_FRACTION_WIDTH: Final = 40


def canonical(expression: Expression, *, with_times: bool = True) -> str:
    """The expression as it was understood, without its comment; it parses back to the same tree.

    with_times writes a repeat in front (`6x 4d6kh3`).
    """
    prefix = f"{expression.times}x " if with_times and expression.times > 1 else ""
    return prefix + _text(expression.root)


def breakdown(root: Node, dice: Iterable[Die], total: Value) -> str:
    """The roll on one line: dropped and rerolled dice struck out, exploded with `!`, successes bold."""
    terms: dict[int, list[Die]] = {}
    for die in dice:
        terms.setdefault(die.term, []).append(die)
    return f"{_Breakdown(terms).text(root)} = {number(total)}"


def number(value: Value) -> str:
    """A number as people write it, with at most six places; what six places would show as 0 stays a fraction.

    >>> number(Fraction(7, 2)), number(Fraction(10, 3)), number(Fraction(1, 3_000_000))
    ('3.5', '3.333333', '1/3000000')
    """
    if isinstance(value, int):
        return str(value)
    rounded = Fraction(round(value * 10**_PLACES), 10**_PLACES)
    return _decimal(rounded) if rounded else _tiny(value)


def _tiny(value: Fraction) -> str:
    text = str(value)
    return text if len(text) <= _FRACTION_WIDTH else "about 0"


def _decimal(value: Fraction) -> str:
    """A fraction whose decimals end, exactly."""
    places = next(count for count in range(value.denominator.bit_length() + 1) if 10**count % value.denominator == 0)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[: len(digits) - places]}.{digits[len(digits) - places :]}" if places else f"{sign}{digits}"


def _text(node: Node) -> str:
    match node:
        case Number():
            return str(node.value) if isinstance(node.value, int) else _decimal(node.value)
        case Dice():
            return _dice(node)
        case Negate():
            return "-" + _bracketed(_text(node.operand), node.operand, Negate, Chain)
        case Labelled():
            return _bracketed(_text(node.operand), node.operand, Negate, Chain, Labelled) + f"[{node.label}]"
        case Chain():
            first = _in_chain(node, node.first, _text(node.first))
            return first + "".join(
                step.operator + _in_chain(node, step.operand, _text(step.operand)) for step in node.steps
            )


def _in_chain(chain: Chain, operand: Node, text: str) -> str:
    """An operand with brackets where the chain would otherwise swallow it: only a product in a sum goes without."""
    is_plain = not isinstance(operand, Chain) or (chain.is_sum and not operand.is_sum)
    return text if is_plain else f"({text})"


def _bracketed(text: str, node: Node, *kinds: type[Node]) -> str:
    return f"({text})" if isinstance(node, kinds) else text


def _dice(dice: Dice) -> str:
    sides = {Fate.EVEN: "f", Fate.RARE: "f.1"}[dice.sides] if isinstance(dice.sides, Fate) else dice.sides
    return f"{dice.count}d{sides}" + "".join(map(_modifier, dice.modifiers))


def _modifier(modifier: Modifier) -> str:
    match modifier:
        case Keep():
            return f"{modifier.name}{modifier.count}"
        case Clamp():
            return f"{modifier.name}{modifier.value}"
        case Reroll():
            return "".join(("ro" if modifier.once else "rr") + _point(point) for point in modifier.points)
        case Explode():
            return "!" + _point(modifier.point)
        case Count():
            return ("f" if modifier.is_failure else "") + modifier.point.operator + str(modifier.point.value)


def _point(point: Compare) -> str:
    return str(point.value) if point.operator == "=" else f"{point.operator}{point.value}"


class _Breakdown:
    """Writes a tree with the dice of each term behind it."""

    def __init__(self, terms: dict[int, list[Die]]) -> None:
        self._terms = terms
        self._next_term = 0

    def text(self, node: Node) -> str:
        match node:
            case Number():
                return _text(node)
            case Dice():
                return f"{_dice(node)} ({', '.join(self._faces())})"
            case Negate():
                return "-" + _bracketed(self.text(node.operand), node.operand, Negate, Chain)
            case Labelled():
                return _bracketed(self.text(node.operand), node.operand, Negate, Chain) + f" [{node.label}]"
            case Chain():
                return " ".join(self._links(node))

    def _links(self, chain: Chain) -> Iterator[str]:
        yield _in_chain(chain, chain.first, self.text(chain.first))
        for step in chain.steps:
            yield step.operator
            yield _in_chain(chain, step.operand, self.text(step.operand))

    def _faces(self) -> list[str]:
        dice = self._terms.get(self._next_term, [])
        self._next_term += 1
        more = [f"… {len(dice) - _SHOWN_DICE} more"] if len(dice) > _SHOWN_DICE else []
        return [_face(die) for die in dice[:_SHOWN_DICE]] + more


def _face(die: Die) -> str:
    text = f"{die.value}!" if die.exploded else str(die.value)
    if die.face is not None:
        text = f"{die.face}→{text}"
    if not die.kept:
        return f"~~{text}~~"
    if die.success:
        return f"**{text}**"
    return f"*{text}*" if die.failure else text
