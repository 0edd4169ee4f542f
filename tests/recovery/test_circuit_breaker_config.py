"""Options of breakers, and the two rules that judge outcomes."""

from collections.abc import Mapping
from typing import Any

import pytest

from ttrpg_mcp.recovery.circuit_breaker import CircuitBreaker, CircuitBreakerConfig
from ttrpg_mcp.recovery.failure_rules import ConsecutiveFailures, FailureRatio
from ttrpg_mcp.recovery.testing import ManualClock


@pytest.mark.parametrize(
    "options",
    [
        {"failure_threshold": 0},
        {"half_open_limit": 0},
        {"minimum_calls": 1.5},
        {"reset_timeout_s": -1.0},
        {"monitoring_period_s": 0.0},
        {"reset_timeout_s": 121.0},
        {"probe_lease_s": 0.0},
        {"open_growth": 0.5},
        {"failure_ratio": 0.0},
        {"failure_ratio": 1.1},
        {"max_open_s": float("inf")},
    ],
)
def test_impossible_options_are_refused_when_they_are_made(options: dict[str, Any]) -> None:
    """R16."""
    with pytest.raises(ValueError, match="must be"):
        CircuitBreakerConfig(**options)


def test_founding_names_are_read_in_milliseconds() -> None:
    """R16."""
    founding = {"failureThreshold": 3, "resetTimeout": 1500, "halfOpenLimit": 2, "monitoringPeriod": 10_000}
    config = CircuitBreakerConfig(failure_threshold=3, reset_timeout_s=1.5, half_open_limit=2, monitoring_period_s=10.0)

    assert config == CircuitBreakerConfig.from_mapping(founding)


@pytest.mark.parametrize("raw", [{"timeout": 1}, {"resetTimeout": 1, "reset_timeout_s": 1}])
def test_unknown_and_doubled_options_of_a_mapping_are_refused(raw: Mapping[str, Any]) -> None:
    """R16."""
    with pytest.raises(ValueError, match=r"unknown|second time"):
        CircuitBreakerConfig.from_mapping(raw)


def test_breaker_takes_the_founding_keywords() -> None:
    """R45."""
    breaker = CircuitBreaker(failure_threshold=3, recovery_timeout=300, expected_exception=OSError)

    assert CircuitBreakerConfig(failure_threshold=3, reset_timeout_s=300, max_open_s=300) == breaker.config


def test_failures_in_a_row_within_the_period_break() -> None:
    """R16."""
    rule = ConsecutiveFailures(ManualClock(), threshold=3, period_s=30.0)

    assert [False, False, True] == [rule.failure() for _ in range(3)]


def test_failures_in_a_row_age_out() -> None:
    """R16, R45: the first of three is too old when the third comes."""
    clock = ManualClock()
    rule = ConsecutiveFailures(clock, threshold=3, period_s=30.0)

    broken = []
    for _ in range(3):
        broken.append(rule.failure())
        clock.advance(16.0)

    assert ([False, False, False], 1) == (broken, rule.failures)


def test_success_ends_the_row() -> None:
    """R46."""
    rule = ConsecutiveFailures(ManualClock(), threshold=3, period_s=30.0)

    rule.failure()
    rule.failure()
    rule.success()

    assert (False, 1) == (rule.failure(), rule.failures)


def test_ratio_waits_for_the_minimum_of_calls() -> None:
    """R16."""
    rule = FailureRatio(ManualClock(), threshold=0.5, minimum_calls=10, period_s=30.0)

    assert [False] * 9 + [True] == [rule.failure() for _ in range(10)]


def test_ratio_breaks_at_the_share_and_not_below() -> None:
    """R16: 9 of 19 are less than half, 10 of 20 are half."""
    rule = FailureRatio(ManualClock(), threshold=0.5, minimum_calls=10, period_s=30.0)
    for _ in range(10):
        rule.success()

    broken = [rule.failure() for _ in range(10)]

    assert ([False] * 9 + [True], 0.5) == (broken, rule.ratio)


def test_ratio_forgets_outcomes_bucket_by_bucket() -> None:
    """R16: one failure every 3 seconds, a bucket each; only ten of them fit into the period."""
    clock = ManualClock()
    rule = FailureRatio(clock, threshold=1.0, minimum_calls=100, period_s=30.0)

    counts = []
    for _ in range(12):
        rule.failure()
        counts.append(rule.failures)
        clock.advance(3.0)

    assert [*range(1, 11), 10, 10] == counts


def test_ratio_forgets_everything_after_a_long_quiet_time() -> None:
    clock = ManualClock()
    rule = FailureRatio(clock, threshold=0.5, minimum_calls=10, period_s=30.0)
    rule.failure()

    clock.advance(1e9)

    assert (0, None, True) == (rule.failures, rule.ratio, rule.is_empty)
