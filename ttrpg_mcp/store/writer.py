"""The one task that writes to a file: it takes what waits, runs it as one batch, and answers after the commit.

No timer: a lone caller is served at once, and whoever comes while a batch is on its way shares the next one.

When the disk refuses, the file is read-only until a tiny commit goes through. That probe is tried again and again while
nobody calls, and before whatever somebody wants to write: so the first call after the fault is served, and before that
each is refused. A batch whose COMMIT failed is told its outcome by that probe.
"""

from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar, cast

import aiosqlite
import anyio

from ttrpg_mcp.play.errors import NotSaved, OutcomeUnknown, StoreBusy, StoreError, StoreUnavailable
from ttrpg_mcp.recovery.clock import Clock
from ttrpg_mcp.recovery.deadline import current_deadline
from ttrpg_mcp.recovery.errors import BulkheadFull
from ttrpg_mcp.store.batch import CommitFailed, Job, Trace, run_batch
from ttrpg_mcp.store.connection import Connection, hop
from ttrpg_mcp.store.journal import Journal
from ttrpg_mcp.store.locks import FileLock
from ttrpg_mcp.store.readonly import ReadOnlyMode
from ttrpg_mcp.store.suspect import leave_mark, probe, take_mark_away, was_saved

__all__ = ["MOST_QUEUED", "Writer"]

T = TypeVar("T")

MOST_QUEUED = 256
_MOST_IN_BATCH = 128
_BATCH_WORK_S = 0.050
_RETRY_AFTER_S = 0.25  # two batches, as a rule
_LATE_LIMIT_S = 0.5  # how long an expired deadline may still wait for a batch on its way
_CANCELLED_LIMIT_S = 2.0  # how long a cancelled caller waits for it


class Writer:
    """Group commit for one file.

    Attributes:
        mode: Whether the file takes writes.
    """

    def __init__(
        self,
        file: tuple[str, Path],
        database: aiosqlite.Connection,
        lock: FileLock,
        clock: Clock,
        *,
        safe_seq: Callable[[], int],
        journal: Journal | None = None,
    ) -> None:
        """The file is its compartment and its path; safe_seq gives the number of its newest change."""
        self._journal = journal
        self._compartment, self._path = file
        self.mode = ReadOnlyMode(self._compartment, safe_seq)
        self._database = database
        self._lock = lock
        self._clock = clock
        self._queue: deque[Job] = deque()
        self._unsettled: list[CommitFailed] = []
        self._wake = anyio.Event()
        self._is_running = False
        self._is_stopping = False
        self._ended = anyio.Event()

    @property
    def queued(self) -> int:
        """How many units wait."""
        return len(self._queue)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, no batch is on its way, and the file may be closed."""
        return not self._queue and not self._is_running and not self.mode.is_on

    async def submit(self, work: Callable[[Connection], T], trace: Trace | None = None) -> T:
        """What the work returns, once it is committed; the trace tells whether it was, should the COMMIT fail.

        A caller that is cancelled while its unit waits takes the unit with it. Once the unit began, its end is awaited
        first; when it was our own deadline that passed and the batch ends soon after, the true outcome is returned,
        late but right. Raises BulkheadFull, StoreError and what the work raises; ReadOnly means that nothing was tried,
        NotSaved that the work is surely not in the file.
        """
        if self._is_stopping:
            raise StoreUnavailable(self._compartment, "the file is being closed")
        if len(self._queue) >= MOST_QUEUED:
            raise BulkheadFull(f"db:{self._compartment}:write", _RETRY_AFTER_S)
        job = Job(work, trace)
        self._queue.append(job)
        self._wake.set()
        try:
            await job.ended.wait()
        except anyio.get_cancelled_exc_class():
            if not job.is_started:
                self._queue.remove(job)
                raise
            if not await self._ended_late(job):
                raise
        return cast("T", job.result())

    async def _ended_late(self, job: Job) -> bool:
        """Whether the outcome is to be told although the caller is cancelled. Raises OutcomeUnknown."""
        deadline = current_deadline()
        is_ours = deadline is not None and deadline.remaining_s() <= 0
        with self._clock.limit(_LATE_LIMIT_S if is_ours else _CANCELLED_LIMIT_S, shield=True):
            await job.ended.wait()
        if is_ours and not job.ended.is_set():
            raise OutcomeUnknown(self._compartment, "the deadline passed while the batch was on its way") from None
        return is_ours

    async def run(self) -> None:
        """Serve until stop(); then what waits is served to the end."""
        try:
            while self._queue or not self._is_stopping:
                if self._queue:
                    await self._serve()
                elif self.mode.is_on:
                    await self._rest_and_probe()
                else:
                    self._wake = anyio.Event()
                    await self._wake.wait()
            if self._unsettled:
                await self._probe_alone()
        finally:
            # Reached with units waiting only when the event loop itself is being torn down.
            self._is_stopping = True
            self._refuse(tuple(self._queue), lambda _: StoreUnavailable(self._compartment, "the writer was stopped"))
            self._settle([None] * len(self._unsettled))
            self._ended.set()

    async def stop(self) -> None:
        """Take no more units, and return when the last one ended."""
        self._is_stopping = True
        self._wake.set()
        await self._ended.wait()

    async def _serve(self) -> None:
        """Run one batch under the file's lock."""
        waiting = tuple(self._queue)
        try:
            async with self._lock.held():
                if self.mode.is_on and not await self._probe():
                    self._refuse(tuple(self._queue), self._refusal)
                    return
                # Taken only now: a unit whose caller goes while the lock is awaited never runs.
                await self._run(self._take())
        except StoreBusy as busy:
            refusal = type(busy)(self._compartment, busy.detail)
            self._refuse([job for job in waiting if job in self._queue], lambda _: refusal)

    def _refuse(self, jobs: Iterable[Job], error: Callable[[Job], StoreError]) -> None:
        """End jobs that never began."""
        for job in jobs:
            self._queue.remove(job)
            job.fail(error(job))
            job.ended.set()

    def _refusal(self, job: Job) -> StoreError:
        """Why a read-only file does not take the unit: a repeat of what is still open has the same open answer."""
        request = job.trace.request if job.trace else None
        if request is not None and request in self._open_requests():
            return OutcomeUnknown(self._compartment, "the COMMIT of an equal request failed and is not settled yet")
        return self.mode.refusal()

    def _open_requests(self) -> set[tuple[str, str] | None]:
        jobs = (job for failed in self._unsettled for job in failed.jobs)
        return {job.trace.request for job in jobs if job.trace is not None}

    async def _rest_and_probe(self) -> None:
        """Wait for somebody who wants to write, or until it is time to see whether that is possible again."""
        self._wake = anyio.Event()
        with self._clock.limit(self.mode.pause_s) as pause:
            await self._wake.wait()
        if pause.cancelled_caught:
            await self._probe_alone()

    async def _probe_alone(self) -> None:
        try:
            async with self._lock.held():
                await self._probe()
        except StoreBusy:
            # Another program writes; the next probe is as good.
            return

    async def _probe(self) -> bool:
        """Whether a tiny commit went through; then the file takes writes again, and every open COMMIT is settled."""
        failed = tuple(self._unsettled)

        def work(connection: Connection) -> list[bool | None]:
            probe(connection)
            take_mark_away(self._path)
            return [was_saved(connection, commit.jobs) for commit in failed]

        try:
            verdicts = await hop(self._database, work)
        except Exception as error:  # noqa: BLE001 - the border of the writer, as below: a failed probe is tried again
            self.mode.probe_failed(error)
            return False
        self.mode.end()
        self._settle(verdicts)
        return True

    def _settle(self, verdicts: Iterable[bool | None]) -> None:
        """Tell the outcomes of the open COMMITs: saved, not saved, or nobody can say."""
        failed, self._unsettled = self._unsettled, []
        for commit, is_saved in zip(failed, verdicts, strict=True):
            for job in commit.jobs:
                if not is_saved:
                    kind = OutcomeUnknown if is_saved is None else NotSaved
                    job.fail(_caused_by(commit.error, kind(self._compartment, f"COMMIT failed: {commit.error}")))
                job.ended.set()

    def _take(self) -> list[Job]:
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), _MOST_IN_BATCH))]
        for job in batch:
            job.is_started = True
        return batch

    async def _run(self, batch: list[Job]) -> None:
        if not batch:
            return
        ends_at = self._clock.monotonic() + _BATCH_WORK_S

        def work(connection: Connection) -> CommitFailed | None:
            failed = run_batch(connection, batch, self._compartment, lambda: self._clock.monotonic() >= ends_at)
            if failed is not None:
                leave_mark(self._path)
            if self._journal is not None:
                self._journal.note(connection, is_committed=failed is None)
            return failed

        failed: CommitFailed | None = None
        self._is_running = True
        try:
            failed = await hop(self._database, work)
        except Exception as error:  # noqa: BLE001 - the border of the writer: its callers get the error, and it goes on
            for job in batch:
                job.fail(OutcomeUnknown(self._compartment, f"{type(error).__name__}: {error}"))
        finally:
            self._is_running = False
            self._reply(batch, failed)

    def _reply(self, batch: Iterable[Job], failed: CommitFailed | None) -> None:
        """Tell what is certain; a unit that did not come to its turn waits again."""
        if failed is not None:
            self.mode.suspect(failed.error)
            self._unsettled.append(failed)
        open_jobs = set(failed.jobs) if failed else set()
        left = []
        for job in batch:
            if job in open_jobs:
                continue
            if job.has_outcome:
                self._end(job)
            else:
                job.is_started = False
                left.append(job)
        self._queue.extendleft(reversed(left))

    def _end(self, job: Job) -> None:
        if self.mode.note(job.error) and job.error is not None:
            # Its unit failed and was rolled back, so the caller reads the same as who comes after it.
            job.fail(_caused_by(job.error, self.mode.refusal()))
        job.ended.set()


def _caused_by(cause: BaseException, error: StoreError) -> StoreError:
    error.__cause__ = cause
    return error
