"""The numbers that one transaction takes: `seq` for each change and roll, and the rolls' own."""

__all__ = ["Counters"]


class Counters:
    """A campaign's counters inside one transaction; they become true when it commits.

    Attributes:
        head_seq: Number of the newest change or roll, this transaction's own included; 0 in a new file.
        head_roll: Number of the newest roll, likewise.
        audiences: Who besides the game master may know something that this transaction wrote: "players", or
            "player:NAME".
    """

    __slots__ = ("_first_free", "audiences", "head_roll", "head_seq")

    def __init__(self, head_seq: int, head_roll: int) -> None:
        self.head_seq = head_seq
        self.head_roll = head_roll
        self.audiences: set[str] = set()
        self._first_free = head_seq + 1

    @property
    def seq_first(self) -> int | None:
        """The first `seq` that this transaction took, or None."""
        return self._first_free if self.head_seq >= self._first_free else None

    def take_seq(self, visibility: str) -> int:
        """The next `seq`, for something of that visibility."""
        self.head_seq += 1
        if visibility != "gm":
            self.audiences.add(visibility)
        return self.head_seq

    def take_roll(self) -> int:
        """The next roll number."""
        self.head_roll += 1
        return self.head_roll
