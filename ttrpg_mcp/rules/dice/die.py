"""One die of a finished roll."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias

__all__ = ["Die", "Origin", "die"]

Origin: TypeAlias = Literal["explode", "reroll", "unique", "add"]


@dataclass(frozen=True, slots=True)
class Die:
    """A die that was drawn.

    Attributes:
        value: What it counts; of a counted die its face.
        faces: How many sides, or "F".
        kept: Whether it counts at all.
        term: 0-based place of its dice term in the expression.
        face: The natural face, where a clamp changed the value.
        origin: Why it was drawn, where it was not asked for: another die exploded or was rerolled.
        rerolled: Whether a new die took its place.
        exploded: Whether it brought a new die.
        success: Whether it counts as a success.
        failure: Whether it takes a success away.
    """

    value: int
    faces: int | str
    kept: bool = True
    term: int = 0
    face: int | None = None
    origin: Origin | None = None
    rerolled: bool = False
    exploded: bool = False
    success: bool = False
    failure: bool = False

    def as_data(self) -> dict[str, object]:
        """The wire form: value, faces and kept, and of the rest only what applies. A missing term is 0.

        >>> Die(5, 6).as_data()
        {'value': 5, 'faces': 6, 'kept': True}
        """
        marks = {
            "face": self.face,
            "from": self.origin,
            "rerolled": self.rerolled,
            "exploded": self.exploded,
            "success": self.success,
            "failure": self.failure,
            "term": self.term or None,
        }
        applying = {name: mark for name, mark in marks.items() if mark is not None and mark is not False}
        return {"value": self.value, "faces": self.faces, "kept": self.kept, **applying}


# Equal dice are one object: a thousand d6 make twelve dice at most, and frozen values may be shared.
die: Final = lru_cache(maxsize=4096)(Die)
