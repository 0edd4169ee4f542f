"""A memory that forgets the oldest, for what may be lost with the process."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["MOST_REMEMBERED", "Memory"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MOST_REMEMBERED = 1_000


class Memory(Generic[K, V]):
    """The newest things under their keys, at most 1,000; the first thing under a key stays."""

    def __init__(self) -> None:
        self._kept: OrderedDict[K, V] = OrderedDict()

    def find(self, key: K) -> V | None:
        """What is kept under the key, or None."""
        return self._kept.get(key)

    def keep(self, key: K, value: V) -> V:
        """Keep the value, and give what is kept now: the first one, should the key be known."""
        kept = self._kept.setdefault(key, value)
        while len(self._kept) > MOST_REMEMBERED:
            self._kept.popitem(last=False)
        return kept
