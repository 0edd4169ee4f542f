"""Numbers per class of operation: how long, how often, how many at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from ttrpg_mcp.recovery.backoff import JitterKind
from ttrpg_mcp.recovery.circuit_breaker import CircuitBreakerConfig
from ttrpg_mcp.recovery.options import require_seconds
from ttrpg_mcp.recovery.retry_policy import RetryPolicy

__all__ = ["NUMBERS", "OpClass", "OpClassNumbers", "probe_lease_s"]


class OpClass(StrEnum):
    """Kinds of operations that are treated alike."""

    PURE = "pure"
    """Arithmetic; touches nothing outside the process."""
    DB_READ = "db_read"
    """Reads the database."""
    DB_WRITE = "db_write"
    """Writes the database; repeatable with a request key only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpClassNumbers:
    """The defaults of one class. Tune them to the measured p99.9 of the dependency.

    Attributes:
        total_s: Seconds that the waits and attempts of the class stay below; above 0. The gate's deadline enforces it.
        attempt_s: Seconds for one attempt, above 0; None leaves only the total.
        retry: How often to try and how long to wait.
        idempotent: Whether every operation of the class is harmless to repeat.
        breaker: When to stop calling the dependency; None never does.
    """

    total_s: float
    attempt_s: float | None
    retry: RetryPolicy
    idempotent: bool
    breaker: CircuitBreakerConfig | None

    def __post_init__(self) -> None:
        require_seconds("total_s", self.total_s, above=0)
        if self.attempt_s is not None:
            require_seconds("attempt_s", self.attempt_s, above=0)


def probe_lease_s(attempt_s: float) -> float:
    """Seconds after which a probe is given up, where an attempt may take attempt_s."""
    return max(2 * attempt_s, 10.0)


NUMBERS: Mapping[OpClass, OpClassNumbers] = MappingProxyType(
    {
        OpClass.PURE: OpClassNumbers(
            total_s=2.0,
            attempt_s=None,
            retry=RetryPolicy(max_attempts=1),
            idempotent=True,
            breaker=None,
        ),
        OpClass.DB_READ: OpClassNumbers(
            total_s=3.0,
            attempt_s=1.0,
            retry=RetryPolicy(max_attempts=4, initial_delay_s=0.025, max_delay_s=0.25, jitter=JitterKind.FULL),
            idempotent=True,
            breaker=CircuitBreakerConfig(
                failure_ratio=0.5, minimum_calls=10, monitoring_period_s=30.0, probe_lease_s=probe_lease_s(1.0)
            ),
        ),
        OpClass.DB_WRITE: OpClassNumbers(
            total_s=4.0,
            attempt_s=2.0,
            retry=RetryPolicy(max_attempts=5, initial_delay_s=0.025, max_delay_s=0.5, jitter=JitterKind.FULL),
            idempotent=False,
            breaker=CircuitBreakerConfig(
                failure_threshold=5, reset_timeout_s=1.0, open_growth=1.0, probe_lease_s=probe_lease_s(2.0)
            ),
        ),
    }
)
"""The numbers of each class."""
