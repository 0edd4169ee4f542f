"""One dice term: draws its dice and runs its modifiers over them.

The order of draws is part of the interface: all dice of the term, then the modifiers as written; a modifier walks the
dice from the left, and one die's chain of explosions or rerolls ends before the next die is touched.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from ttrpg_mcp.rules.dice.chance import Chance
from ttrpg_mcp.rules.dice.die import Die, Origin, die
from ttrpg_mcp.rules.dice.errors import DiceTooManyError
from ttrpg_mcp.rules.dice.limits import Limits
from ttrpg_mcp.rules.dice.tree import Clamp, Count, Dice, Explode, Fate, Keep, Reroll

__all__ = ["Source", "Throw", "throw"]

_FATE_FACES: Final = 6


@dataclass(frozen=True, slots=True)
class Throw:
    """What a dice term came to.

    Attributes:
        value: The sum of the kept dice, or successes minus failures.
        dice: Every die drawn, in order; a new die stands right after the one that caused it.
        failures: How many dice took a success away; None where none could.
    """

    value: int
    dice: tuple[Die, ...]
    failures: int | None = None


class Source:
    """Draws faces for one roll, within its budget of dice.

    Attributes:
        limits: What the roll is held to.
        drawn: How many dice were drawn so far.
        notes: In the order in which they came up, each once.
    """

    def __init__(self, chance: Chance, text: str, limits: Limits, left_for_repeats: int) -> None:
        self.limits = limits
        self.drawn = 0
        self.notes: dict[str, None] = {}
        self._chance = chance
        self._text = text
        self._left_for_repeats = left_for_repeats
        self._most = min(limits.dice, left_for_repeats)

    def draw(self, count: int, dice: Dice) -> list[int]:
        """Count faces of a die.

        Raises:
            DiceTooManyError: explosions and rerolls would pass the limit of a roll, or of all repeats together.
        """
        self.drawn += count
        if self.drawn > self._most:
            raise self._too_many(dice.position)
        if isinstance(dice.sides, Fate):
            faces = dice.sides.value
            return [faces[index - 1] for index in self._chance.draw(count, _FATE_FACES)]
        return self._chance.draw(count, dice.sides)

    def _too_many(self, position: int) -> DiceTooManyError:
        limit = f"{self.limits.dice:,} per roll"
        if self._left_for_repeats < self.limits.dice:
            limit = f"{self.limits.repeated_dice:,} over all repeats"
        problem = f"Explosions and rerolls need more dice; the limit is {limit}."
        return DiceTooManyError(self._text, position, problem, "Roll fewer dice at once.")


def throw(dice: Dice, term: int, source: Source) -> Throw:
    """Roll a dice term; term is its 0-based place in the expression."""
    drawn = source.draw(dice.count, dice) if dice.count else []
    faces = "F" if isinstance(dice.sides, Fate) else dice.sides
    if not dice.modifiers:
        return Throw(sum(drawn), tuple([die(value, faces, True, term) for value in drawn]))  # noqa: FBT003 - for speed
    pool = _Pool(dice, [_LiveDie(value) for value in drawn], source)
    pool.modify()
    value, failures = pool.counted() if dice.is_pool else (pool.sum(), None)
    return Throw(value, tuple([live.frozen(faces, term) for live in pool.dice]), failures)


class _LiveDie:
    """A die while its modifiers run. Marks are class attributes until they are set: most dice have none."""

    kept = True
    face: int | None = None
    origin: Origin | None = None
    rerolled = False
    exploded = False
    success = False
    failure = False

    def __init__(self, value: int) -> None:
        self.value = value

    def frozen(self, faces: int | str, term: int) -> Die:
        return die(
            self.value,
            faces,
            self.kept,
            term,
            self.face,
            self.origin,
            self.rerolled,
            self.exploded,
            self.success,
            self.failure,
        )


_Mark: TypeAlias = Callable[[_LiveDie], Origin]
_Meets: TypeAlias = Callable[[int], bool]


class _Pool:
    """The dice of one term on the table."""

    def __init__(self, term: Dice, dice: list[_LiveDie], source: Source) -> None:
        self.dice = dice
        self._term = term
        self._source = source

    def modify(self) -> None:
        """Run all modifiers but the counts."""
        for modifier in self._term.modifiers:
            match modifier:
                case Keep():
                    self._keep(modifier)
                case Clamp():
                    self._clamp(modifier)
                case Reroll():
                    limit = 1 if modifier.once else self._source.limits.chain
                    self._chain(modifier.meets, limit, self._rerolled)
                case Explode():
                    self._chain(modifier.point.meets, self._source.limits.chain, self._exploded)
                case Count():
                    pass

    def sum(self) -> int:
        """What the kept dice show."""
        return sum([live.value for live in self.dice if live.kept])

    def counted(self) -> tuple[int, int | None]:
        """Successes minus failures, and the failures where there can be some; a die counts once, however it fits."""
        counts = [modifier for modifier in self._term.modifiers if isinstance(modifier, Count)]
        for count in counts:
            for live in self._kept():
                if count.point.meets(live.value):
                    live.failure, live.success = live.failure or count.is_failure, live.success or not count.is_failure
        successes, failures = sum(live.success for live in self.dice), sum(live.failure for live in self.dice)
        can_fail = any(count.is_failure for count in counts)
        return successes - failures, failures if can_fail else None

    def _kept(self) -> list[_LiveDie]:
        return [live for live in self.dice if live.kept]

    def _keep(self, keep: Keep) -> None:
        kept = self._kept()
        count = keep.count if keep.name in ("kh", "kl") else max(0, len(kept) - keep.count)
        # To drop the lowest is to keep the highest. The sort is stable: of equal dice the earliest stays.
        ranked = sorted(kept, key=lambda live: live.value, reverse=keep.name in ("kh", "dl"))
        for live in ranked[count:]:
            live.kept = False

    def _clamp(self, clamp: Clamp) -> None:
        choose: Callable[[int, int], int] = max if clamp.name == "mi" else min
        for live in self._kept():
            value = choose(live.value, clamp.value)
            if value != live.value:
                live.face, live.value = live.value if live.face is None else live.face, value

    def _chain(self, meets: _Meets, limit: int, mark: _Mark) -> None:
        """A new die for each kept die that fits, and for the new one again, up to the limit."""
        grown: list[_LiveDie] = []
        for live in self.dice:
            grown.append(live)
            if live.kept:
                grown.extend(self._links(live, meets, limit, mark))
        self.dice = grown

    def _links(self, live: _LiveDie, meets: _Meets, limit: int, mark: _Mark) -> Iterator[_LiveDie]:
        for _ in range(limit):
            if not meets(live.value):
                return
            origin = mark(live)
            live = _LiveDie(self._source.draw(1, self._term)[0])
            live.origin = origin
            yield live
        if limit > 1 and meets(live.value):
            self._source.notes[f"A die reached the limit of {limit} explosions or rerolls; it stopped there."] = None

    @staticmethod
    def _rerolled(live: _LiveDie) -> Origin:
        live.kept, live.rerolled = False, True
        return "reroll"

    @staticmethod
    def _exploded(live: _LiveDie) -> Origin:
        live.exploded = True
        return "explode"
