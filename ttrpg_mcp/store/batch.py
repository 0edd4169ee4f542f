"""Several units in one transaction: one commit, one fsync, and each unit may fail alone."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import anyio

from ttrpg_mcp.play.errors import OutcomeUnknown
from ttrpg_mcp.store.connection import Connection
from ttrpg_mcp.store.errors import as_store_error

__all__ = ["Job", "run_batch"]


class Job:
    """One unit of work on its way through the writer.

    Attributes:
        is_started: Whether it was taken into a batch; until then it can be dropped without a trace.
        ended: Set, in the event loop, when the outcome is final.
    """

    __slots__ = ("_error", "_value", "ended", "has_outcome", "is_started", "work")

    def __init__(self, work: Callable[[Connection], Any]) -> None:
        self.work = work
        self.is_started = False
        self.has_outcome = False
        self.ended = anyio.Event()
        self._value: Any = None
        self._error: BaseException | None = None

    def succeed(self, value: object) -> None:
        """Note the value; it counts once the batch is committed."""
        self._value, self._error, self.has_outcome = value, None, True

    def fail(self, error: BaseException) -> None:
        """Note the error."""
        self._value, self._error, self.has_outcome = None, error, True

    def result(self) -> Any:
        """The value, or the error raised."""
        if self._error is not None:
            raise self._error
        return self._value


class _TransactionLost(Exception):
    """A unit failed so hard that SQLite rolled the whole transaction back."""

    def __init__(self, job: Job) -> None:
        super().__init__("the transaction is gone")
        self.job = job


def run_batch(connection: Connection, jobs: Sequence[Job], compartment: str, is_time_up: Callable[[], bool]) -> None:
    """Run the jobs in one transaction and commit it; every outcome is kept in its job, nothing is raised.

    After is_time_up answers True no further job begins: jobs left without an outcome did not happen.
    """
    jobs = list(jobs)
    while jobs:
        try:
            _run_transaction(connection, jobs, compartment, is_time_up)
        except _TransactionLost as lost:
            # Nobody was answered yet, so the innocent ones simply run again.
            jobs.remove(lost.job)
            continue
        return


def _run_transaction(
    connection: Connection, jobs: Sequence[Job], compartment: str, is_time_up: Callable[[], bool]
) -> None:
    try:
        # A deferred transaction that reads first meets BUSY_SNAPSHOT, which no busy_timeout can wait out.
        connection.run("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        for job in jobs:
            job.fail(_translated(compartment, error))
        return
    ran = []
    for job in jobs:
        _run_job(connection, job, compartment)
        ran.append(job)
        if is_time_up():
            break
    _commit(connection, ran, compartment)


def _run_job(connection: Connection, job: Job, compartment: str) -> None:
    """Run one unit so that its failure leaves no trace. Raises _TransactionLost."""
    try:
        connection.run("SAVEPOINT unit")
        value = job.work(connection)
        connection.run("RELEASE unit")
    except Exception as error:  # noqa: BLE001 - the border of a unit: whatever it is, it is its caller's alone
        job.fail(_translated(compartment, error))
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
            _roll_back(connection)
    if not connection.in_transaction:
        raise _TransactionLost(job)


def _commit(connection: Connection, ran: Sequence[Job], compartment: str) -> None:
    try:
        connection.run("COMMIT")
    except sqlite3.Error as error:
        # A failed COMMIT is no refusal: after a restart the rows may be there, so nobody is told that they are or are
        # not. A refused unit is not told its refusal either: it may rest on what a neighbour wrote.
        _roll_back(connection)
        for job in ran:
            unknown = OutcomeUnknown(compartment, f"COMMIT failed: {error}")
            unknown.__cause__ = error
            job.fail(unknown)


def _roll_back(connection: Connection) -> None:
    if connection.in_transaction:
        connection.run("ROLLBACK")


def _translated(compartment: str, error: BaseException) -> BaseException:
    translated = as_store_error(compartment, error)
    if translated is None:
        return error
    translated.__cause__ = error
    return translated
