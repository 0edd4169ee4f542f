"""What a comment may not hold: trailing text never swallows a part of the roll.

Behind `#`, and between `/*` and `*/`, everything is free. Any other comment is words alone: a number, an operator, or a
word that tells what to do with the dice would silently be left out of the roll.
"""

import re
from typing import Final
from unicodedata import name, normalize

from ttrpg_mcp.rules.dice.errors import DiceAmbiguousError, quoted
from ttrpg_mcp.rules.dice.tokens import MODIFIERS, Token

__all__ = ["swallowing"]

# Notation, and the words that people write in its place.
_INSTRUCTIONS: Final = {
    "1d20+5": "add added adding plus",
    "1d20-1": "minus subtract subtracted subtracting",
    "1d20+1dF": "df",
    "2d20kh1": "adv advantage",
    "2d20kl1": "dis disadvantage",
    "2d6*2": "double doubled doubling multiplied multiply quadruple quadrupled thrice times triple tripled twice",
    "2d6ro<3": "reroll rerolled rerolling rerolls ro rr",
    "4d6dl1": "dh dl drop dropped dropping drops without",
    "4d6kh3": "best highest keep keeping keeps kept kh take takes taking top",
    "4d6kl1": "bottom kl lowest worst",
    "6d6!": "explode exploded explodes exploding",
    "6x 4d6kh3": "repeat repeated",
    "8d6//2": "divide divided halve halved halves half halving",
}
_NOTATION_OF: Final = {word: notation for notation, words in _INSTRUCTIONS.items() for word in words.split()}
_WORD: Final = re.compile(r"[^\W\d_]+")
_HYPHENED: Final = re.compile(rf"{_WORD.pattern}(?:-{_WORD.pattern})*")
_NO_WORDS: Final = re.compile(
    r"""
      (?: [-+−*/×÷%^<>=@(\[{,]+ \s* )? \w* \d \w*  # a number, and the signs before it
    | [+−*×÷%^<>=@\[\]{}] \s* \w*                  # a sign that no sentence needs
    | (?<![^\W\d_]) [-/] \s* \w*                   # a hyphen or a slash that joins no words
    | [-/] (?![^\W\d_])
    """,
    re.VERBOSE,
)
# Cyrillic and Greek letters that look like the letters of the modifiers.
_LOOKALIKES: Final = str.maketrans("аекморѕтхһнԁігиеκορτχυι", "aekmopstxhhdiruekoptxui")
_INSTEAD: Final = "Write the whole roll first and # in front of a comment; a label is written [fire]."


def swallowing(text: str, comment: Token) -> DiceAmbiguousError | None:
    """The error for a comment that may hold a part of the roll; None for words alone."""
    if comment.text.startswith(("#", "/*")):
        return None
    words = comment.text.partition("#")[0]
    start = 2 if words.startswith("//") else 0
    found = _instruction(words) or _NO_WORDS.search(words, start) or _disguised(words)
    if found is None:
        return None
    problem = f"{quoted(found[0])} reads like a part of the roll, and as a comment it would do nothing."
    notation = _notation(found[0])
    instead = f"Write it as in {notation}, or # in front of a comment." if notation else _INSTEAD
    return DiceAmbiguousError(text, comment.position + found.start(), problem, instead)


def _instruction(words: str) -> re.Match[str] | None:
    return next((found for found in _HYPHENED.finditer(words) if _notation(found[0])), None)


def _notation(typed: str) -> str | None:
    """What an instruction stands for; of `re-roll` and `half-damage` the whole and each part are looked up."""
    parts = typed.lower().split("-")
    return next((_NOTATION_OF[part] for part in ("".join(parts), *parts) if part in _NOTATION_OF), None)


def _disguised(words: str) -> re.Match[str] | None:
    """The first word that could be notation in letters from elsewhere: `ａｄｖ`, or `kh` with a Cyrillic k."""
    first = _WORD.search(words)
    if first and not first[0].isascii() and first[0].lower().translate(_LOOKALIKES) in MODIFIERS:
        return first
    return next((found for found in _WORD.finditer(words) if _is_strange(found[0])), None)


def _is_strange(word: str) -> bool:
    """Whether a word has letters in another shape, or from more than one alphabet of which one is a-z."""
    if word.isascii():
        return False
    has_plain_letters = any(letter.isascii() for letter in word)
    is_latin = all(name(letter, "").startswith("LATIN") for letter in word)
    return (has_plain_letters and not is_latin) or normalize("NFC", word) != normalize("NFKC", word)
