"""Text to tokens, from the left and only as far as the parser has come.

What a letter means depends on its place: `d6` is dice where an operand may stand, and drops six dice behind other dice.
So there are two patterns, and the kind of the last token decides which of them is next.
"""

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Final, NamedTuple

from ttrpg_mcp.rules.dice.errors import DiceAmbiguousError, DiceSyntaxError, DiceUnclosedError, quoted

__all__ = ["COMMON_DICE", "FUNCTIONS", "MODIFIERS", "Kind", "Token", "starts_operand", "tokens"]

COMMON_DICE: Final = frozenset({4, 6, 8, 10, 12, 20, 100})  # what people own
FUNCTIONS: Final = frozenset({"abs", "ceil", "floor", "max", "min", "pow", "round", "sign", "sqrt"})

# Every modifier of the notation, also those that are refused so far: a word is a comment only if it is none of them.
_KEEP_NAMES: Final = ("k", "kh", "kl", "km", "d", "dh", "dl", "p", "ph", "pl")
_NUMBER_NAMES: Final = ("cf", "crit", "cs", "f", "fail", "ma", "max", "mi", "min", "ms", "ra", "t", "tt")
_LONE_NAMES: Final = (
    *("adv", "advantage", "df", "dis", "disadvantage", "e", "even", "m", "mt", "odd", "r", "ro", "rr"),
    *("s", "sa", "sd", "sf", "u", "uo", "x", "xo"),
)
MODIFIERS: Final = frozenset(_KEEP_NAMES + _LONE_NAMES + _NUMBER_NAMES)

_LIKELY: Final = {"−": "-", "–": "-", "×": "*", "·": "*", "÷": "/"}  # what a telephone or a word processor types


class Kind(Enum):
    """What a token is."""

    NUMBER = auto()
    DICE = auto()
    OPERATOR = auto()
    OPEN = auto()
    CLOSE = auto()
    MODIFIER = auto()
    COMPARE = auto()
    LABEL = auto()
    COMMENT = auto()
    WORD = auto()
    FOREIGN = auto()  # notation that is known and refused so far
    END = auto()


class Token(NamedTuple):
    """A piece of the text.

    Attributes:
        kind: What it is.
        text: As typed; empty at the end.
        position: 0-based letter where it starts.
        is_spaced: Whether a blank stands before it.
    """

    kind: Kind
    text: str
    position: int
    is_spaced: bool

    @property
    def end(self) -> int:
        """0-based letter behind it."""
        return self.position + len(self.text)


def _longest_first(names: frozenset[str] | tuple[str, ...]) -> str:
    return "|".join(sorted(names, key=lambda name: (-len(name), name)))


_FLAGS: Final = re.VERBOSE | re.IGNORECASE | re.ASCII
_ANYWHERE: Final = r"""
    | (?P<COMMENT> \#.* | /\*.* )
    | (?P<OPERATOR> \*\*|//|[-+*/%^] )
    | (?P<OPEN> \( )
    | (?P<CLOSE> \) )
    | (?P<FOREIGN> \[\[ | [{},@] )
"""
_OPERAND: Final = re.compile(
    rf"""
      (?P<DICE> \d+ d (?:\d+ | % | f(?:\.[12])?)? | d (?: \d+ | % | f(?:\.[12]|(?![a-z])) | (?![a-z]) ) )
    | (?P<NUMBER> \d+ (?:\.\d+)? )
    | (?P<WORD> [a-z]+ )
    {_ANYWHERE}
    """,
    _FLAGS | re.DOTALL,
)
_BEHIND: Final = re.compile(
    rf"""
      (?P<NUMBER> \d+ )
    | (?P<MODIFIER> !!?p?o? | {_longest_first(MODIFIERS)} )
    | (?P<COMPARE> [<>=]= | <> | [<>=] )
    {_ANYWHERE}
    | (?P<LABEL> \[ [^\]]* \] )
    """,
    _FLAGS | re.DOTALL,
)
_BEFORE_OPERAND: Final = frozenset({Kind.OPERATOR, Kind.OPEN, Kind.FOREIGN})
_BLANKS: Final = re.compile(r"\s*")
_LETTERS: Final = re.compile(r"[a-z]+", _FLAGS)
_CALL: Final = re.compile(rf"(?:{_longest_first(FUNCTIONS)})\s*\(", _FLAGS)
_STARTS: Final = re.compile(rf"\s*(?: [\d(+\-@{{] | \[\[ | d(?:[\d%(\[] | f(?![a-z])) | {_CALL.pattern} )", _FLAGS)

# Letters that are modifiers run together. None of them needs a number, and a keep is not run together with
# more letters (`kx3`): so `str` and `dex` are words, and `rex` is not clear.
_KEEPS: Final = rf"(?:{_longest_first(_KEEP_NAMES)})(?![a-z])"
_MODIFIER_CHAIN: Final = re.compile(rf"(?:{_longest_first(_LONE_NAMES)}|{_KEEPS})+", _FLAGS)


def starts_operand(text: str, position: int) -> bool:
    """Whether a number, dice or a bracket could start here, behind blanks."""
    return _STARTS.match(text, position) is not None


def tokens(text: str, position: int = 0) -> Iterator[Token]:
    """The tokens from a position on; END comes last, once.

    Raises:
        DiceSyntaxError: a letter that starts nothing.
        DiceAmbiguousError: a word that may be modifiers or a comment.
        DiceUnclosedError: a label or a comment without its end.
    """
    last: Token | None = None
    while True:
        blanks_end = _end_of_blanks(text, position)
        last = _next_token(text, blanks_end, last, is_spaced=blanks_end > position)
        yield last
        if last.kind is Kind.END:
            return
        position = last.end


def _end_of_blanks(text: str, position: int) -> int:
    found = _BLANKS.match(text, position)
    return found.end() if found else position


def _next_token(text: str, at: int, last: Token | None, *, is_spaced: bool) -> Token:
    if at == len(text):
        return Token(Kind.END, "", at, is_spaced)
    if last is None or last.kind in _BEFORE_OPERAND:
        return _matched(_OPERAND, text, at, is_spaced=is_spaced)
    if is_spaced and _is_comment_word(text, at):
        return Token(Kind.COMMENT, text[at:], at, is_spaced)
    if text.startswith("//", at) and text[at + 2 :].strip() and not starts_operand(text, at + 2):
        return Token(Kind.COMMENT, text[at:], at, is_spaced)
    if text.startswith("!=", at) and (is_spaced or _takes_point(last)):
        return Token(Kind.COMPARE, "!=", at, is_spaced)
    return _matched(_BEHIND, text, at, is_spaced=is_spaced)


def _takes_point(token: Token) -> bool:
    return token.kind is Kind.MODIFIER and token.text.lower() not in ("!", "adv", "dis", "advantage", "disadvantage")


def _matched(pattern: re.Pattern[str], text: str, at: int, *, is_spaced: bool) -> Token:
    found = pattern.match(text, at)
    if found is None or found.lastgroup is None:
        raise _unknown(text, at)
    token = Token(Kind[found.lastgroup], found[0], at, is_spaced)
    return _closed_comment(text, token) if token.text.startswith("/*") else token


def _closed_comment(text: str, token: Token) -> Token:
    """The comment, which has to end where the text ends."""
    typed = token.text.rstrip()
    if "*/" not in typed[2:]:
        raise DiceUnclosedError(
            text, token.position, f'"/*" at letter {token.position + 1} is never closed.', end=len(text)
        )
    end = typed.index("*/", 2) + 2
    if end < len(typed):
        raise DiceSyntaxError(text, token.position + end, "A comment stands only at the end.")
    return token


def _unknown(text: str, at: int) -> DiceSyntaxError | DiceUnclosedError:
    letter = text[at]
    if letter == "[" and "]" not in text[at:]:
        return DiceUnclosedError(text, at, f'"[" at letter {at + 1} is never closed.', end=len(text))
    suggestion = f"Did you mean {quoted(_LIKELY[letter])}?" if letter in _LIKELY else ""
    return DiceSyntaxError(text, at, f"Unexpected {quoted(letter)}.", suggestion)


def _is_comment_word(text: str, at: int) -> bool:
    """Whether a comment starts with this word; what the comment may not hold is for later."""
    if text[at] in "\"'":
        return True
    if not text[at].isalpha():
        return False
    found = _LETTERS.match(text, at)
    word = found[0] if found else ""
    behind = text[at + len(word) : at + len(word) + 1]
    if behind.isalpha():  # letters beyond a-z: no notation has them
        return True
    if word.lower() in MODIFIERS or _CALL.match(text, at):
        return False
    if _MODIFIER_CHAIN.fullmatch(word):
        suggestion = "Write # before a comment, or the modifiers apart."
        raise DiceAmbiguousError(text, at, f"{quoted(word)} may be modifiers or a comment.", suggestion)
    return True
