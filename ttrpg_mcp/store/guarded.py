"""The storage inside its policies: every call passes retry, breaker and time limit of its class.

One breaker for reads and one for writes of each file. A write has no attempt limit of its own: waiting for the lock is
bounded already, and a commit that has begun is settled by the call's total deadline, never abandoned half-way. Slots
are the writer's queue and the two readers of each file.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import anyio

from ttrpg_mcp.play.errors import StoreBusy, StoreCorrupt, StoreError, StoreFull, StoreUnavailable
from ttrpg_mcp.play.ports import SERVER, Call, CampaignEntry, Json, ServerUnit, StoredAnswer, StoreHealth, Unit
from ttrpg_mcp.recovery.circuit_breaker import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakers,
    CircuitState,
    Outcome,
)
from ttrpg_mcp.recovery.clock import Clock
from ttrpg_mcp.recovery.context import OperationContext
from ttrpg_mcp.recovery.errors import DeadlineExceeded
from ttrpg_mcp.recovery.events import Events
from ttrpg_mcp.recovery.fault import Classify
from ttrpg_mcp.recovery.op_classes import NUMBERS, OpClass
from ttrpg_mcp.recovery.pipeline import Pipeline
from ttrpg_mcp.recovery.retry_policy import Retrier
from ttrpg_mcp.store.store import SqliteStore

__all__ = ["GuardedStore"]

T = TypeVar("T")

_REOPEN_S = 1.0


@dataclass(frozen=True, slots=True)
class _Way:
    """Reads or writes: their class, their policies and their breakers."""

    name: str
    op_class: OpClass
    pipeline: Pipeline
    breakers: CircuitBreakers

    async def run(self, call: Call, campaign_id: str, work: Callable[[], Any]) -> Any:
        """The work's result. A fault that cannot pass by itself opens the breaker at once."""
        key = f"db:{campaign_id or 'server'}:{self.name}"
        operation = OperationContext(
            operation=call.tool,
            op_class=self.op_class,
            dependency=key,
            principal=str(call.principal),
            request_key=call.request_key,
            idempotent=NUMBERS[self.op_class].idempotent,
            trace_id=call.call_id,
        )
        try:
            return await self.pipeline.run(operation, work)
        except (StoreFull, StoreUnavailable):
            self.breakers.of(key).trip()
            raise


class GuardedStore:
    """The Store port with policies around a SqliteStore."""

    def __init__(self, store: SqliteStore, *, clock: Clock, classify: Classify, events: Events | None = None) -> None:
        self._store = store
        self._clock = clock
        self._reads = _way("read", OpClass.DB_READ, clock, classify, events or Events(clock))
        self._writes = _way("write", OpClass.DB_WRITE, clock, classify, events or Events(clock))
        self._opened = anyio.Event()
        self._failure: Exception | None = None

    async def open(self) -> bool:
        """Try to open the storage, and say whether it is; a failure is kept for whoever asks."""
        try:
            await self._store.open()
            self._failure = None
        except Exception as error:  # noqa: BLE001 - named border: whatever it is, ready() tells it to every call
            self._failure = error
        self._opened.set()
        return self._failure is None

    async def keep_opening(self) -> None:
        """Try until it is open: a lock is let go, a disk comes back, a folder is repaired, and nobody restarts us."""
        while not await self.open():
            await self._clock.sleep(_REOPEN_S)

    async def close(self) -> None:
        """Finish the writes that wait and close every file; safe to repeat."""
        await self._store.close()

    async def ready(self) -> None:
        """Return when the storage is open. Raises what kept it from opening, as a rule a StoreError."""
        if not self._opened.is_set():  # waiting for what has happened would still cost a turn of the loop
            await self._opened.wait()
        if self._failure is not None:
            raise self._failure.with_traceback(None)  # else every call would add its frames to the same error

    async def write(self, call: Call, story: Callable[[Unit], T]) -> T:
        """As the port says, inside the policies."""
        value: T = await self._writes.run(call, call.campaign_id, lambda: self._store.write(call, story))
        return value

    async def read(self, call: Call, story: Callable[[Unit], T]) -> T:
        """As the port says, inside the policies."""
        value: T = await self._reads.run(call, call.campaign_id, lambda: self._store.read(call, story))
        return value

    async def write_server(self, call: Call, story: Callable[[ServerUnit], T]) -> T:
        """As the port says, inside the policies."""
        value: T = await self._writes.run(call, SERVER, lambda: self._store.write_server(call, story))
        return value

    async def read_server(self, call: Call, story: Callable[[ServerUnit], T]) -> T:
        """As the port says, inside the policies."""
        value: T = await self._reads.run(call, SERVER, lambda: self._store.read_server(call, story))
        return value

    async def create_campaign(self, call: Call, entry: CampaignEntry, story: Callable[[Unit], T]) -> T:
        """As the port says, inside the policies."""
        work = lambda: self._store.create_campaign(call, entry, story)  # noqa: E731 - named for the line length
        value: T = await self._writes.run(call, entry.campaign_id, work)
        return value

    async def stored_answer(self, call: Call) -> StoredAnswer | None:
        """As the port says, inside the policies."""
        answer: StoredAnswer | None = await self._reads.run(
            call, call.campaign_id, lambda: self._store.stored_answer(call)
        )
        return answer

    def health(self) -> StoreHealth:
        """From memory only."""
        health = self._store.health()
        if self._failure is None:
            return health
        problem = str(self._failure) if isinstance(self._failure, StoreError) else "The files cannot be opened."
        return replace(health, warnings=(f"{problem} It is tried again every second.", *health.warnings))

    def breakers(self) -> list[Json]:
        """Every breaker that is not simply closed."""
        return [
            _shown(breaker)
            for way in (self._reads, self._writes)
            for breaker in way.breakers.values()
            if _speaks(breaker)
        ]


def _way(name: str, op_class: OpClass, clock: Clock, classify: Classify, events: Events) -> _Way:
    numbers = NUMBERS[op_class]
    breakers = CircuitBreakers(
        numbers.breaker or CircuitBreakerConfig(),
        clock=clock,
        outcome_of=_outcome,
        events=events,
    )
    pipeline = Pipeline(
        clock=clock,
        retrier=Retrier(numbers.retry, clock=clock, classify=classify, events=events),
        breakers=breakers,
        attempt_s=numbers.attempt_s if numbers.idempotent else None,
        events=events,
    )
    return _Way(name, op_class, pipeline, breakers)


def _outcome(error: Exception) -> Outcome:
    """What an error says about the file: contention, damage and mistakes of any kind are no passing illness."""
    if isinstance(error, StoreBusy | StoreCorrupt):
        return Outcome.IGNORE
    is_illness = isinstance(error, StoreError) or (isinstance(error, DeadlineExceeded) and error.scope == "attempt")
    return Outcome.FAILURE if is_illness else Outcome.IGNORE


def _speaks(breaker: CircuitBreaker) -> bool:
    return breaker.state is not CircuitState.CLOSED or breaker.failures > 0


def _shown(breaker: CircuitBreaker) -> Json:
    return {
        "key": breaker.key,
        "state": breaker.state.value,
        "failures": breaker.failures,
        "retry_after_s": breaker.retry_after_s,
    }
