"""How long to wait before trying again: pure arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from ttrpg_mcp.recovery.options import require_seconds

__all__ = ["Backoff", "BackoffStrategy", "Jitter", "JitterKind", "backoff_s"]

Jitter = Callable[[], float]
"""Gives a number in [0, 1), evenly spread."""

_MAX_EXPONENT = 62
_PROPORTION = 0.25


class BackoffStrategy(StrEnum):
    """How the delay grows with the attempts."""

    EXPONENTIAL = "exponential"
    """base, 2·base, 4·base, 8·base ..."""
    LINEAR = "linear"
    """base, 2·base, 3·base ..."""
    FIXED = "fixed"
    """base each time."""


class JitterKind(StrEnum):
    """How a delay is spread, so that many callers do not return in the same moment."""

    FULL = "full"
    """Evenly between 0 and the delay; the best spread."""
    PROPORTIONAL = "proportional"
    """The delay, give or take a quarter."""
    NONE = "none"
    """The delay itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How delays between attempts grow and spread.

    Attributes:
        backoff_strategy: How the delay grows with the attempts.
        initial_delay_s: The delay before the second attempt, without jitter; 0 or more. 0 never waits.
        max_delay_s: No delay is longer, jitter included; at least initial_delay_s.
        jitter: How a delay is spread.
    """

    backoff_strategy: BackoffStrategy = BackoffStrategy.EXPONENTIAL
    initial_delay_s: float = 1.0
    max_delay_s: float = 30.0
    jitter: JitterKind = JitterKind.PROPORTIONAL

    def __post_init__(self) -> None:
        if self.backoff_strategy not in list(BackoffStrategy):
            raise ValueError(f"unknown backoff_strategy {self.backoff_strategy!r}")
        if self.jitter not in list(JitterKind):
            raise ValueError(f"unknown jitter {self.jitter!r}")
        require_seconds("initial_delay_s", self.initial_delay_s)
        require_seconds("max_delay_s", self.max_delay_s, at_least=self.initial_delay_s)


def backoff_s(attempt: int, options: Backoff, jitter: Jitter) -> float:
    """Seconds to wait after this attempt failed.

    attempt is 1-based. The result lies in [0, options.max_delay_s], and no attempt is too great to compute.

    Source: M. Brooker, "Exponential Backoff and Jitter", 2015.
    """
    delay_s = min(options.initial_delay_s * _growth(attempt, options.backoff_strategy), options.max_delay_s)
    if options.jitter == JitterKind.FULL:
        return delay_s * jitter()
    if options.jitter == JitterKind.PROPORTIONAL:
        return min(delay_s * (1 - _PROPORTION + 2 * _PROPORTION * jitter()), options.max_delay_s)
    return delay_s


def _growth(attempt: int, strategy: BackoffStrategy) -> int:
    if strategy == BackoffStrategy.EXPONENTIAL:
        return 1 << min(attempt - 1, _MAX_EXPONENT)
    if strategy == BackoffStrategy.LINEAR:
        return min(attempt, 1 << _MAX_EXPONENT)
    return 1
