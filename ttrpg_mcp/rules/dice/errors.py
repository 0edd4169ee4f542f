"""Errors of the dice.

RuleError
└── DiceError                                   the expression is refused; nothing was rolled, or nothing of it counts
    ├── DiceAdvantageError   DICE_ADVANTAGE     there is no one single die to roll twice
    ├── DiceAmbiguousError   DICE_AMBIGUOUS     two readings, and a guess would be off by a whole total
    ├── DiceDivZeroError     DICE_DIV_ZERO      division by what is, or may come to, zero
    ├── DiceEmptyError       DICE_EMPTY         nothing to roll
    ├── DiceEndlessError     DICE_ENDLESS       a die that would explode or be rerolled forever
    ├── DiceSidesError       DICE_SIDES         no side, or too many sides
    ├── DiceSpaceError       DICE_SPACE         a blank inside the dice
    ├── DiceSyntaxError      DICE_SYNTAX        not dice notation, or not notation that is known yet
    ├── DiceTooBigError      DICE_TOO_BIG       a text, number or value over its limit
    ├── DiceTooDeepError     DICE_TOO_DEEP      too many brackets within brackets
    ├── DiceTooManyError     DICE_TOO_MANY      too many dice or repeats
    ├── DiceUnclosedError    DICE_UNCLOSED      an opening bracket without its end
    ├── DiceUnknownFuncError DICE_UNKNOWN_FUNC  a function that nobody knows
    └── DiceUnknownVarError  DICE_UNKNOWN_VAR   a variable that nobody knows
LookupError
└── ChanceExhausted                             listed faces ran out
ValueError
└── FaceImpossible                              a listed face is not on the die
"""

from typing import ClassVar, Final

from ttrpg_mcp.rules.errors import RuleError

__all__ = [
    "ChanceExhausted",
    "DiceAdvantageError",
    "DiceAmbiguousError",
    "DiceDivZeroError",
    "DiceEmptyError",
    "DiceEndlessError",
    "DiceError",
    "DiceSidesError",
    "DiceSpaceError",
    "DiceSyntaxError",
    "DiceTooBigError",
    "DiceTooDeepError",
    "DiceTooManyError",
    "DiceUnclosedError",
    "DiceUnknownFuncError",
    "DiceUnknownVarError",
    "FaceImpossible",
    "quoted",
]

_CARET_WIDTH: Final = 60
_QUOTE_WIDTH: Final = 24


class DiceError(RuleError):
    """The expression is refused.

    Attributes:
        code: Stable name of the refusal, for programs.
        expression: What was typed, or its beginning where it is over the limit.
        position: 0-based letter of the expression where the trouble is.
        problem: What is wrong, as a sentence.
        suggestion: What to write instead, as a sentence; may be empty.
    """

    code: ClassVar[str] = "DICE_ERROR"

    def __init__(self, expression: str, position: int, problem: str, suggestion: str = "") -> None:
        super().__init__(expression, position, problem, suggestion)
        self.expression = expression
        self.position = position
        self.problem = problem
        self.suggestion = suggestion

    def __str__(self) -> str:
        return f"{self.problem} {self.suggestion}".rstrip()

    @property
    def caret(self) -> str:
        """Two lines: the expression, cut around the position when it is long, and a caret below the letter."""
        start = max(0, min(self.position - _CARET_WIDTH // 2, len(self.expression) - _CARET_WIDTH))
        end = start + _CARET_WIDTH
        before = "…" if start else ""
        after = "…" if end < len(self.expression) else ""
        shown = before + _harmless(self.expression[start:end]) + after
        return f"{shown}\n{' ' * (len(before) + self.position - start)}^"


class DiceAdvantageError(DiceError):
    """Advantage or disadvantage finds no one single die."""

    code = "DICE_ADVANTAGE"


class DiceAmbiguousError(DiceError):
    """The text has two readings, and a guess would be off by a whole total."""

    code = "DICE_AMBIGUOUS"


class DiceDivZeroError(DiceError):
    """Division by what is zero, or may come to zero."""

    code = "DICE_DIV_ZERO"


class DiceEmptyError(DiceError):
    """There is nothing to roll."""

    code = "DICE_EMPTY"


class DiceEndlessError(DiceError):
    """A die would explode or be rerolled forever."""

    code = "DICE_ENDLESS"


class DiceSidesError(DiceError):
    """A die has no side, or more sides than allowed."""

    code = "DICE_SIDES"


class DiceSpaceError(DiceError):
    """A blank stands inside what has to be written together."""

    code = "DICE_SPACE"


class DiceSyntaxError(DiceError):
    """The text is not dice notation, or not notation that is known yet."""

    code = "DICE_SYNTAX"


class DiceTooBigError(DiceError):
    """A text, a number or a value is over its limit."""

    code = "DICE_TOO_BIG"


class DiceTooDeepError(DiceError):
    """Too many brackets stand within brackets."""

    code = "DICE_TOO_DEEP"


class DiceTooManyError(DiceError):
    """Too many dice, or too many repeats."""

    code = "DICE_TOO_MANY"


class DiceUnclosedError(DiceError):
    """An opening bracket has no end.

    Attributes:
        position: 0-based letter of the opening bracket.
        end: 0-based letter where its end is missing.
    """

    code = "DICE_UNCLOSED"

    def __init__(self, expression: str, position: int, problem: str, suggestion: str = "", *, end: int = 0) -> None:
        super().__init__(expression, position, problem, suggestion)
        self.end = end


class DiceUnknownFuncError(DiceError):
    """The text calls a function that nobody knows."""

    code = "DICE_UNKNOWN_FUNC"


class DiceUnknownVarError(DiceError):
    """The text names a variable that nobody knows."""

    code = "DICE_UNKNOWN_VAR"


class ChanceExhausted(LookupError):
    """The roll needs more faces than were listed."""

    def __init__(self, given: int) -> None:
        super().__init__(given)
        self.given = given

    def __str__(self) -> str:
        return f"This roll needs more faces than the {self.given} that were given."


class FaceImpossible(ValueError):
    """A listed face is not on the die."""

    def __init__(self, face: int, faces: int) -> None:
        super().__init__(face, faces)
        self.face = face
        self.faces = faces

    def __str__(self) -> str:
        return f"{self.face} is not on a d{self.faces}."


def quoted(typed: str) -> str:
    """What was typed, short and harmless, in quotes.

    >>> quoted("kh3")
    '"kh3"'
    """
    clipped = typed if len(typed) <= _QUOTE_WIDTH else typed[: _QUOTE_WIDTH - 1] + "…"
    return f'"{_harmless(clipped)}"'


def _harmless(typed: str) -> str:
    return "".join(letter if letter.isprintable() else "·" for letter in typed)
