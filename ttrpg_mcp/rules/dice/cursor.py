"""The parser's place in the text, and what every part of the parser says about it."""

from ttrpg_mcp.rules.dice.errors import DiceError, DiceSyntaxError, DiceTooBigError, quoted
from ttrpg_mcp.rules.dice.limits import Limits
from ttrpg_mcp.rules.dice.tokens import Kind, Token, tokens

__all__ = ["Cursor"]


class Cursor:
    """One token ahead in the text; counts the parts and collects the notes.

    Attributes:
        text: As typed.
        limits: What the text is held to.
        token: The next token, not yet taken.
        last: The token before it; None at the start.
        notes: In the order in which they came up, each once.
    """

    def __init__(self, text: str, start: int, limits: Limits) -> None:
        self.text = text
        self.limits = limits
        self.last: Token | None = None
        self.notes: dict[str, None] = {}
        self._start = start
        self._tokens = tokens(text, start)
        self._parts = 0
        self.token = next(self._tokens)

    def advance(self) -> Token:
        """Take the next token; the end stays the end."""
        taken = self.token
        if taken.kind is not Kind.END:
            self.last = taken
            self.token = next(self._tokens)
        return taken

    def is_at(self, *kinds: Kind) -> bool:
        """Whether the next token is of one of these kinds."""
        return self.token.kind in kinds

    def note(self, sentence: str) -> None:
        """Remember a reading that another program would have made differently."""
        self.notes[sentence] = None

    def count_part(self) -> None:
        """Count one more number, term, modifier or bracket."""
        self._parts += 1
        if self._parts > self.limits.nodes:
            problem = f"The expression has more than {self.limits.nodes} parts; that is the limit."
            raise DiceTooBigError(self.text, self.token.position, problem)

    def whole_number(self, digits: str, position: int) -> int:
        """The number that these digits write."""
        if len(digits) > self.limits.digits:
            problem = f"A number of {len(digits)} digits; the limit is {self.limits.digits}."
            raise DiceTooBigError(self.text, position, problem)
        return int(digits)

    def unexpected(self, expected: str, suggestion: str = "") -> DiceError:
        """The error for a next token that cannot stand here; expected is a phrase such as "a number"."""
        if self.is_at(Kind.END, Kind.COMMENT):
            return self._missing(expected, suggestion)
        after = f" after {quoted(self.last.text)}" if self.last else ""
        problem = f"Unexpected {quoted(self.token.text)}{after}: {expected} is expected."
        return DiceSyntaxError(self.text, self.token.position, problem, suggestion)

    def _missing(self, expected: str, suggestion: str) -> DiceError:
        before = self.last.text if self.last else self.text[: self._start].strip()
        position = self.last.end if self.last else self._start
        problem = f"The expression ends after {quoted(before)}: {expected} is missing."
        return DiceSyntaxError(self.text, position, problem, suggestion)
