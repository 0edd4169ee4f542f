"""What may follow dice: modifiers and counts, from tokens to the tree."""

import re
from dataclasses import replace
from typing import Final, Literal

from ttrpg_mcp.rules.dice import readings
from ttrpg_mcp.rules.dice.advantage import Way
from ttrpg_mcp.rules.dice.cursor import Cursor
from ttrpg_mcp.rules.dice.errors import DiceAmbiguousError, DiceSpaceError, DiceSyntaxError, quoted
from ttrpg_mcp.rules.dice.tokens import COMMON_DICE, Kind, Token
from ttrpg_mcp.rules.dice.tree import Clamp, Compare, Count, Dice, Explode, Keep, Modifier, Reroll, unmet

__all__ = ["parse_modifiers"]

_KEEPS: Final[dict[str, Literal["kh", "kl", "dh", "dl"]]] = {
    "k": "kh",
    "kh": "kh",
    "kl": "kl",
    "d": "dl",
    "dl": "dl",
    "dh": "dh",
    "p": "dl",
    "pl": "dl",
    "ph": "dh",
}
_CLAMPS: Final[dict[str, Literal["mi", "ma"]]] = {"mi": "mi", "min": "mi", "ma": "ma", "max": "ma"}
_WAYS: Final[dict[str, Way]] = {"adv": "adv", "advantage": "adv", "dis": "dis", "disadvantage": "dis"}
_REROLLS: Final = frozenset({"r", "ro", "rr"})
_EXPLOSIONS: Final = frozenset({"!", "e", "x"})
_COUNTS: Final = frozenset({"t", "f"})

# What is refused so far, and what to write in its place where there is something.
_INSTEAD: Final = {
    "!o": "Write each extra die, such as +1d6.",
    "!p": "Write ! for explosions that count in full.",
    "!!": "Write ! for explosions as dice of their own.",
    "crit": "A natural 20 and a natural 1 are marked anyway.",
    "df": "Write f with a compare point behind a count, such as >=8f<2.",
    "even": "Count faces with compare points, such as =2=4=6.",
    "km": "Write kh and kl one after the other, such as 3d6kh2kl1.",
    "odd": "Count faces with compare points, such as =1=3=5.",
    "ra": "Write ro to reroll once.",
    "sf": "Write f with a compare point behind a count, such as >=8f<2.",
    "tt": "Write t and roll once more for those that count double.",
}
_LOWER: Final = frozenset({">", ">="})
_UPPER: Final = frozenset({"<", "<="})
_MISTYPED_KEEP: Final = re.compile(r"[a-z]+(\d+)", re.IGNORECASE | re.ASCII)


def parse_modifiers(cursor: Cursor, dice: Dice) -> tuple[Dice, list[Way]]:
    """The dice with everything that stands behind them, and the ways of advantage that were asked for."""
    modifiers: list[Modifier] = []
    ways: list[Way] = []
    while cursor.is_at(Kind.MODIFIER, Kind.COMPARE):
        cursor.count_part()
        name = cursor.token.text.lower()
        if name in _WAYS:
            ways.append(_WAYS[name])
            cursor.advance()
        else:
            modifiers.append(_modifier(cursor, dice, name))
    modifiers = _with_joined_rerolls(cursor, modifiers)
    _note_keeps(cursor, dice, modifiers)
    _check_failures(cursor, dice, modifiers)
    _check_successes(cursor, dice, modifiers)
    return Dice(dice.count, dice.sides, tuple(modifiers), dice.position), ways


def _modifier(cursor: Cursor, dice: Dice, name: str) -> Modifier:
    if cursor.is_at(Kind.COMPARE):
        return _bare_count(cursor, dice)
    if name in _KEEPS:
        return _keep(cursor, dice, name)
    if name in _CLAMPS:
        return _clamp(cursor, name)
    if name in _REROLLS:
        return _reroll(cursor, dice, name)
    if name in _EXPLOSIONS:
        return _explode(cursor, dice, name)
    if name in _COUNTS:
        return _named_count(cursor, name)
    raise _unsupported(cursor, name)


def _keep(cursor: Cursor, dice: Dice, name: str) -> Keep:
    token = cursor.advance()
    if cursor.is_at(Kind.COMPARE):
        suggestion = f"Write {_KEEPS[name]} with a number to take dice by rank."
        raise DiceSyntaxError(cursor.text, token.position, "To keep or drop by value is not supported yet.", suggestion)
    if cursor.is_at(Kind.NUMBER):
        keep = Keep(_KEEPS[name], _touching_number(cursor, token), token.position)
        if name == "d":
            _check_drop(cursor, dice, keep, token)
        if name in ("k", "p"):
            cursor.note(readings.keeps_by_rank(name, keep))
        return keep
    behind = cursor.text[token.end : token.end + 1]
    if behind.isalpha():
        raise cursor.unexpected("a number", _meant_keep(cursor, dice, token))
    if behind == "-":  # one die less a number, or a negative count?
        raise cursor.unexpected("a number", f"To subtract, write {token.text}1 before the minus.")
    return Keep(_KEEPS[name], 1, token.position)


def _check_drop(cursor: Cursor, dice: Dice, keep: Keep, token: Token) -> None:
    """`10d6 d4` drops four dice for a parser, and is a forgotten plus for a reader."""
    if keep.count not in COMMON_DICE:
        return
    if token.is_spaced:
        problem = f"{quoted(f'd{keep.count}')} behind dice may be dice to add, or drop the lowest {keep.count}."
        suggestion = f"Write +1d{keep.count} to add, or dl{keep.count} to drop."
        raise DiceAmbiguousError(cursor.text, token.position, problem, suggestion)
    if keep.count < dice.count:
        cursor.note(readings.drops_lowest(keep))


def _meant_keep(cursor: Cursor, dice: Dice, token: Token) -> str:
    found = _MISTYPED_KEEP.match(cursor.text, token.end)
    before = cursor.text[dice.position : token.position]
    return f"Did you mean {before}{_KEEPS[token.text.lower()]}{found[1]}?" if found else ""


def _clamp(cursor: Cursor, name: str) -> Clamp:
    token = cursor.advance()
    if not cursor.is_at(Kind.NUMBER):
        raise cursor.unexpected("a number", f"Example: 1d20{name}10.")
    return Clamp(_CLAMPS[name], _touching_number(cursor, token), token.position)


def _reroll(cursor: Cursor, dice: Dice, name: str) -> Reroll:
    token = cursor.advance()
    if name == "r":
        cursor.note(readings.rerolls_until())
    lowest = Compare("=", dice.lowest) if dice.lowest >= 0 else Compare("<", dice.lowest + 1)
    return Reroll((_point(cursor, token) or lowest,), name == "ro", token.position)


def _explode(cursor: Cursor, dice: Dice, name: str) -> Explode:
    token = cursor.advance()
    looks_unequal = name == "!" and cursor.text.startswith("=", token.end)
    point = _point(cursor, token)
    if point and looks_unequal:
        cursor.note(readings.explodes_on(point))
    if point and name == "x" and point.operator == "=":
        cursor.note(readings.explodes_x(point.value))
    return Explode(point or Compare(">=", dice.highest), token.position)


def _named_count(cursor: Cursor, name: str) -> Count:
    token = cursor.advance()
    is_bare = cursor.is_at(Kind.NUMBER)
    point = _point(cursor, token)
    if point is None:
        raise cursor.unexpected("a comparison", f"Example: 5d10{'t>=8' if name == 't' else '>=8f<2'}.")
    if name == "t" and is_bare:
        cursor.note(readings.counts_exactly(point))
    return Count(point, name == "f", token.position)


def _bare_count(cursor: Cursor, dice: Dice) -> Count:
    token = cursor.token
    if token.text == "!=":
        raise DiceSyntaxError(
            cursor.text,
            token.position,
            "To compare totals is not supported yet.",
            "Write <> to count dice that differ.",
        )
    point = _compared(cursor)
    cursor.note(readings.counted(cursor.text[dice.position : token.position].rstrip(), point))
    return Count(point, position=token.position)


def _point(cursor: Cursor, modifier: Token) -> Compare | None:
    """The compare point of a modifier; a bare number means "equal to"."""
    if cursor.is_at(Kind.COMPARE):
        return _compared(cursor)
    if not cursor.is_at(Kind.NUMBER):
        return None
    point = Compare("=", _touching_number(cursor, modifier))
    _refuse_dice(cursor)
    return point


def _compared(cursor: Cursor) -> Compare:
    token = cursor.advance()
    if not cursor.is_at(Kind.NUMBER):
        raise cursor.unexpected("a number")
    operator = {"==": "=", "!=": "<>"}.get(token.text, token.text)
    point = Compare(operator, _number(cursor))
    _refuse_dice(cursor)
    if operator in ("<", ">"):
        cursor.note(readings.strict(point))
    return point


def _touching_number(cursor: Cursor, modifier: Token) -> int:
    """The number right behind a modifier; behind a blank it might be anything."""
    if cursor.token.is_spaced:
        suggestion = f"Remove the space: {modifier.text}{cursor.token.text}."
        raise DiceSpaceError(cursor.text, modifier.end, "A blank between a modifier and its number.", suggestion)
    return _number(cursor)


def _number(cursor: Cursor) -> int:
    token = cursor.advance()
    return cursor.whole_number(token.text, token.position)


def _refuse_dice(cursor: Cursor) -> None:
    """Behind a compare point `8d6` looks like dice; nobody means "drop six"."""
    token = cursor.token
    if token.kind is Kind.MODIFIER and token.text.lower() == "d" and not token.is_spaced:
        problem = "A compare point is a number, not dice."
        raise DiceSyntaxError(cursor.text, token.position, problem, "Write dl to drop the lowest dice.")


def _with_joined_rerolls(cursor: Cursor, modifiers: list[Modifier]) -> list[Modifier]:
    """Rerolls of one kind in a row are one set of faces: else `r1r2` could end on a 1."""
    joined: list[Modifier] = []
    for modifier in modifiers:
        last = joined[-1] if joined else None
        if isinstance(modifier, Reroll) and isinstance(last, Reroll) and modifier.once == last.once:
            cursor.note(readings.rerolls_together())
            joined[-1] = replace(last, points=last.points + modifier.points)
        else:
            joined.append(modifier)
    if sum(isinstance(modifier, Reroll) for modifier in joined) > 1:
        cursor.note(readings.rerolls_in_turn())
    return joined


def _note_keeps(cursor: Cursor, dice: Dice, modifiers: list[Modifier]) -> None:
    keeps = [modifier for modifier in modifiers if isinstance(modifier, Keep)]
    if len(keeps) > 1:
        cursor.note(readings.keeps_in_turn())
    if any(isinstance(modifier, Explode) for modifier in modifiers):
        return
    for keep in keeps:
        if keep.name in ("kh", "kl") and keep.count > dice.count:
            cursor.note(readings.keeps_all(keep, dice.count))
        if keep.name in ("dh", "dl") and keep.count >= dice.count > 0:
            cursor.note(readings.drops_all(keep))


def _check_failures(cursor: Cursor, dice: Dice, modifiers: list[Modifier]) -> None:
    counts = [modifier for modifier in modifiers if isinstance(modifier, Count)]
    if counts and all(count.is_failure for count in counts):
        problem = f"f takes failures from a count, but {quoted(dice.name)} counts nothing."
        raise DiceSyntaxError(cursor.text, counts[0].position, problem, "Example: 5d10>=8f<2.")


def _check_successes(cursor: Cursor, dice: Dice, modifiers: list[Modifier]) -> None:
    """Several points join what they count, so that `>=3<=5`, meant as "3 to 5", would count every die."""
    counts = [modifier for modifier in modifiers if isinstance(modifier, Count) and not modifier.is_failure]
    operators = {count.point.operator for count in counts}
    is_range = operators & _LOWER and operators & _UPPER
    if is_range or (len(counts) > 1 and not unmet([count.point for count in counts], dice.lowest, dice.highest)):
        problem = "Chains of comparisons are not supported: each would count on its own, and together too much."
        suggestion = "Write each face that counts, such as =3=4=5."
        raise DiceSyntaxError(cursor.text, counts[-1].position, problem, suggestion)


def _unsupported(cursor: Cursor, name: str) -> DiceSyntaxError | DiceAmbiguousError:
    position = cursor.token.position
    if name in ("cs", "cf"):
        does = "successes" if name == "cs" else "failures"
        mark, count = ("crit", ">=8") if name == "cs" else ("fail", ">=8f<2")
        problem = f"{name} counts {does} in Foundry and marks {mark}s in Roll20."
        return DiceAmbiguousError(cursor.text, position, problem, f"Write 5d10{count} to count.")
    stem = "!p" if name.startswith("!") and name.endswith("p") else name
    problem = f"The modifier {quoted(name)} is not supported yet."
    return DiceSyntaxError(cursor.text, position, problem, _INSTEAD.get(stem, _INSTEAD.get(stem[:2], "")))
