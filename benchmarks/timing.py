"""Interleaved rounds: every subject has its burst in every round, so that what disturbs one disturbs all.

A ratio is the median over the rounds of the ratio within one round; a burst is told by its median call. Starts, which
are few and long, are told by their best round.
"""

import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

__all__ = ["Burst", "Cost", "Costs", "async_burst", "least", "loop_burst", "ratio", "rounds", "sync_burst"]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call took, in seconds.

    Attributes:
        wall: Median of the burst.
        cpu: Mean of the burst, of the process that answered; nan where it cannot be had.
    """

    wall: float
    cpu: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.wall + other.wall, self.cpu + other.cpu)


Burst = Callable[[], Awaitable[Cost]]
Costs = Mapping[str, list[Cost]]


async def rounds(count: int, subjects: Mapping[str, Burst]) -> Costs:
    """The costs of every subject, one a round; the order turns, and one round before the first is thrown away."""
    costs: dict[str, list[Cost]] = {name: [] for name in subjects}
    names = list(subjects)
    gc.collect()
    gc.freeze()  # what is alive already is nobody's garbage
    for number in range(-1, count):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            cost = await subjects[name]()
            if number >= 0:
                costs[name].append(cost)
    gc.unfreeze()
    return costs


def ratio(costs: Costs, subject: str, *rivals: str) -> tuple[float, float]:
    """(wall, CPU) of the subject against the sum of its rivals."""
    pairs = []
    for number, cost in enumerate(costs[subject]):
        rival = sum((costs[name][number] for name in rivals), Cost(0.0, 0.0))
        pairs.append((cost.wall / rival.wall, cost.cpu / rival.cpu if rival.cpu > 0 else float("nan")))
    return statistics.median(wall for wall, _ in pairs), statistics.median(cpu for _, cpu in pairs)


def least(costs: Costs, subject: str, rival: str) -> tuple[float, float]:
    """(wall, CPU) of the subject's best round against the rival's: for bursts of one long piece of equal work."""
    wall = min(cost.wall for cost in costs[subject]) / min(cost.wall for cost in costs[rival])
    return wall, min(cost.cpu for cost in costs[subject]) / min(cost.cpu for cost in costs[rival])


def async_burst(call: Callable[[], Awaitable[object]], calls: int) -> Burst:
    """A burst of calls in this process, each timed alone."""

    async def burst() -> Cost:
        walls = []
        cpu = time.process_time()
        for _ in range(calls):
            began = time.perf_counter()
            await call()
            walls.append(time.perf_counter() - began)
        return Cost(statistics.median(walls), (time.process_time() - cpu) / calls)

    return burst


def sync_burst(call: Callable[[], object], calls: int, cpu_clock: Callable[[], float] = time.process_time) -> Burst:
    """A burst of blocking calls, each timed alone."""

    async def burst() -> Cost:
        walls = []
        cpu = cpu_clock()
        for _ in range(calls):
            began = time.perf_counter()
            call()
            walls.append(time.perf_counter() - began)
        return Cost(statistics.median(walls), (cpu_clock() - cpu) / calls)

    return burst


def loop_burst(call: Callable[[], Awaitable[object]], calls: int) -> Burst:
    """A burst of calls too short to be timed alone: the whole loop, divided."""

    async def burst() -> Cost:
        cpu, began = time.process_time(), time.perf_counter()
        for _ in range(calls):
            await call()
        wall, used = time.perf_counter() - began, time.process_time() - cpu
        return Cost(wall / calls, used / calls)

    return burst
