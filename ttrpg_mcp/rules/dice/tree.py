"""The frozen tree of an expression: what a text means, without how it was spelled."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction
from typing import Final, Literal, TypeAlias

__all__ = [
    "Bounds",
    "Chain",
    "Clamp",
    "Compare",
    "Count",
    "Dice",
    "Explode",
    "Expression",
    "Fate",
    "Keep",
    "Labelled",
    "Modifier",
    "Negate",
    "Node",
    "Number",
    "Reroll",
    "Step",
    "Value",
    "dice_in",
    "map_dice",
    "unmet",
]

Value: TypeAlias = int | Fraction

_MEETS: Final[dict[str, Callable[[int, int], bool]]] = {
    "=": lambda face, value: face == value,
    "<>": lambda face, value: face != value,
    "<": lambda face, value: face < value,
    "<=": lambda face, value: face <= value,
    ">": lambda face, value: face > value,
    ">=": lambda face, value: face >= value,
}


class Fate(Enum):
    """A die of pluses and minuses; the value lists its six faces, in the order in which they are indexed."""

    EVEN = (-1, -1, 0, 0, 1, 1)  # dF, dF.2
    RARE = (-1, 0, 0, 0, 0, 1)  # dF.1


@dataclass(frozen=True, slots=True)
class Compare:
    """A compare point, such as `>=8`.

    Attributes:
        operator: `=`, `<>`, `<`, `<=`, `>` or `>=`; the last four as strict as they look.
        value: What a face is compared with.
    """

    operator: str
    value: int

    def meets(self, face: int) -> bool:
        """Whether the face fits."""
        return _MEETS[self.operator](face, self.value)


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep (`kh`, `kl`) or drop (`dh`, `dl`) the count highest or lowest; of equal dice the earliest is kept."""

    name: Literal["kh", "kl", "dh", "dl"]
    count: int
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Reroll:
    """Replace each die that fits any of the points by a new one, once or until it fits none of them."""

    points: tuple[Compare, ...]
    once: bool
    position: int = field(default=0, compare=False)

    def meets(self, face: int) -> bool:
        """Whether the face is one to reroll."""
        return any(point.meets(face) for point in self.points)


@dataclass(frozen=True, slots=True)
class Explode:
    """One more die for each die that fits, again and again."""

    point: Compare
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Clamp:
    """A lower (`mi`) or higher (`ma`) value counts as this value."""

    name: Literal["mi", "ma"]
    value: int
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Count:
    """Count the dice that fit, in place of adding them; a failure takes one away."""

    point: Compare
    is_failure: bool = False
    position: int = field(default=0, compare=False)


Modifier: TypeAlias = Keep | Reroll | Explode | Clamp | Count


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written."""

    value: Value


@dataclass(frozen=True, slots=True)
class Dice:
    """Some equal dice and what is done with them.

    Attributes:
        count: How many, 0 or more.
        sides: How many sides from 1 up, or which Fate die.
        modifiers: As written, from the left. Counting comes last wherever it is written.
        position: 0-based letter where the term starts.
    """

    count: int
    sides: int | Fate
    modifiers: tuple[Modifier, ...] = ()
    position: int = field(default=0, compare=False)

    @property
    def lowest(self) -> int:
        """The lowest face."""
        return -1 if isinstance(self.sides, Fate) else 1

    @property
    def highest(self) -> int:
        """The highest face."""
        return 1 if isinstance(self.sides, Fate) else self.sides

    @property
    def name(self) -> str:
        """The kind of die: `d20`, `dF`."""
        return "dF" if isinstance(self.sides, Fate) else f"d{self.sides}"

    @property
    def is_pool(self) -> bool:
        """Whether the dice are counted, not added."""
        return any(isinstance(modifier, Count) for modifier in self.modifiers)


@dataclass(frozen=True, slots=True)
class Negate:
    """The operand with its sign turned."""

    operand: "Node"


@dataclass(frozen=True, slots=True)
class Step:
    """One operator of a chain and what stands to its right."""

    operator: str
    operand: "Node"
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Chain:
    """Operators of equal rank, worked off from the left: a sum (`+ -`) or a product (`* / // %`).

    A flat chain keeps the tree as shallow as its brackets, so that two hundred terms need no deep recursion.
    """

    first: "Node"
    steps: tuple[Step, ...]

    @property
    def is_sum(self) -> bool:
        """Whether this is a sum; else it is a product."""
        return self.steps[0].operator in ("+", "-")


@dataclass(frozen=True, slots=True)
class Labelled:
    """A term that belongs to a label, such as a kind of damage."""

    operand: "Node"
    label: str


Node: TypeAlias = Number | Dice | Negate | Chain | Labelled


@dataclass(frozen=True, slots=True)
class Bounds:
    """The lowest and the highest value that a node can take.

    Attributes:
        low: None where there is no lowest value, or where it is not known.
        high: None where dice explode, or where it is not known.
        is_whole: Whether every value between is a whole number.
    """

    low: Value | None
    high: Value | None
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed and checked text.

    Attributes:
        root: The tree.
        text: As typed.
        bounds: Of the total, before rolling.
        times: From a prefix such as `6x`; 1 without.
        comment: What stood behind the notation; may be empty.
        notes: Every reading that another program would have made differently.
        has_labels: Whether any term belongs to a label.
    """

    root: Node
    text: str
    bounds: Bounds
    times: int = 1
    comment: str = ""
    notes: tuple[str, ...] = ()
    has_labels: bool = False


def unmet(points: Sequence[Compare], lowest: int, highest: int) -> list[int]:
    """Faces of lowest..highest that fit no point, ascending: the ends of each run of them; empty if every face fits.

    >>> unmet([Compare("=", 1), Compare(">=", 5)], 1, 6)
    [2, 4]
    """
    near = {point.value + step for point in points for step in (-1, 0, 1)}
    ends = {lowest, highest, *(face for face in near if lowest <= face <= highest)}
    return [face for face in sorted(ends) if not any(point.meets(face) for point in points)]


def dice_in(node: Node) -> Iterator[Dice]:
    """The dice terms of a tree, from the left."""
    match node:
        case Dice():
            yield node
        case Negate() | Labelled():
            yield from dice_in(node.operand)
        case Chain():
            yield from dice_in(node.first)
            for step in node.steps:
                yield from dice_in(step.operand)
        case Number():
            return


def map_dice(node: Node, change: Callable[[Dice], Node]) -> Node:
    """The tree with every dice term changed."""
    match node:
        case Dice():
            return change(node)
        case Negate() | Labelled():
            return replace(node, operand=map_dice(node.operand, change))
        case Chain():
            steps = tuple(replace(step, operand=map_dice(step.operand, change)) for step in node.steps)
            return Chain(map_dice(node.first, change), steps)
        case Number():
            return node
