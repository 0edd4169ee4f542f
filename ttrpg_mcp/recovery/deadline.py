"""Time limits that travel inwards: an inner limit never has more time than the one around it."""

from __future__ import annotations

import math
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from ttrpg_mcp.recovery.clock import Clock, Limit
from ttrpg_mcp.recovery.errors import DeadlineExceeded, DeadlineScope

__all__ = ["Deadline", "Within", "current_deadline", "nearest", "within"]


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment at which work must have ended.

    Attributes:
        expires_at: That moment, in seconds of the clock's monotonic time.
        clock: The clock that expires_at was read from.
    """

    expires_at: float
    clock: Clock = field(compare=False, repr=False)

    def __post_init__(self) -> None:
        if math.isnan(self.expires_at):
            raise ValueError("expires_at must be a number")

    @classmethod
    def after(cls, limit_s: float, clock: Clock) -> Self:
        """The deadline limit_s seconds from now."""
        return cls(clock.monotonic() + limit_s, clock)

    def remaining_s(self) -> float:
        """Seconds left; negative once it has passed."""
        return self.expires_at - self.clock.monotonic()


_current: ContextVar[Deadline | None] = ContextVar("recovery_deadline", default=None)


def current_deadline() -> Deadline | None:
    """The deadline of the limits around the caller; None without one."""
    return _current.get()


def nearest(deadline: Deadline | None) -> Deadline | None:
    """The earlier one of this deadline and the current one; None if there is neither."""
    around = _current.get()
    if deadline is None or around is None:
        return deadline or around
    return deadline if deadline.expires_at <= around.expires_at else around


class Within:
    """A time limit in force; made by within()."""

    __slots__ = ("_limit", "_limit_s", "_outer", "_own", "_scope")

    def __init__(self, limit: Limit, own: Deadline | None, scope: DeadlineScope, limit_s: float) -> None:
        self._limit = limit
        self._own = own
        self._scope: DeadlineScope = scope
        self._limit_s = limit_s
        self._outer: Token[Deadline | None] | None = None

    @property
    def has_expired(self) -> bool:
        """Whether it ended its content, and so raised DeadlineExceeded itself."""
        return self._limit.cancelled_caught

    def __enter__(self) -> Self:
        self._limit.__enter__()
        self._outer = _current.set(self._own)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        if self._outer is not None:
            _current.reset(self._outer)
            self._outer = None
        self._limit.__exit__(exc_type, exc_val, exc_tb)
        # Only our own cancellation sets this. Content that ended well although it was late, a shielded commit for
        # instance, keeps its result; an inner TimeoutError and the caller's cancellation pass as they are.
        if self._limit.cancelled_caught:
            raise DeadlineExceeded(self._scope, self._limit_s) from None


def within(clock: Clock, limit_s: float | None, scope: DeadlineScope, *, shield: bool = False) -> Within:
    """A context manager that ends its content after limit_s seconds, or when the limit around it ends.

    None sets no limit of its own. With shield neither the cancellation nor the deadline around it counts: that is for
    work which must be finished, and needs a limit_s of its own.

    Raises (when it is left):
        DeadlineExceeded: the time was over. Its scope is "total" when it was the outer deadline that ended the work.
    """
    outer = None if shield else current_deadline()
    if limit_s is None:
        return Within(clock.limit(None, shield=shield), outer, scope, math.inf)
    own = Deadline.after(limit_s, clock)
    if outer is None or own.expires_at <= outer.expires_at:
        return Within(clock.limit(limit_s, shield=shield), own, scope, limit_s)
    remaining_s = outer.remaining_s()
    return Within(clock.limit(remaining_s), outer, "total", max(0.0, remaining_s))
