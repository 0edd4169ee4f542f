"""Numbers of the operation classes."""

import pytest

from ttrpg_mcp.recovery.op_classes import NUMBERS, OpClass, probe_lease_s
from ttrpg_mcp.recovery.retry_policy import Retrier
from ttrpg_mcp.recovery.testing import FixedJitter, ManualClock


def test_every_class_has_its_numbers() -> None:
    assert set(OpClass) == set(NUMBERS)


@pytest.mark.parametrize("op_class", list(OpClass))
def test_interactive_classes_end_within_the_time_that_leaves_room_for_a_fallback(op_class: OpClass) -> None:
    """R33."""
    assert NUMBERS[op_class].total_s <= 4.5


@pytest.mark.parametrize("op_class", list(OpClass))
def test_all_waits_of_a_class_fit_into_its_total(op_class: OpClass) -> None:
    """R33: the founding back-off alone would wait 15 seconds."""
    numbers = NUMBERS[op_class]
    retrier = Retrier(numbers.retry, clock=ManualClock(), jitter=FixedJitter(0.999))

    waits_s = [retrier.delay_s(attempt, OSError()) for attempt in range(1, numbers.retry.max_attempts)]

    assert sum(waits_s) < numbers.total_s


def test_writes_are_repeatable_by_key_only() -> None:
    """R24."""
    assert [True, True, False] == [NUMBERS[op_class].idempotent for op_class in OpClass]


@pytest.mark.parametrize(("attempt_s", "lease_s"), [(1.0, 10.0), (15.0, 30.0)])
def test_lease_of_a_probe_outlasts_two_attempts(attempt_s: float, lease_s: float) -> None:
    """R45."""
    assert lease_s == probe_lease_s(attempt_s)
