"""Text to tree by precedence climbing, without backtracking; the depth is counted, so that the stack never runs out."""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Final

from ttrpg_mcp.rules.dice import comments, readings, refusals
from ttrpg_mcp.rules.dice.advantage import Way, doubled
from ttrpg_mcp.rules.dice.arithmetic import exact
from ttrpg_mcp.rules.dice.check import check, inspected
from ttrpg_mcp.rules.dice.cursor import Cursor
from ttrpg_mcp.rules.dice.errors import DiceEmptyError, DiceSyntaxError, DiceTooBigError, DiceTooDeepError
from ttrpg_mcp.rules.dice.limits import DEFAULT_LIMITS, Limits
from ttrpg_mcp.rules.dice.modifiers import parse_modifiers
from ttrpg_mcp.rules.dice.tokens import Kind, Token, starts_operand
from ttrpg_mcp.rules.dice.tree import Chain, Dice, Expression, Fate, Labelled, Negate, Node, Number, Step

__all__ = ["parse"]

_LEVELS: Final = (frozenset({"+", "-"}), frozenset({"*", "/", "//", "%"}))  # from the weakest
_OPERAND: Final = "a number or dice"
_REPEAT: Final = re.compile(r"\s*(\d+)\s*([x#])", re.IGNORECASE | re.ASCII)
_FATE: Final = {"f": Fate.EVEN, "f.2": Fate.EVEN, "f.1": Fate.RARE}


def parse(text: str, limits: Limits = DEFAULT_LIMITS) -> Expression:
    """The expression that a text means, checked against everything that can be known before rolling.

    The last 512 texts are remembered; an expression is frozen, so that is not seen.

    Raises:
        DiceError: the text is refused.

    >>> parse("4d6k3 + 2 strength").comment
    'strength'
    """
    # First of all, so that nothing else ever looks at a megabyte.
    if len(text) > limits.text:
        problem = f"The expression has {len(text):,} letters; the limit is {limits.text:,}."
        raise DiceTooBigError(text[: limits.text], limits.text, problem)
    return _parsed(text, limits)


@lru_cache(maxsize=512)
def _parsed(text: str, limits: Limits) -> Expression:
    if refusal := refusals.invisible(text):
        raise refusal
    if not text.strip() or text.lstrip().startswith("#"):
        raise DiceEmptyError(text, 0, "Nothing to roll.", "Example: 1d20+5")
    times, start = _repeat(text, limits)
    parser = _Parser(text, start, limits)
    root, comment = parser.whole()
    bounds = inspected(root, text, limits)
    notes = tuple(parser.cursor.notes)
    expression = Expression(root, text, bounds, times, comment, notes, has_labels=parser.has_labels)
    check(expression, times, limits)
    return expression


def _repeat(text: str, limits: Limits) -> tuple[int, int]:
    """How often, and where the expression starts. A `#` without an operand behind it starts a comment."""
    found = _REPEAT.match(text)
    if found is None or (found[2] == "#" and not starts_operand(text, found.end())):
        return 1, 0
    if len(found[1]) > limits.digits:
        raise DiceTooBigError(
            text, found.start(1), f"A number of {len(found[1])} digits; the limit is {limits.digits}."
        )
    return int(found[1]), found.end()


class _Parser:
    """One pass over the text of one expression."""

    def __init__(self, text: str, start: int, limits: Limits) -> None:
        self.cursor = Cursor(text, start, limits)
        self.has_labels = False
        self._depth = 0

    def whole(self) -> tuple[Node, str]:
        """The tree and the comment of the whole text."""
        root = self._chain(0)
        if not self.cursor.is_at(Kind.END, Kind.COMMENT):
            raise refusals.unfinished(self.cursor)
        comment = self.cursor.advance()
        if comment.kind is Kind.COMMENT and (refusal := comments.swallowing(self.cursor.text, comment)):
            raise refusal
        return root, _bare_comment(comment.text)

    def _chain(self, level: int) -> Node:
        """Everything that binds at least as tightly as this level."""
        if level == len(_LEVELS):
            return self._signed()
        first = self._chain(level + 1)
        steps: list[Step] = []
        while self.cursor.is_at(Kind.OPERATOR) and self.cursor.token.text in _LEVELS[level]:
            operator = self.cursor.advance()
            self._note_division(operator.text)
            steps.append(Step(operator.text, self._chain(level + 1), operator.position))
        return Chain(first, tuple(steps)) if steps else first

    def _note_division(self, operator: str) -> None:
        if operator == "/":
            self.cursor.note(readings.exact_division())
        if operator == "//":
            self.cursor.note(readings.floor_division())

    def _signed(self) -> Node:
        """A term behind its signs, which are counted: five hundred of them are one."""
        is_negative = False
        while self.cursor.is_at(Kind.OPERATOR) and self.cursor.token.text in ("+", "-"):
            is_negative ^= self.cursor.advance().text == "-"
        term = self._labelled(self._term())
        return Negate(term) if is_negative else term

    def _term(self) -> Node:
        token = self.cursor.token
        self.cursor.count_part()
        match token.kind:
            case Kind.NUMBER:
                return self._number()
            case Kind.DICE:
                return self._dice()
            case Kind.OPEN:
                return self._group()
            case Kind.FOREIGN | Kind.WORD:
                raise refusals.foreign(self.cursor)
            case _:
                raise self.cursor.unexpected(_OPERAND)

    def _number(self) -> Number:
        token = self.cursor.advance()
        whole, _, places = token.text.partition(".")
        digits = self.cursor.whole_number(whole + places, token.position)
        return Number(exact(Fraction(digits, 10 ** len(places))))

    def _dice(self) -> Dice:
        token = self.cursor.token
        count, _, sides = token.text.lower().partition("d")
        if not sides:
            raise refusals.without_sides(self.cursor, token)
        self.cursor.advance()
        if sides == "%":
            self.cursor.note(readings.percentile())
        number = self.cursor.whole_number(count or "1", token.position)
        dice = Dice(number, self._sides(sides, token), position=token.position)
        return self._modified(dice)

    def _sides(self, sides: str, token: Token) -> int | Fate:
        if sides in _FATE:
            return _FATE[sides]
        return 100 if sides == "%" else self.cursor.whole_number(sides, token.end - len(sides))

    def _modified(self, dice: Dice) -> Dice:
        modified, ways = parse_modifiers(self.cursor, dice)
        if not ways:
            return modified
        way: Way = ways[0]
        twice = doubled(modified, way, self.cursor.text)
        return twice if len(set(ways)) == 1 else modified

    def _group(self) -> Node:
        opening = self.cursor.advance()
        self._depth += 1
        if self._depth > self.cursor.limits.nesting:
            problem = f"More than {self.cursor.limits.nesting} brackets within brackets; that is the limit."
            raise DiceTooDeepError(self.cursor.text, opening.position, problem)
        inner = self._chain(0)
        if not self.cursor.is_at(Kind.CLOSE):
            raise refusals.unclosed(self.cursor, opening)
        self.cursor.advance()
        self._depth -= 1
        return inner

    def _labelled(self, term: Node) -> Node:
        labels: list[str] = []
        while self.cursor.is_at(Kind.LABEL):
            token = self.cursor.advance()
            labels.append(token.text[1:-1].strip())
            if not labels[-1]:
                raise DiceSyntaxError(self.cursor.text, token.position, "A label needs a word.", "Example: 2d6[fire]")
        self.has_labels |= bool(labels)
        return Labelled(term, ", ".join(labels)) if labels else term


def _bare_comment(typed: str) -> str:
    """A comment without its marks."""
    if typed.startswith("/*"):
        return typed[2 : typed.index("*/")].strip()
    return typed.removeprefix("//").removeprefix("#").strip()
