"""What stands in for an answer when the work failed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

from ttrpg_mcp.recovery.clock import Clock
from ttrpg_mcp.recovery.deadline import Deadline, within
from ttrpg_mcp.recovery.events import Events
from ttrpg_mcp.recovery.fault import Classify, ErrorClass, EventName, classify_builtin, unwrap
from ttrpg_mcp.recovery.options import require_seconds

__all__ = ["FALLBACK_LIMIT_S", "Fallback", "FallbackAction"]

T = TypeVar("T")

FallbackAction = Callable[[Exception], Awaitable[T]]
"""Gives an answer from local means only; it gets the error as it was raised."""

FALLBACK_LIMIT_S = 0.5
"""How long all fallbacks of one call may take together, unless told otherwise."""

_NEVER_FOR = frozenset({ErrorClass.CALLER, ErrorClass.CRITICAL})


class Fallback(Generic[T]):
    """Named stand-ins, tried in order until one gives an answer.

    They never stand in for the caller's mistakes, for critical errors (security among them) or for cancellation.
    """

    __slots__ = ("_actions", "_classify", "_clock", "_events", "_limit_s")

    def __init__(
        self,
        names: Sequence[str],
        actions: Mapping[str, FallbackAction[T]],
        *,
        clock: Clock,
        classify: Classify = classify_builtin,
        limit_s: float = FALLBACK_LIMIT_S,
        events: Events | None = None,
    ) -> None:
        """Resolve the names among the actions; limit_s is above 0.

        Raises:
            ValueError: there is no name, or one that no action has.
        """
        unknown = [name for name in names if name not in actions]
        if unknown or not names:
            raise ValueError(f"no fallback is called {', '.join(unknown)}" if unknown else "a fallback needs a name")
        require_seconds("limit_s", limit_s, above=0)
        self._actions = tuple((name, actions[name]) for name in names)
        self._clock = clock
        self._classify = classify
        self._limit_s = limit_s
        self._events = events or Events(clock)

    def handles(self, error: Exception) -> bool:
        """Whether an answer may stand in for this error."""
        return self._classify(unwrap(error)) not in _NEVER_FOR

    async def run(self, error: Exception) -> T:
        """The first answer that a stand-in gives.

        Raises:
            Exception: error itself, if nothing may stand in for it, or with a note for each stand-in that failed.
        """
        if not self.handles(error):
            raise error
        ends = Deadline.after(self._limit_s, self._clock)
        for name, action in self._actions:
            try:
                with within(self._clock, ends.remaining_s(), "total"):
                    answer = await action(error)
            except Exception as failure:  # noqa: BLE001 - only the original error counts; this one becomes its note.
                error.add_note(f"the fallback {name} failed as well: {failure!r}")
            else:
                self._events.emit(EventName.FALLBACK_USED, outcome=name, error=error)
                return answer
        raise error
