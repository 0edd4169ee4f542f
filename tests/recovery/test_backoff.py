"""Delays between attempts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttrpg_mcp.recovery.backoff import Backoff, BackoffStrategy, JitterKind, backoff_s
from ttrpg_mcp.recovery.testing import FixedJitter


def _delays_s(options: Backoff, jitter: FixedJitter | None = None) -> list[float]:
    return [backoff_s(attempt, options, jitter or FixedJitter(0.5)) for attempt in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("strategy", "delays_s"),
    [
        (BackoffStrategy.EXPONENTIAL, [1.0, 2.0, 4.0, 8.0]),
        (BackoffStrategy.LINEAR, [1.0, 2.0, 3.0, 4.0]),
        (BackoffStrategy.FIXED, [1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_each_strategy_grows_in_its_own_way(strategy: BackoffStrategy, delays_s: list[float]) -> None:
    """R15, R47."""
    options = Backoff(backoff_strategy=strategy, jitter=JitterKind.NONE)

    assert delays_s == _delays_s(options)


def test_proportional_jitter_reaches_a_quarter_below_and_stays_under_a_quarter_above() -> None:
    """R47."""
    options = Backoff(initial_delay_s=8.0)

    assert [6.0, 8.0, 9.0] == [backoff_s(1, options, FixedJitter(drawn)) for drawn in (0.0, 0.5, 0.75)]


def test_proportional_jitter_never_passes_the_maximum() -> None:
    """R47: the cap is applied again after the jitter."""
    options = Backoff(initial_delay_s=30.0, max_delay_s=30.0)

    assert 30.0 == backoff_s(1, options, FixedJitter(0.999))


def test_full_jitter_spreads_from_zero_to_the_delay() -> None:
    options = Backoff(jitter=JitterKind.FULL)

    assert [0.0, 0.5, 2.0] == [
        backoff_s(attempt, options, FixedJitter(drawn)) for attempt, drawn in ((1, 0.0), (1, 0.5), (3, 0.5))
    ]


@pytest.mark.parametrize("strategy", list(BackoffStrategy))
def test_the_millionth_attempt_does_not_overflow(strategy: BackoffStrategy) -> None:
    """R47."""
    options = Backoff(backoff_strategy=strategy, initial_delay_s=30.0, jitter=JitterKind.NONE)

    assert 30.0 == backoff_s(10**6, options, FixedJitter(0.0))


@given(
    attempt=st.integers(1, 10**9),
    strategy=st.sampled_from(BackoffStrategy),
    kind=st.sampled_from(JitterKind),
    initial_s=st.floats(0, 1e300),
    more_s=st.floats(0, 1e300),
    drawn=st.floats(0, 1, exclude_max=True),
)
def test_every_delay_lies_between_zero_and_the_maximum(
    attempt: int, strategy: BackoffStrategy, kind: JitterKind, initial_s: float, more_s: float, drawn: float
) -> None:
    """R47."""
    options = Backoff(backoff_strategy=strategy, initial_delay_s=initial_s, max_delay_s=initial_s + more_s, jitter=kind)

    assert 0 <= backoff_s(attempt, options, FixedJitter(drawn)) <= options.max_delay_s
