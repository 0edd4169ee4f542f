"""What is being done, for whom and until when."""

from __future__ import annotations

from contextvars import ContextVar, Token
from dataclasses import dataclass

from ttrpg_mcp.recovery.deadline import Deadline

__all__ = ["OperationContext", "current_operation", "enter_operation", "leave_operation"]


@dataclass(frozen=True, slots=True)
class OperationContext:
    """One operation as the policies see it.

    Attributes:
        operation: Its name, for people and metrics.
        op_class: The class whose numbers apply; empty if none does.
        compartment: Whose slots it takes at the gate; empty takes none.
        dependency: What it calls: the key of its breaker and of its dependency slots.
        principal: Who asked; empty if nobody did.
        deadline: When it must have ended; None leaves it to the limits around it.
        request_key: Names the request, so that repeating it is harmless; None without one.
        idempotent: Whether repeating it is harmless by nature.
        attempt: 1-based number of the try.
        trace_id: Joins its events and log lines; empty if there is none.
    """

    operation: str
    op_class: str = ""
    compartment: str = ""
    dependency: str = ""
    principal: str = ""
    deadline: Deadline | None = None
    request_key: str | None = None
    idempotent: bool = False
    attempt: int = 1
    trace_id: str = ""

    def __post_init__(self) -> None:
        if self.attempt < 1:
            raise ValueError(f"attempt is counted from 1, not {self.attempt}")

    @property
    def is_repeatable(self) -> bool:
        """Whether the operation may be sent again although it may have happened."""
        return self.idempotent or self.request_key is not None


_current: ContextVar[OperationContext | None] = ContextVar("recovery_operation", default=None)


def current_operation() -> OperationContext | None:
    """The operation that the gate let in around the caller; None outside of one."""
    return _current.get()


def enter_operation(operation: OperationContext) -> Token[OperationContext | None]:
    """Make it the current operation; give the token to leave_operation in the same task."""
    return _current.set(operation)


def leave_operation(token: Token[OperationContext | None]) -> None:
    """Restore the operation that was current before."""
    _current.reset(token)
