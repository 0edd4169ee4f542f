"""Bounded maps from keys to policies that are made on first use."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import TypeVar

__all__ = ["MAX_KEYS", "Registry"]

V = TypeVar("V")

MAX_KEYS = 1024
"""How many keys a registry keeps unless told otherwise."""


class Registry(Mapping[str, V]):
    """One policy per key, at most max_keys of them.

    As a mapping it shows what there is; of() makes what is missing. When it is full, the longest kept idle policy makes
    room. Use what of() gives before the next await, since an idle policy may be replaced at any later time.
    """

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        if max_keys < 1:
            raise ValueError(f"max_keys must be at least 1, not {max_keys}")
        self._max_keys = max_keys
        self._kept: dict[str, V] = {}

    def of(self, key: str) -> V:
        """The policy of this key; made now if it is missing."""
        kept = self._kept.get(key)
        return self._add(key) if kept is None else kept

    def __getitem__(self, key: str) -> V:
        return self._kept[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    @abstractmethod
    def _make(self, key: str) -> V:
        """A new policy for this key."""

    @abstractmethod
    def _is_idle(self, kept: V) -> bool:
        """Whether nothing would be lost if a new one took its place."""

    @abstractmethod
    def _make_without_room(self, key: str) -> V:
        """What of() gives, or raises, when every policy is in use."""

    def _add(self, key: str) -> V:
        if len(self._kept) >= self._max_keys and not self._evict_one():
            return self._make_without_room(key)
        made = self._kept[key] = self._make(key)
        return made

    def _evict_one(self) -> bool:
        idle = next((key for key, kept in self._kept.items() if self._is_idle(kept)), None)
        if idle is None:
            return False
        del self._kept[idle]
        return True
