"""Errors of the grammar that take a second look at the text, to say what was probably meant."""

import re
from typing import Final

from ttrpg_mcp.rules.dice.cursor import Cursor
from ttrpg_mcp.rules.dice.errors import (
    DiceError,
    DiceSpaceError,
    DiceSyntaxError,
    DiceUnclosedError,
    DiceUnknownFuncError,
    DiceUnknownVarError,
    quoted,
)
from ttrpg_mcp.rules.dice.tokens import COMMON_DICE, FUNCTIONS, Kind, Token

__all__ = ["foreign", "invisible", "unclosed", "unfinished", "without_sides"]

_FOREIGN: Final = {
    "{": ("Pools in braces are", "Write each term with its own modifiers, such as 4d6kh3."),
    "}": ("Pools in braces are", "Write each term with its own modifiers, such as 4d6kh3."),
    ",": ("Lists are", "Roll the terms one by one."),
    "[[": ("Inline rolls are", "Write round brackets."),
}
_SIDES: Final = {
    "(": ("Computed sides are", "Write the number of sides."),
    "[": ("Dice with faces of their own are", "Write the number of sides."),
    "c": ("Coins are", "Write 1d2."),
}
_VARIABLE: Final = re.compile(r"@\{?[\w.]*\}?")
_DIGITS: Final = re.compile(r"[0-9]*")

# Control letters but the tab, the ends of lines and paragraphs, what turns the direction of writing, and halves of
# letters, which cannot be saved.
_INVISIBLE: Final = re.compile(
    r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def foreign(cursor: Cursor) -> DiceError:
    """The error for notation that is known and refused so far, or for a word that nobody knows."""
    token, text = cursor.token, cursor.text
    if token.text == "@":
        found = _VARIABLE.match(text, token.position)
        problem = f"{quoted(found[0] if found else '@')} is not known here."
        return DiceUnknownVarError(text, token.position, problem, "Variables are not supported yet: write the number.")
    if token.kind is Kind.FOREIGN:
        subject, suggestion = _FOREIGN[token.text]
        return DiceSyntaxError(text, token.position, f"{subject} not supported yet.", suggestion)
    if text[token.end :].lstrip().startswith("("):
        return _function(text, token)
    return cursor.unexpected("a number or dice")


def invisible(text: str) -> DiceError | None:
    """The error for the first letter that nobody sees, or that changes the order in which the others are seen."""
    found = _INVISIBLE.search(text)
    if found is None:
        return None
    name = "line break" if found[0] in "\r\n\u2028\u2029" else f"invisible letter U+{ord(found[0]):04X}"
    return DiceSyntaxError(
        text, found.start(), f"Unexpected {name}.", "Write the expression on one line, as plain text."
    )


def unclosed(cursor: Cursor, opening: Token) -> DiceError:
    """The error for a bracket whose content goes on without its end."""
    token = cursor.token
    if token.kind is Kind.COMMENT and token.text[0] not in "#/":
        problem = f"Unexpected {quoted(token.text)}: a comment stands only at the end."
        return DiceSyntaxError(cursor.text, token.position, problem, "A label is written [fire].")
    if token.kind not in (Kind.END, Kind.COMMENT):
        return unfinished(cursor)
    end = cursor.last.end if cursor.last else token.position
    problem = f'"(" at letter {opening.position + 1} is never closed.'
    return DiceUnclosedError(cursor.text, opening.position, problem, end=end)


def unfinished(cursor: Cursor) -> DiceError:
    """The error for something behind a complete term that does not continue it."""
    token, last, text = cursor.token, cursor.last, cursor.text
    match token.kind:
        case Kind.OPERATOR:
            return DiceSyntaxError(text, token.position, "Powers are not supported yet.", "Multiply, such as 3*3.")
        case Kind.COMPARE:
            problem = "To compare totals is not supported yet."
            return DiceSyntaxError(text, token.position, problem, "Roll without it and set dc.")
        case Kind.FOREIGN:
            return foreign(cursor)
        case Kind.MODIFIER:
            return _misplaced_modifier(cursor)
        case Kind.NUMBER if last and last.kind is Kind.DICE and text[token.end : token.end + 1] not in ("d", "D"):
            return _number_behind_dice(cursor, last)
        case Kind.CLOSE:
            return DiceSyntaxError(text, token.position, 'Unexpected ")": nothing is open here.')
        case _:
            return cursor.unexpected("an operator")


def without_sides(cursor: Cursor, dice: Token) -> DiceError:
    """The error for dice such as `1d`."""
    text = cursor.text
    behind = text[dice.end :].lstrip()
    position = len(text) - len(behind)
    if digits := _leading_digits(behind):
        return _blank_in_dice(text, dice.end, dice.text + digits)
    if behind[:1].lower() in _SIDES:
        subject, suggestion = _SIDES[behind[0].lower()]
        return DiceSyntaxError(text, position, f"{subject} not supported yet.", suggestion)
    if not behind:
        problem = f"The expression ends after {quoted(dice.text)}: a number of sides is missing."
        return DiceSyntaxError(text, dice.end, problem, "Example: 1d20")
    problem = f"Unexpected {quoted(behind[0])} after {quoted(dice.text)}: a number of sides is expected."
    return DiceSyntaxError(text, position, problem, "Example: 1d20")


def _number_behind_dice(cursor: Cursor, dice: Token) -> DiceError:
    """`1d2 0` has a blank too many; in `1d20 5` the dice are whole, and a plus is missing."""
    typed = cursor.token.text
    sides = dice.text.lower().partition("d")[2]
    is_whole = not sides.isdigit() or int(sides) in COMMON_DICE
    if is_whole and typed.strip("0"):
        return cursor.unexpected("an operator", f"Did you mean {dice.text}+{typed}?")
    return _blank_in_dice(cursor.text, dice.end, dice.text + typed)


def _function(text: str, token: Token) -> DiceError:
    name = token.text.lower()
    if name not in FUNCTIONS:
        suggestion = "Functions are not supported yet."
        return DiceUnknownFuncError(text, token.position, f"Unknown function {quoted(token.text)}.", suggestion)
    suggestion = "Write // to divide and round down." if name in ("ceil", "floor", "round") else ""
    return DiceSyntaxError(text, token.position, f"The function {name} is not supported yet.", suggestion)


def _misplaced_modifier(cursor: Cursor) -> DiceError:
    token, last, text = cursor.token, cursor.last, cursor.text
    rest = text[token.end :]
    if last and token.text.lower() == "d" and rest[:1] in (*"0123456789%fF(",):
        if last.kind is Kind.NUMBER and token.is_spaced:
            return _blank_in_dice(text, last.end, f"{last.text}d{_leading_digits(rest) or rest[0]}")
        if last.kind is Kind.CLOSE:
            problem = "A computed number of dice is not supported yet."
            return DiceSyntaxError(text, token.position, problem, "Write the number.")
    problem = f"{quoted(token.text)} is a modifier, and those stand right behind dice."
    is_advantage = token.text.lower().startswith(("adv", "dis"))
    return DiceSyntaxError(text, token.position, problem, f"Example: {'1d20adv+5' if is_advantage else '4d6kh3+2'}")


def _blank_in_dice(text: str, position: int, together: str) -> DiceSpaceError:
    return DiceSpaceError(text, position, "A blank inside the dice.", f"Remove the space: {together}.")


def _leading_digits(text: str) -> str:
    found = _DIGITS.match(text)
    return found[0] if found else ""
