"""The errors that the policies raise themselves.

RecoveryError
├── CircuitOpen         the dependency is known to be broken; the call was not made
├── BulkheadFull        too many calls at once; the call was not made
├── DeadlineExceeded    the call was made and did not end in time
└── AdmissionClosed     no new work is taken, because the program is stopping
"""

from __future__ import annotations

from typing import ClassVar, Literal

__all__ = ["AdmissionClosed", "BulkheadFull", "CircuitOpen", "DeadlineExceeded", "DeadlineScope", "RecoveryError"]

DeadlineScope = Literal["attempt", "total"]


class RecoveryError(Exception):
    """Something that a policy decided, not the dependency.

    Attributes:
        nothing_happened: True if the operation surely had no effect, so that even a write may be repeated. Any
            exception class may carry this attribute; without it the effect is unknown.
    """

    nothing_happened: ClassVar[bool] = False


class CircuitOpen(RecoveryError):
    """The circuit breaker of a dependency refuses calls.

    Attributes:
        key: The dependency.
        retry_after_s: Seconds until a call may pass, at least 0; None if only a person can say (isolated).
    """

    nothing_happened = True

    def __init__(self, key: str, retry_after_s: float | None) -> None:
        until = "until it is reset by hand" if retry_after_s is None else f"for another {retry_after_s:.3g} s"
        super().__init__(f"the circuit of {key!r} refuses calls {until}")
        self.key = key
        self.retry_after_s = retry_after_s


class BulkheadFull(RecoveryError):
    """All slots of a compartment are taken and its queue is full.

    Attributes:
        key: The compartment.
        retry_after_s: Seconds after which trying again is sensible.
    """

    nothing_happened = True

    def __init__(self, key: str, retry_after_s: float) -> None:
        super().__init__(f"{key!r} has no room for another call; try again after {retry_after_s:.3g} s")
        self.key = key
        self.retry_after_s = retry_after_s


class DeadlineExceeded(RecoveryError):
    """Our own time limit passed before the operation ended.

    Attributes:
        scope: "attempt" for the limit of one try, "total" for the limit of the whole call.
        limit_s: How many seconds it had.
    """

    def __init__(self, scope: DeadlineScope, limit_s: float) -> None:
        super().__init__(f"the {scope} limit of {limit_s:.3g} s passed")
        self.scope: DeadlineScope = scope
        self.limit_s = limit_s


class AdmissionClosed(RecoveryError):
    """The program is stopping: new work is refused, and work that outlasts the drain is cancelled.

    Attributes:
        retry_after_s: Seconds after which another process may be serving.
    """

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("the server is stopping")
        self.retry_after_s = retry_after_s
