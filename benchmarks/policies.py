"""The recovery policies around a coroutine that does nothing, against the one time limit nobody would leave out."""

import anyio

from benchmarks.table import Row
from benchmarks.timing import loop_burst, ratio, rounds
from ttrpg_mcp.recovery.bulkhead import Bulkheads
from ttrpg_mcp.recovery.circuit_breaker import CircuitBreakerConfig, CircuitBreakers
from ttrpg_mcp.recovery.clock import SystemClock
from ttrpg_mcp.recovery.context import OperationContext
from ttrpg_mcp.recovery.deadline import within
from ttrpg_mcp.recovery.pipeline import Gate, Pipeline
from ttrpg_mcp.recovery.retry_policy import Retrier, RetryPolicy

__all__ = ["measure"]

_CALLS = 3_000


async def measure(*, quick: bool) -> list[Row]:
    """Happy path: nothing fails, nothing waits."""
    clock = SystemClock()
    operation = OperationContext("trivial", dependency="d", compartment="c", idempotent=True)
    pipeline = Pipeline(
        clock=clock,
        retrier=Retrier(RetryPolicy(), clock=clock),
        breakers=CircuitBreakers(CircuitBreakerConfig(), clock=clock),
        bulkheads=Bulkheads(8, 256),
        attempt_s=1.0,
    )
    gate = Gate(clock=clock, total_s=1.0, bulkheads=Bulkheads(8, 256))

    async def trivial() -> int:
        return 1

    async def bare_await() -> int:
        return await trivial()

    async def limited() -> int:
        with anyio.fail_after(1):
            return await trivial()

    async def as_in_a_call() -> int:
        with within(clock, 1.0, "total"):
            return await pipeline.run(operation, trivial)

    subjects = {
        "await": loop_burst(bare_await, _CALLS),
        "fail_after": loop_burst(limited, _CALLS),
        "pipeline": loop_burst(lambda: pipeline.run(operation, trivial), _CALLS),
        "pipeline inside a total limit": loop_burst(as_in_a_call, _CALLS),
        "gate": loop_burst(lambda: gate.run(operation, trivial), _CALLS),
    }
    costs = await rounds(5 if quick else 15, subjects)
    targets = {"pipeline": 1.25}
    rows = []
    for name in ("pipeline", "pipeline inside a total limit", "gate"):
        wall, cpu = ratio(costs, name, "fail_after")
        rows.append(Row("policies", f"{name} / one fail_after", wall, targets.get(name), cpu))
    wall, cpu = ratio(costs, "pipeline", "await")
    return [*rows, Row("policies", "pipeline / bare await", wall, 60, cpu)]
