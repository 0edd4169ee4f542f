"""A finished roll."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from ttrpg_mcp.rules.dice.die import Die
from ttrpg_mcp.rules.dice.show import breakdown
from ttrpg_mcp.rules.dice.tree import Expression, Value

__all__ = ["Roll"]

_PLACES: Final = 6


@dataclass(frozen=True, slots=True)
class Roll:
    """What an expression came to, once.

    Attributes:
        expression: What was rolled.
        total: Exact.
        dice: Every die ever drawn, in draw order but that a new die stands right after the one that caused it.
        successes: Successes minus failures over all counted terms; None where nothing is counted.
        failures: How many of the dice took a success away; None where none could.
        by_label: Subtotal per label in order of appearance, "" for terms without; empty where there are no labels.
        notes: Readings that another program would have made differently, and limits that were hit.
    """

    expression: Expression
    total: Value
    dice: tuple[Die, ...]
    successes: int | None = None
    failures: int | None = None
    by_label: tuple[tuple[str, Value], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def natural(self) -> int | None:
        """The face of the one kept d20; None where there is not exactly one."""
        twenties = [die for die in self.dice if die.kept and die.faces == 20]
        if len(twenties) != 1:
            return None
        return twenties[0].value if twenties[0].face is None else twenties[0].face

    @property
    def crit(self) -> Literal["hit", "fumble"] | None:
        """What the natural face of a d20 means."""
        match self.natural:
            case 20:
                return "hit"
            case 1:
                return "fumble"
            case _:
                return None

    @property
    def minimum(self) -> Value | None:
        """The lowest total that was possible; None where it is not known."""
        return self.expression.bounds.low

    @property
    def maximum(self) -> Value | None:
        """The highest total that was possible; None where dice explode."""
        return self.expression.bounds.high

    @property
    def breakdown(self) -> str:
        """The roll on one line, such as `4d6kh3 (6, 5, 3, ~~1~~) + 2 = 16`."""
        return breakdown(self.expression.root, self.dice, self.total)

    def as_data(self, most_dice: int | None = None) -> dict[str, object]:
        """The wire form, ready for JSON; optional fields only where they apply.

        With more than most_dice dice, counts per kind of die and face stand in for the list.
        """
        exact = {} if isinstance(self.total, int) else {"exact": str(self.total)}
        optional = {
            "by_label": {label: _number(value) for label, value in self.by_label} or None,
            "natural": self.natural,
            "crit": self.crit,
        }
        return {
            "total": _number(self.total),
            **exact,
            **_present({"successes": self.successes, "failures": self.failures}),
            **_dice_data(self.dice, most_dice),
            **_present(optional),
            "min": None if self.minimum is None else _number(self.minimum),
            "max": None if self.maximum is None else _number(self.maximum),
            "breakdown": self.breakdown,
            "notes": list(self.notes),
        }


def _present(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _dice_data(dice: tuple[Die, ...], most_dice: int | None) -> dict[str, object]:
    if most_dice is None or len(dice) <= most_dice:
        return {"dice": [die.as_data() for die in dice]}
    return {"dice_counts": _dice_counts(dice), "dice_omitted": True}


def _dice_counts(dice: Iterable[Die]) -> dict[str, dict[str, int]]:
    """How often each face of each kind of die was drawn."""
    counter = Counter((die.faces, die.value if die.face is None else die.face) for die in dice)
    counts: dict[str, dict[str, int]] = {}
    for (faces, face), count in sorted(counter.items(), key=lambda item: (str(item[0][0]), item[0][1])):
        counts.setdefault(str(faces), {})[str(face)] = count
    return counts


def _number(value: Value) -> int | float:
    return value if isinstance(value, int) else round(float(value), _PLACES)
