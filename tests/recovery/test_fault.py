"""The vocabulary of failure."""

from datetime import UTC, datetime
from enum import StrEnum

import pytest

from ttrpg_mcp.recovery.errors import BulkheadFull, CircuitOpen, DeadlineExceeded, RecoveryError
from ttrpg_mcp.recovery.fault import (
    ErrorCategory,
    ErrorClass,
    ErrorSeverity,
    Fault,
    RecoveryStrategy,
    classify_builtin,
    lookup,
    unwrap,
)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (ErrorSeverity, ["critical", "high", "medium", "low"]),
        (ErrorCategory, ["network", "data", "auth", "integration", "system", "rules"]),
        (ErrorClass, ["transient", "persistent", "critical", "caller"]),
    ],
)
def test_kinds_have_exactly_the_agreed_values(kind: type[StrEnum], values: list[str]) -> None:
    """R37, R38."""
    assert values == [member.value for member in kind]


def test_subclass_finds_the_row_of_its_nearest_ancestor() -> None:
    table: dict[type[BaseException], str] = {OSError: "system", ConnectionError: "network"}

    rows = [lookup(table, error, "unknown") for error in (ConnectionResetError(), FileNotFoundError(), KeyError())]

    assert ["network", "system", "unknown"] == rows


def test_single_error_comes_out_of_nested_groups() -> None:
    leaf = OSError("disk")

    assert leaf is unwrap(ExceptionGroup("outer", [ExceptionGroup("inner", [leaf])]))


def test_group_of_several_stays_a_group() -> None:
    group = ExceptionGroup("tasks", [OSError("disk"), OSError("net")])

    assert group is unwrap(group)


@pytest.mark.parametrize(
    ("error", "error_class"),
    [
        (ConnectionResetError(), ErrorClass.TRANSIENT),
        (TimeoutError(), ErrorClass.TRANSIENT),
        (DeadlineExceeded("attempt", 1.0), ErrorClass.TRANSIENT),
        (DeadlineExceeded("total", 1.0), ErrorClass.PERSISTENT),
        (FileNotFoundError(), ErrorClass.PERSISTENT),
        (KeyboardInterrupt(), ErrorClass.PERSISTENT),
    ],
)
def test_builtin_judgement_takes_lost_connections_and_passed_limits_for_transient(
    error: BaseException, error_class: ErrorClass
) -> None:
    assert error_class is classify_builtin(error)


def test_fault_holds_all_fields_of_the_record() -> None:
    """R38."""
    fault = Fault(
        code="BUSY",
        severity=ErrorSeverity.LOW,
        category=ErrorCategory.SYSTEM,
        error_class=ErrorClass.TRANSIENT,
        message="Busy.",
        recoverable=True,
        id="f-1",
        at=datetime(2024, 1, 1, tzinfo=UTC),
    )

    assert ("none", "none", None, {}, None, "") == (
        fault.strategy,
        fault.fallback,
        fault.retry_after_s,
        fault.context,
        fault.cause,
        fault.compartment,
    )


def test_negative_number_of_retries_is_refused() -> None:
    with pytest.raises(ValueError, match="max_retries"):
        RecoveryStrategy(
            code="X",
            error_class=ErrorClass.CALLER,
            severity=ErrorSeverity.LOW,
            category=ErrorCategory.DATA,
            recoverable=False,
            max_retries=-1,
        )


@pytest.mark.parametrize(
    ("error", "sentence", "nothing_happened"),
    [
        (CircuitOpen("db", 1.5), "the circuit of 'db' refuses calls for another 1.5 s", True),
        (CircuitOpen("db", None), "the circuit of 'db' refuses calls until it is reset by hand", True),
        (BulkheadFull("db", 1.0), "'db' has no room for another call; try again after 1 s", True),
        (DeadlineExceeded("total", 4.5), "the total limit of 4.5 s passed", False),
    ],
)
def test_errors_build_their_sentence_from_their_facts(
    error: RecoveryError, sentence: str, nothing_happened: bool
) -> None:
    assert (sentence, nothing_happened) == (str(error), error.nothing_happened)
