"""One stream of events: numbered, stamped, and told to every listener."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from ttrpg_mcp.recovery.clock import Clock
from ttrpg_mcp.recovery.context import OperationContext, current_operation
from ttrpg_mcp.recovery.fault import EventName, EventSeverity, Listener, RecoveryEvent, unwrap

__all__ = ["Events"]

_log = logging.getLogger(__name__)
_NOBODY = OperationContext("")

# How loudly, who speaks, and whether the caller may still get an answer.
_KINDS: dict[EventName, tuple[EventSeverity, str, bool]] = {
    EventName.ATTEMPT: (EventSeverity.INFO, "retry", True),
    EventName.RETRY_SCHEDULED: (EventSeverity.WARNING, "retry", True),
    EventName.RETRIES_EXCEEDED: (EventSeverity.ERROR, "retry", False),
    EventName.BREAKER_OPENED: (EventSeverity.ERROR, "circuit_breaker", False),
    EventName.BREAKER_HALF_OPENED: (EventSeverity.WARNING, "circuit_breaker", True),
    EventName.BREAKER_CLOSED: (EventSeverity.INFO, "circuit_breaker", True),
    EventName.BREAKER_ISOLATED: (EventSeverity.WARNING, "circuit_breaker", False),
    EventName.BREAKER_REJECTED: (EventSeverity.WARNING, "circuit_breaker", False),
    EventName.BREAKER_PROBE_LOST: (EventSeverity.WARNING, "circuit_breaker", False),
    EventName.BULKHEAD_QUEUED: (EventSeverity.INFO, "bulkhead", True),
    EventName.BULKHEAD_REJECTED: (EventSeverity.WARNING, "bulkhead", False),
    EventName.TIMEOUT: (EventSeverity.WARNING, "deadline", False),
    EventName.FALLBACK_USED: (EventSeverity.WARNING, "fallback", True),
}


def _class_name(error: BaseException) -> str:
    return type(error).__name__


class Events:
    """Where the policies report what they do.

    Without listeners an event costs one comparison and is never built.
    """

    __slots__ = ("_clock", "_code_of", "_listeners", "_seq")

    def __init__(
        self, clock: Clock, listeners: Iterable[Listener] = (), code_of: Callable[[BaseException], str] = _class_name
    ) -> None:
        self._clock = clock
        self._listeners = tuple(listeners)
        self._code_of = code_of
        self._seq = 0

    @property
    def has_listeners(self) -> bool:
        """Whether anybody hears events."""
        return bool(self._listeners)

    def subscribe(self, listener: Listener) -> None:
        """Tell this listener every event from now on."""
        self._listeners = (*self._listeners, listener)

    def emit(
        self,
        name: EventName,
        *,
        operation: OperationContext | None = None,
        dependency: str | None = None,
        attempt: int = 0,
        outcome: str = "",
        duration_s: float | None = None,
        error: BaseException | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        """Tell every listener; without operation it is the current one, without dependency that of the operation."""
        if not self._listeners:
            return
        about = operation or current_operation() or _NOBODY
        severity, strategy, handled = _KINDS[name]
        self._seq += 1
        event = RecoveryEvent(
            ts=self._clock.wall(),
            seq=self._seq,
            name=name,
            severity=severity,
            operation=about.operation,
            op_class=about.op_class,
            compartment=about.compartment,
            dependency=about.dependency if dependency is None else dependency,
            strategy=strategy,
            attempt=attempt,
            handled=handled,
            outcome=outcome,
            duration_s=duration_s,
            error_code=None if error is None else self._code_of(unwrap(error)),
            retry_after_s=retry_after_s,
            trace_id=about.trace_id,
        )
        self._tell(event)

    def _tell(self, event: RecoveryEvent) -> None:
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:  # noqa: BLE001 - listeners are guests here: whatever one raises, the work goes on.
                _log.exception("a listener failed at event %s", event.name)
