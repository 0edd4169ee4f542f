"""The one task that writes to a file: it takes what waits, runs it as one batch, and answers after the commit.

No timer: a lone caller is served at once, and whoever comes while a batch is on its way shares the next one.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar, cast

import aiosqlite
import anyio

from ttrpg_mcp.play.errors import OutcomeUnknown, StoreBusy, StoreError, StoreUnavailable
from ttrpg_mcp.recovery.clock import Clock
from ttrpg_mcp.recovery.deadline import current_deadline
from ttrpg_mcp.recovery.errors import BulkheadFull
from ttrpg_mcp.store.batch import Job, run_batch
from ttrpg_mcp.store.connection import Connection, hop
from ttrpg_mcp.store.locks import FileLock

__all__ = ["MOST_QUEUED", "Writer"]

T = TypeVar("T")

MOST_QUEUED = 256
_MOST_IN_BATCH = 128
_BATCH_WORK_S = 0.050
_RETRY_AFTER_S = 0.25  # two batches, as a rule
_LATE_LIMIT_S = 0.5  # how long an expired deadline may still wait for a batch on its way
_CANCELLED_LIMIT_S = 2.0  # how long a cancelled caller waits for it


class Writer:
    """Group commit for one file."""

    def __init__(self, compartment: str, database: aiosqlite.Connection, lock: FileLock, clock: Clock) -> None:
        self._compartment = compartment
        self._database = database
        self._lock = lock
        self._clock = clock
        self._queue: deque[Job] = deque()
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
        """Whether nothing waits and no batch is on its way."""
        return not self._queue and not self._is_running

    async def submit(self, work: Callable[[Connection], T]) -> T:
        """What the work returns, once it is committed.

        A caller that is cancelled while its unit waits takes the unit with it. Once the unit began, its end is awaited
        first; when it was our own deadline that passed and the batch ends soon after, the true outcome is returned,
        late but right. Raises BulkheadFull, StoreError and what the work raises.
        """
        if self._is_stopping:
            raise StoreUnavailable(self._compartment, "the file is being closed")
        if len(self._queue) >= MOST_QUEUED:
            raise BulkheadFull(f"db:{self._compartment}:write", _RETRY_AFTER_S)
        job = Job(work)
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
                else:
                    self._wake = anyio.Event()
                    await self._wake.wait()
        finally:
            # Reached with units waiting only when the event loop itself is being torn down.
            self._is_stopping = True
            self._refuse(tuple(self._queue), StoreUnavailable, "the writer was stopped")
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
                # Taken only now: a unit whose caller goes while the lock is awaited never runs.
                await self._run(self._take())
        except StoreBusy as busy:
            self._refuse([job for job in waiting if job in self._queue], StoreBusy, busy.detail)

    def _refuse(self, jobs: Iterable[Job], error: type[StoreError], detail: str) -> None:
        """End jobs that never began."""
        for job in jobs:
            self._queue.remove(job)
            job.fail(error(self._compartment, detail))
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

        def work(connection: Connection) -> None:
            run_batch(connection, batch, self._compartment, lambda: self._clock.monotonic() >= ends_at)

        self._is_running = True
        try:
            await hop(self._database, work)
        except Exception as error:  # noqa: BLE001 - the border of the writer: its callers get the error, and it goes on
            for job in batch:
                job.fail(OutcomeUnknown(self._compartment, f"{type(error).__name__}: {error}"))
        finally:
            self._is_running = False
            self._reply(batch)

    def _reply(self, batch: Iterable[Job]) -> None:
        left = []
        for job in batch:
            if job.has_outcome:
                job.ended.set()
            else:
                job.is_started = False
                left.append(job)
        self._queue.extendleft(reversed(left))
