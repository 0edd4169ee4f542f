"""How other code uses the public pieces; checked by the type checker and never run."""

from fractions import Fraction
from pathlib import Path
from typing import assert_type

from ttrpg_mcp.app import build
from ttrpg_mcp.recovery.circuit_breaker import CircuitBreaker, CircuitBreakerConfig
from ttrpg_mcp.recovery.clock import SystemClock
from ttrpg_mcp.recovery.context import OperationContext
from ttrpg_mcp.recovery.pipeline import Pipeline
from ttrpg_mcp.recovery.retry_policy import RetryPolicy
from ttrpg_mcp.rules.dice import Expression, FixedChance, Roll, evaluate, parse
from ttrpg_mcp.server import TtrpgServer
from ttrpg_mcp.settings import Settings


async def answer() -> int:
    return 42


async def use() -> None:
    expression = parse("4d6kh3")
    assert_type(expression, Expression)
    roll = evaluate(expression, FixedChance([1, 2, 3, 4]))
    assert_type(roll, Roll)
    assert_type(roll.total, int | Fraction)

    clock = SystemClock()
    breaker = CircuitBreaker("service", CircuitBreakerConfig(failure_threshold=3), clock=clock)
    assert_type(await breaker.execute(answer), int)
    assert_type(await Pipeline(clock=clock).run(OperationContext("ask"), answer), int)
    assert_type(RetryPolicy.from_mapping({"maxAttempts": 3}), RetryPolicy)

    assert_type(build(Settings(data=Path("/data"))), TtrpgServer)
