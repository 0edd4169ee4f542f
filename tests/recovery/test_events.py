"""The stream of events."""

import logging

import pytest

from ttrpg_mcp.recovery.context import OperationContext, current_operation, enter_operation, leave_operation
from ttrpg_mcp.recovery.events import Events
from ttrpg_mcp.recovery.fault import EventName, EventSeverity, RecoveryEvent
from ttrpg_mcp.recovery.testing import ManualClock

OPERATION = OperationContext("read", "db_read", compartment="c1", dependency="db:c1:read", trace_id="t1")


def test_event_carries_what_is_known_about_its_operation() -> None:
    clock, heard = ManualClock(), list[RecoveryEvent]()
    events = Events(clock, [heard.append], code_of=lambda _error: "BUSY")

    events.emit(EventName.RETRY_SCHEDULED, operation=OPERATION, attempt=2, error=OSError(), retry_after_s=0.5)

    assert [
        RecoveryEvent(
            ts=clock.wall(),
            seq=1,
            name=EventName.RETRY_SCHEDULED,
            severity=EventSeverity.WARNING,
            operation="read",
            op_class="db_read",
            compartment="c1",
            dependency="db:c1:read",
            strategy="retry",
            attempt=2,
            handled=True,
            outcome="",
            duration_s=None,
            error_code="BUSY",
            retry_after_s=0.5,
            trace_id="t1",
        )
    ] == heard


def test_event_without_operation_belongs_to_the_current_one() -> None:
    heard: list[RecoveryEvent] = []
    events = Events(ManualClock(), [heard.append])

    token = enter_operation(OPERATION)
    events.emit(EventName.BREAKER_CLOSED, dependency="other")
    leave_operation(token)
    events.emit(EventName.BREAKER_CLOSED)

    assert [("read", "other"), ("", "")] == [(event.operation, event.dependency) for event in heard]
    assert None is current_operation()


@pytest.mark.parametrize("name", list(EventName))
def test_every_event_has_a_severity_and_a_strategy(name: EventName) -> None:
    heard: list[RecoveryEvent] = []

    Events(ManualClock(), [heard.append]).emit(name)

    assert [name] == [event.name for event in heard if event.strategy]


def test_listener_that_raises_is_logged_and_the_others_still_hear(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[int] = []

    def broken(_event: RecoveryEvent) -> None:
        raise KeyError("broken")

    events = Events(ManualClock(), [broken])
    events.subscribe(lambda event: heard.append(event.seq))
    with caplog.at_level(logging.ERROR):
        events.emit(EventName.TIMEOUT)
        events.emit(EventName.TIMEOUT)

    assert ([1, 2], 2) == (heard, len(caplog.records))


def test_attempts_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="counted from 1"):
        OperationContext("read", attempt=0)


@pytest.mark.parametrize(
    ("operation", "is_repeatable"),
    [
        (OperationContext("write"), False),
        (OperationContext("write", request_key="k1"), True),
        (OperationContext("read", idempotent=True), True),
    ],
)
def test_operation_is_repeatable_by_nature_or_by_key(operation: OperationContext, is_repeatable: bool) -> None:
    """R24."""
    assert is_repeatable is operation.is_repeatable
