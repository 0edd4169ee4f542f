"""Options of retrying, and retrying itself."""

import logging
from collections.abc import Mapping
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from ttrpg_mcp.recovery.backoff import BackoffStrategy, JitterKind
from ttrpg_mcp.recovery.context import OperationContext
from ttrpg_mcp.recovery.deadline import Deadline
from ttrpg_mcp.recovery.errors import BulkheadFull, CircuitOpen, DeadlineExceeded
from ttrpg_mcp.recovery.events import Events
from ttrpg_mcp.recovery.fault import ErrorClass, EventName, RecoveryEvent, classify_builtin
from ttrpg_mcp.recovery.retry_policy import ExponentialBackoff, OnRetry, Retrier, RetryPolicy, retry
from ttrpg_mcp.recovery.testing import HANG, FixedJitter, Flaky, ManualClock, flaky

READ = OperationContext("read", idempotent=True)
KEYED_WRITE = OperationContext("write", request_key="k1")
UNKEYED_WRITE = OperationContext("write")


class _Advising(ConnectionError):
    def __init__(self, retry_after_s: object) -> None:
        super().__init__("busy")
        self.retry_after_s = retry_after_s


class _NotBegun(ConnectionError):
    nothing_happened = True


def _retrier(clock: ManualClock, max_attempts: int = 5, events: Events | None = None) -> Retrier:
    policy = RetryPolicy(max_attempts=max_attempts, jitter=JitterKind.NONE)
    return Retrier(policy, clock=clock, jitter=FixedJitter(0.5), events=events)


async def _retry(
    operation: Flaky[str],
    context: OperationContext = READ,
    *,
    clock: ManualClock | None = None,
    max_attempts: int = 5,
    on_retry: OnRetry | None = None,
) -> str:
    clock = clock or ManualClock(skips_sleeps=True)
    with anyio.fail_after(5):
        return await retry(operation, _retrier(clock, max_attempts), context, on_retry)


@pytest.mark.parametrize(
    "options",
    [
        {"max_attempts": 0},
        {"max_attempts": 2.0},
        {"max_attempts": True},
        {"initial_delay_s": -1.0},
        {"initial_delay_s": float("nan")},
        {"max_delay_s": float("inf")},
        {"initial_delay_s": 2.0, "max_delay_s": 1.0},
        {"backoff_strategy": "wild"},
        {"jitter": "wild"},
    ],
)
def test_impossible_options_are_refused_when_they_are_made(options: dict[str, Any]) -> None:
    """R15."""
    with pytest.raises(ValueError, match=r"max_attempts|delay_s|wild"):
        RetryPolicy(**options)


def test_founding_names_are_read_in_milliseconds() -> None:
    """R15."""
    founding = {
        "maxAttempts": 4,
        "backoffStrategy": "linear",
        "initialDelay": 250,
        "maxDelay": 2000,
        "jitter": False,
    }
    policy = RetryPolicy(
        max_attempts=4,
        backoff_strategy=BackoffStrategy.LINEAR,
        initial_delay_s=0.25,
        max_delay_s=2.0,
        jitter=JitterKind.NONE,
    )

    assert policy == RetryPolicy.from_mapping(founding)


def test_own_names_are_read_in_seconds() -> None:
    """R15."""
    assert RetryPolicy(initial_delay_s=3.0) == RetryPolicy.from_mapping({"initial_delay_s": 3.0, "jitter": True})


@pytest.mark.parametrize(
    "raw",
    [
        {"retries": 3},
        {"initialDelay": 1000, "initial_delay_s": 1.0},
        {"baseDelay": "1000"},
        {"maxDelay": True},
        {"max_attempts": "3"},
    ],
)
def test_unknown_doubled_and_impossible_options_of_a_mapping_are_refused(raw: Mapping[str, Any]) -> None:
    """R15."""
    with pytest.raises(ValueError, match=r"unknown|second time|must be"):
        RetryPolicy.from_mapping(raw)


async def test_success_at_once_waits_for_nothing() -> None:
    clock, operation = ManualClock(skips_sleeps=True), flaky("answer")

    answer = await _retry(operation, clock=clock)

    assert ("answer", 1, []) == (answer, operation.calls, clock.sleeps_s)


async def test_max_attempts_counts_all_tries_and_not_the_retries() -> None:
    """R15, R47: five tries wait 1, 2, 4 and 8 seconds."""
    clock, operation = ManualClock(skips_sleeps=True), flaky(ConnectionError("gone"))

    with pytest.raises(ConnectionError):
        await _retry(operation, clock=clock)

    assert (5, [1.0, 2.0, 4.0, 8.0]) == (operation.calls, clock.sleeps_s)


async def test_exhausted_retry_raises_the_last_original_error_with_the_count() -> None:
    """R48."""
    last = ConnectionError("second")

    with pytest.raises(ConnectionError) as caught:
        await _retry(flaky(ConnectionError("first"), last), max_attempts=2)

    assert (last, ["2 of 2 attempts were made"]) == (caught.value, caught.value.__notes__)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("not transient"),
        CircuitOpen("x", 1.0),
        BulkheadFull("x", 1.0),
        DeadlineExceeded("total", 1.0),
    ],
)
async def test_what_cannot_pass_by_itself_is_not_retried(error: Exception) -> None:
    operation = flaky(error)
    retrier = Retrier(RetryPolicy(), clock=ManualClock(), classify=_all_transient_but_values)

    with anyio.fail_after(5), pytest.raises(type(error)):
        await retry(operation, retrier, READ)

    assert 1 == operation.calls


def _all_transient_but_values(error: BaseException) -> ErrorClass:
    return ErrorClass.CALLER if isinstance(error, ValueError) else ErrorClass.TRANSIENT


async def test_timed_out_write_without_a_key_is_never_repeated() -> None:
    """R24."""
    operation = flaky(DeadlineExceeded("attempt", 2.0), "twice")

    with pytest.raises(DeadlineExceeded):
        await _retry(operation, UNKEYED_WRITE)

    assert 1 == operation.calls


async def test_timed_out_write_with_a_key_is_repeated() -> None:
    """R24."""
    assert "answer" == await _retry(flaky(DeadlineExceeded("attempt", 2.0), "answer"), KEYED_WRITE)


async def test_write_without_a_key_is_repeated_if_nothing_happened() -> None:
    assert "answer" == await _retry(flaky(_NotBegun(), "answer"), UNKEYED_WRITE)


async def test_single_error_inside_groups_counts_as_itself() -> None:
    group = ExceptionGroup("tasks", [ExceptionGroup("inner", [ConnectionError("gone")])])

    assert "answer" == await _retry(flaky(group, "answer"))


async def test_advice_replaces_the_delay_and_is_not_capped() -> None:
    """R26."""
    clock = ManualClock(skips_sleeps=True)

    await _retry(flaky(_Advising(100), "answer"), clock=clock)

    assert [100] == clock.sleeps_s


@pytest.mark.parametrize(
    ("advice", "delay_s"),
    [(-5.0, 0.0), ("soon", 1.0), (None, 1.0), (True, 1.0), (float("nan"), 1.0), (float("inf"), 1.0)],
)
async def test_garbage_advice_is_harmless(advice: object, delay_s: float) -> None:
    """R26: negative is 0, and what is no finite number is no advice."""
    clock = ManualClock(skips_sleeps=True)

    await _retry(flaky(_Advising(advice), "answer"), clock=clock)

    assert [delay_s] == clock.sleeps_s


async def test_advice_beyond_the_remaining_time_fails_now() -> None:
    """R26."""
    clock = ManualClock(skips_sleeps=True)
    context = OperationContext("read", idempotent=True, deadline=Deadline.after(4.0, clock))

    with pytest.raises(_Advising) as caught:
        await _retry(flaky(_Advising(60.0), "too late"), context, clock=clock)

    assert (60.0, []) == (caught.value.retry_after_s, clock.sleeps_s)


@pytest.mark.parametrize(("left_s", "calls"), [(1.04, 1), (1.06, 2)])
async def test_wait_that_leaves_too_little_for_the_attempt_is_not_begun(left_s: float, calls: int) -> None:
    """R33, R47: the first delay is 1 second, and an attempt needs 0.05."""
    clock, operation = ManualClock(skips_sleeps=True), flaky(ConnectionError("gone"))
    context = OperationContext("read", idempotent=True, deadline=Deadline.after(left_s, clock))

    with pytest.raises(ConnectionError):
        await _retry(operation, context, clock=clock, max_attempts=2)

    assert calls == operation.calls


async def test_cancellation_while_waiting_makes_no_further_attempt() -> None:
    """R47."""
    clock, operation = ManualClock(), flaky(ConnectionError("gone"))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(retry, operation, _retrier(clock), READ)
            await clock.wait_for_sleepers()
            tasks.cancel_scope.cancel()

    assert (1, []) == (operation.calls, clock.sleepers)


async def test_cancellation_during_a_later_attempt_passes_unchanged() -> None:
    """A predicate that says yes to everything would swallow it."""
    clock, operation = ManualClock(skips_sleeps=True), flaky(ConnectionError("gone"), HANG, "after cancellation")
    retrier = Retrier(RetryPolicy(), clock=clock, classify=lambda _error: ErrorClass.TRANSIENT, jitter=FixedJitter(0.5))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(retry, operation, retrier, READ)
            while operation.calls < 2:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()

    assert (2, 0, [1.0]) == (operation.calls, operation.running, clock.sleeps_s)


async def test_one_policy_serves_twenty_tasks_at_once() -> None:
    """R47: shared state of the retry loop would give tasks each other's results, or None."""
    clock = ManualClock()
    retrier = _retrier(clock, max_attempts=3)
    answers: dict[int, str] = {}

    async def one(number: int) -> None:
        answers[number] = await retry(flaky(ConnectionError("gone"), f"answer {number}"), retrier, READ)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(one, number)
            await clock.wait_for_sleepers(20)
            clock.advance(1.0)

    assert {number: f"answer {number}" for number in range(20)} == answers


async def test_breaker_that_opens_meanwhile_ends_the_retrying_with_the_original_error() -> None:
    """The first attempt may have had an effect, so the refusal of the second must not hide it."""
    original = DeadlineExceeded("attempt", 2.0)

    with pytest.raises(DeadlineExceeded) as caught:
        await _retry(flaky(original, CircuitOpen("db", 1.0)), KEYED_WRITE)

    assert original is caught.value
    assert [
        "one more attempt was refused: the circuit of 'db' refuses calls for another 1 s",
        "1 of 5 attempts were made",
    ] == original.__notes__


async def test_hook_hears_of_every_wait_and_not_of_the_last_failure() -> None:
    """R48."""
    heard: list[tuple[int, str, float]] = []

    with pytest.raises(ConnectionError):
        await _retry(
            flaky(*(ConnectionError(f"error {number}") for number in (1, 2, 3))),
            max_attempts=3,
            on_retry=lambda attempt, error, delay_s: heard.append((attempt, str(error), delay_s)),
        )

    assert [(1, "error 1", 1.0), (2, "error 2", 2.0)] == heard


async def test_hook_that_raises_is_logged_and_the_retry_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """R48."""

    def hook(attempt: int, _error: BaseException, _delay_s: float) -> None:
        raise KeyError(attempt)

    with caplog.at_level(logging.ERROR):
        answer = await _retry(flaky(ConnectionError("gone"), "answer"), on_retry=hook)

    assert ("answer", 1) == (answer, len(caplog.records))


async def test_events_tell_of_each_wait_and_of_giving_up() -> None:
    heard: list[RecoveryEvent] = []
    clock = ManualClock(skips_sleeps=True)
    retrier = _retrier(clock, max_attempts=2, events=Events(clock, [heard.append]))

    with pytest.raises(ConnectionError):
        await retry(flaky(ConnectionError("gone")), retrier, READ)

    assert [
        (EventName.RETRY_SCHEDULED, "read", 1, "ConnectionError", 1.0),
        (EventName.RETRIES_EXCEEDED, "read", 2, "ConnectionError", None),
    ] == [(event.name, event.operation, event.attempt, event.error_code, event.retry_after_s) for event in heard]


async def test_exponential_backoff_has_the_founding_numbers() -> None:
    """R47, R48: with jitter at its middle the waits are 1, 2, 4 and 8 seconds; the hook gets two arguments."""
    clock, heard = ManualClock(skips_sleeps=True), list[int]()
    backoff = ExponentialBackoff(clock=clock, jitter=FixedJitter(0.5))

    with pytest.raises(TimeoutError):
        await backoff.execute(flaky(TimeoutError("slow")), lambda attempt, _error: heard.append(attempt))

    assert ([1.0, 2.0, 4.0, 8.0], [1, 2, 3, 4]) == (clock.sleeps_s, heard)


async def test_exponential_backoff_works_the_second_time_as_the_first() -> None:
    """R47: an attempt count kept in the object would make the second call fail at once."""
    backoff = ExponentialBackoff(max_attempts=2, clock=ManualClock(skips_sleeps=True), classify=classify_builtin)

    answers = [await backoff.execute(flaky(TimeoutError("slow"), number)) for number in range(3)]

    assert [0, 1, 2] == answers
