"""Dice from text to total against `d20`, where it is installed; both draw from `random`."""

import math
import random
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from benchmarks.table import Row
from benchmarks.timing import ratio, rounds, sync_burst
from ttrpg_mcp.rules.dice import DEFAULT_LIMITS, DiceError, SampleChance, StreamChance, evaluate, open_half, parse
from ttrpg_mcp.rules.dice.grammar import _parsed

__all__ = ["measure"]

# Our text, that of d20, and the least times that we are faster: without and with our cache of parsed texts.
_ROWS: tuple[tuple[str, str, float, float], ...] = (
    ("1d20+5", "1d20+5", 1, 5),
    ("4d6kh3", "4d6kh3", 1, 5),
    ("2d20kh1+7", "2d20kh1+7", 1, 5),
    ("8d6", "8d6", 1, 5),
    ("(2d6,3d8)kh1", "(2d6,3d8)kh1", 1, 5),
    ("10d10!>=9", "10d10e>8", 1, 5),
    ("3d6+2d8+1d10+5", "3d6+2d8+1d10+5", 1, 3),
    ("(2d6+3)*2", "(2d6+3)*2", 1, 3),
    ("100d6", "100d6", 5, 5),
    ("999d6", "999d6", 5, 5),
    ("500d6kh250", "500d6kh250", 60, 60),
    ("999d6kh500", "999d6kh500", 60, 60),
)
_CHANCE = SampleChance(random.Random())
_HALF = open_half(bytes(32))


async def measure(*, quick: bool) -> list[Row]:
    """How many times faster than d20, its own cache on."""
    if find_spec("d20") is None:
        return [Row("dice", "d20 / ours", math.nan, note="d20 is not installed; it comes with the extra `bench`")]
    d20: Any = import_module("d20")
    roller = d20.Roller(d20.RollContext(max_rolls=10_000))
    rows = []
    for text, foreign_text, fresh, cached in _ROWS:
        if _is_understood(text):
            rows += await _compare(text, foreign_text, fresh, cached, roller.roll, 3 if quick else 7)
        else:
            rows.append(Row("dice", f"{text}: d20 / ours", math.nan, note="ours does not roll this yet"))
    return rows


def _is_understood(text: str) -> bool:
    try:
        parse(text)
    except DiceError:
        return False
    return True


async def _compare(
    text: str, foreign_text: str, least_fresh: float, least_cached: float, foreign: Callable[[str], object], count: int
) -> list[Row]:
    calls = 1 if "k" in text and "00" in text else 5 if "00" in text or "999" in text else 100
    costs = await rounds(
        count,
        {
            "d20": sync_burst(lambda: foreign(foreign_text), calls),
            "fresh": sync_burst(lambda: evaluate(_parsed.__wrapped__(text, DEFAULT_LIMITS), _CHANCE).total, calls),
            "cached": sync_burst(lambda: evaluate(parse(text), _CHANCE).total, calls),
            "stream": sync_burst(lambda: evaluate(parse(text), StreamChance(_HALF, 1, 1)).total, calls),
        },
    )
    targets = {"fresh": least_fresh, "cached": least_cached, "stream": 1}
    rows = []
    for name, target in targets.items():
        wall, _ = ratio(costs, "d20", name)
        rows.append(Row("dice", f"{text}: d20 / ours, {name}", wall, target, at_least=True))
    return rows
