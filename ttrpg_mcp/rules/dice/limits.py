"""How large a roll may be, and how long its text."""

from dataclasses import astuple, dataclass
from typing import Final

__all__ = ["DEFAULT_LIMITS", "HARD_NESTING", "HARD_TEXT", "Limits"]

HARD_TEXT: Final = 2_000  # letters; no Limits can allow more
HARD_NESTING: Final = 64  # brackets; the tree is walked by recursion, and Python's own stack is finite


@dataclass(frozen=True, slots=True)
class Limits:
    """The size of what is rolled. Each limit is the largest value that is still allowed.

    Attributes:
        text: Letters of an expression, 1..HARD_TEXT.
        dice: Dice of one roll, with everything that explosions and rerolls add.
        sides: Sides of a die.
        repeats: How often one expression is rolled in one go.
        repeated_dice: Dice times repeats.
        chain: Explosions, or rerolls, that start from one die; then it stops with a note.
        digits: Digits of a number as typed.
        value: Magnitude of every value on the way to the total.
        nesting: Brackets within brackets, 1..HARD_NESTING.
        nodes: Numbers, dice, modifiers and brackets of one expression.

    Raises:
        ValueError: a limit below 1, or a text or nesting beyond what the parser can promise.
    """

    text: int = 500
    dice: int = 1_000
    sides: int = 1_000_000
    repeats: int = 100
    repeated_dice: int = 10_000
    chain: int = 100
    digits: int = 15
    value: int = 10**15
    nesting: int = 32
    nodes: int = 200

    def __post_init__(self) -> None:
        if min(astuple(self)) < 1:
            raise ValueError("every limit is at least 1")
        if self.text > HARD_TEXT or self.nesting > HARD_NESTING:
            raise ValueError(f"text is at most {HARD_TEXT} and nesting at most {HARD_NESTING}")


DEFAULT_LIMITS: Final = Limits()
