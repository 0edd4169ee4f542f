"""Several units in one transaction: one commit, one fsync, and each unit may fail alone."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from ttrpg_mcp.store.connection import Connection
from ttrpg_mcp.store.errors import as_store_error

__all__ = ["CommitFailed", "Job", "Trace", "run_batch"]


@dataclass(frozen=True, slots=True)
class Trace:
    """What a unit leaves in the file, so that it can be found again after a COMMIT that failed.

    Attributes:
        request: Principal and request key, or None without a key.
        is_there: Whether the file has what the unit wrote; it gets the unit's value.
    """

    request: tuple[str, str] | None
    is_there: Callable[[Connection, Any], bool]


class Job:
    """One unit of work on its way through the writer.

    Attributes:
        trace: None when the unit leaves nothing by which it could be found.
        is_started: Whether it was taken into a batch; until then it can be dropped without a trace.
        ended: Set, in the event loop, when the outcome is final.
    """

    __slots__ = ("_value", "ended", "error", "has_outcome", "is_started", "trace", "work")

    def __init__(self, work: Callable[[Connection], Any], trace: Trace | None = None) -> None:
        self.work = work
        self.trace = trace
        self.is_started = False
        self.has_outcome = False
        self.ended = anyio.Event()
        self.error: BaseException | None = None
        self._value: Any = None

    def succeed(self, value: object) -> None:
        """Note the value; it counts once the batch is committed."""
        self._value, self.error, self.has_outcome = value, None, True

    def fail(self, error: BaseException) -> None:
        """Note the error."""
        self._value, self.error, self.has_outcome = None, error, True

    def result(self) -> Any:
        """The value, or the error raised."""
        if self.error is not None:
            raise self.error
        return self._value

    def is_there(self, connection: Connection) -> bool | None:
        """Whether the file has what the unit wrote; None when that cannot be told."""
        if self.trace is None or self.error is not None:
            return None
        return self.trace.is_there(connection, self._value)


@dataclass(frozen=True, slots=True)
class CommitFailed:
    """A transaction whose COMMIT failed: its jobs have outcomes that must not be told before somebody looked.

    A refused unit is not told its refusal either: it may rest on what a neighbour wrote.
    """

    jobs: Sequence[Job]
    error: sqlite3.Error


class _TransactionLost(Exception):
    """A unit failed so hard that SQLite rolled the whole transaction back."""

    def __init__(self, job: Job) -> None:
        super().__init__("the transaction is gone")
        self.job = job


def run_batch(
    connection: Connection, jobs: Sequence[Job], compartment: str, is_time_up: Callable[[], bool]
) -> CommitFailed | None:
    """Run the jobs in one transaction and commit it; every outcome is kept in its job.

    After is_time_up answers True no further job begins: jobs left without an outcome did not happen. When the COMMIT
    fails, that is returned: nobody knows then whether the transaction will be there after a restart.
    """
    jobs = list(jobs)
    while jobs:
        try:
            return _run_transaction(connection, jobs, compartment, is_time_up)
        except _TransactionLost as lost:
            # Nobody was answered yet, so the innocent ones simply run again.
            jobs.remove(lost.job)
    return None


def _run_transaction(
    connection: Connection, jobs: Sequence[Job], compartment: str, is_time_up: Callable[[], bool]
) -> CommitFailed | None:
    connection.forget_logged(0)
    try:
        # A deferred transaction that reads first meets BUSY_SNAPSHOT, which no busy_timeout can wait out.
        connection.run("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        for job in jobs:
            job.fail(_translated(compartment, error))
        return None
    ran = []
    for job in jobs:
        _run_job(connection, job, compartment)
        ran.append(job)
        if is_time_up():
            break
    return _commit(connection, ran)


def _run_job(connection: Connection, job: Job, compartment: str) -> None:
    """Run one unit so that its failure leaves no trace. Raises _TransactionLost."""
    logged_count = connection.logged_count
    try:
        connection.run("SAVEPOINT unit")
        value = job.work(connection)
        connection.run("RELEASE unit")
    except Exception as error:  # noqa: BLE001 - the border of a unit: whatever it is, it is its caller's alone
        job.fail(_translated(compartment, error))
        connection.forget_logged(logged_count)
        _forget(connection, job)
    else:
        job.succeed(value)


def _forget(connection: Connection, job: Job) -> None:
    """Undo what the failed unit wrote. Raises _TransactionLost where that took everything with it."""
    # FULL, IOERR, NOMEM and INTERRUPT may have rolled the whole transaction back already.
    if connection.in_transaction:
        try:
            connection.run("ROLLBACK TO unit")
            connection.run("RELEASE unit")
        except sqlite3.Error:
            connection.roll_back()
    if not connection.in_transaction:
        raise _TransactionLost(job)


def _commit(connection: Connection, ran: Sequence[Job]) -> CommitFailed | None:
    try:
        connection.run("COMMIT")
    except sqlite3.Error as error:
        connection.roll_back()
        return CommitFailed(tuple(ran), error)
    return None


def _translated(compartment: str, error: BaseException) -> BaseException:
    translated = as_store_error(compartment, error)
    if translated is None:
        return error
    translated.__cause__ = error
    return translated
