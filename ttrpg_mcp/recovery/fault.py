"""The vocabulary of failure: what kinds there are, and the values that describe one.

The table that gives each exception class its row stands outside this package and is handed in as a Classify.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from ttrpg_mcp.recovery.errors import DeadlineExceeded

__all__ = [
    "Classify",
    "ErrorCategory",
    "ErrorClass",
    "ErrorSeverity",
    "EventName",
    "EventSeverity",
    "Fault",
    "Listener",
    "RecoveryEvent",
    "RecoveryStrategy",
    "classify_builtin",
    "lookup",
    "unwrap",
]

T = TypeVar("T")


class ErrorSeverity(StrEnum):
    """How much a failure takes away from the people who use the program."""

    CRITICAL = "critical"
    """Nothing can go on."""
    HIGH = "high"
    """A major feature is broken."""
    MEDIUM = "medium"
    """There is a way around it."""
    LOW = "low"
    """Cosmetic, or a slip of the caller."""


class ErrorCategory(StrEnum):
    """Where a failure comes from."""

    NETWORK = "network"
    DATA = "data"
    AUTH = "auth"
    INTEGRATION = "integration"
    SYSTEM = "system"
    RULES = "rules"


class ErrorClass(StrEnum):
    """What may be done about a failure."""

    TRANSIENT = "transient"
    """It may pass by itself: the same call may succeed a moment later."""
    PERSISTENT = "persistent"
    """It stays until something is repaired."""
    CRITICAL = "critical"
    """Going on would do harm."""
    CALLER = "caller"
    """The caller must change the request."""


Classify = Callable[[BaseException], ErrorClass]
"""Says what may be done about an error; it gets the error unwrapped and must neither suspend nor raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryStrategy:
    """One row of the recovery matrix.

    Attributes:
        code: The stable name of the failure, in capitals.
        error_class: What may be done about it.
        severity: How much it takes away.
        category: Where it comes from.
        recoverable: Whether the work can go on later without loss.
        strategy: Name of what is done; "none" if nothing is.
        max_retries: Tries after the first one, at least 0.
        fallback: Name of what stands in for the answer; "none" if nothing does.
    """

    code: str
    error_class: ErrorClass
    severity: ErrorSeverity
    category: ErrorCategory
    recoverable: bool
    strategy: str = "none"
    max_retries: int = 0
    fallback: str = "none"

    def __post_init__(self) -> None:
        if self.max_retries < 0:
            raise ValueError(f"max_retries must be at least 0, not {self.max_retries}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A failure that happened, classified and fit to be stored.

    Attributes:
        code: The stable name of the failure, in capitals.
        severity: How much it takes away.
        category: Where it comes from.
        error_class: What may be done about it.
        message: A sentence for the person who called.
        recoverable: Whether the work can go on later without loss.
        strategy: Name of what is done about it; "none" if nothing is.
        fallback: Name of what stands in for the answer; "none" if nothing does.
        retry_after_s: Seconds after which trying again is sensible; None if nobody knows.
        context: Facts without secrets; JSON values only.
        id: Names this one failure, for the log and for questions.
        at: When it happened, aware UTC.
        cause: The error behind it as text, for the operator only; None if there is none.
        compartment: Whose work failed; empty if nobody's in particular.
    """

    code: str
    severity: ErrorSeverity
    category: ErrorCategory
    error_class: ErrorClass
    message: str
    recoverable: bool
    id: str
    at: datetime
    strategy: str = "none"
    fallback: str = "none"
    retry_after_s: float | None = None
    context: Mapping[str, object] = field(default_factory=dict)
    cause: str | None = None
    compartment: str = ""


class EventSeverity(StrEnum):
    """How loudly an event should be told."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class EventName(StrEnum):
    """What the policies report."""

    ATTEMPT = "attempt"
    RETRY_SCHEDULED = "retry_scheduled"
    RETRIES_EXCEEDED = "retries_exceeded"
    BREAKER_OPENED = "breaker_opened"
    BREAKER_HALF_OPENED = "breaker_half_opened"
    BREAKER_CLOSED = "breaker_closed"
    BREAKER_ISOLATED = "breaker_isolated"
    BREAKER_REJECTED = "breaker_rejected"
    BREAKER_PROBE_LOST = "breaker_probe_lost"
    BULKHEAD_QUEUED = "bulkhead_queued"
    BULKHEAD_REJECTED = "bulkhead_rejected"
    TIMEOUT = "timeout"
    FALLBACK_USED = "fallback_used"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryEvent:
    """Something a policy did.

    Attributes:
        ts: When, aware UTC.
        seq: Number of the event in its stream, from 1 without gaps.
        name: What happened.
        severity: How loudly to tell it.
        operation: What was being done; empty if the policy cannot know.
        op_class: Its operation class; empty if unknown.
        compartment: Whose work it was; empty if unknown.
        dependency: What was called, or the key of the breaker or bulkhead.
        strategy: The policy that speaks: retry, circuit_breaker, bulkhead, deadline or fallback.
        attempt: 1-based number of the try; 0 if the event is not about one.
        handled: Whether the caller may still get an answer.
        outcome: "success" or "failure" of an attempt, the name of a fallback; else empty.
        duration_s: How long it took; None if it did not take time.
        error_code: Code of the error, or its class name where no codes are given; None without an error.
        retry_after_s: Seconds until the next try is made or sensible; None if nobody knows.
        trace_id: Joins the event to its call; empty if there is none.
    """

    ts: datetime
    seq: int
    name: EventName
    severity: EventSeverity
    operation: str
    op_class: str
    compartment: str
    dependency: str
    strategy: str
    attempt: int
    handled: bool
    outcome: str
    duration_s: float | None
    error_code: str | None
    retry_after_s: float | None
    trace_id: str


Listener = Callable[[RecoveryEvent], None]
"""Hears events at once, in the task that caused them; what it raises is logged and changes nothing."""


def lookup(table: Mapping[type[BaseException], T], error: BaseException, default: T) -> T:
    """The row of the error's class or else of its nearest listed ancestor; default if none is listed.

    >>> lookup({OSError: "system"}, FileNotFoundError(), "unknown")
    'system'
    """
    for ancestor in type(error).__mro__:
        if ancestor in table:
            return table[ancestor]
    return default


def unwrap(error: BaseException) -> BaseException:
    """The one error inside nested groups; a group of several comes back as it is."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def classify_builtin(error: BaseException) -> ErrorClass:
    """A judgement that needs no table: lost connections and passed limits are transient, all else persistent."""
    match unwrap(error):
        case DeadlineExceeded(scope="attempt") | ConnectionError() | TimeoutError():
            return ErrorClass.TRANSIENT
        case _:
            return ErrorClass.PERSISTENT
