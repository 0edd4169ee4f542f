"""Trees as hypothesis makes them, and chance as hypothesis makes it."""

from fractions import Fraction
from itertools import pairwise
from typing import Literal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from ttrpg_mcp.rules.dice.tree import (
    Chain,
    Clamp,
    Compare,
    Count,
    Dice,
    Explode,
    Fate,
    Keep,
    Labelled,
    Modifier,
    Negate,
    Node,
    Number,
    Reroll,
    Step,
    unmet,
)

# A busy machine is no reason to fail: nothing here is measured by the clock.
untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

_KEEPS: tuple[Literal["kh", "kl", "dh", "dl"], ...] = ("kh", "kl", "dh", "dl")
_CLAMPS: tuple[Literal["mi", "ma"], ...] = ("mi", "ma")


def points() -> st.SearchStrategy[Compare]:
    return st.builds(Compare, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), st.integers(0, 12))


def modifiers() -> st.SearchStrategy[Modifier]:
    return st.one_of(
        st.builds(Keep, st.sampled_from(_KEEPS), st.integers(0, 6)),
        st.builds(Reroll, st.lists(points(), min_size=1, max_size=2).map(tuple), st.booleans()),
        st.builds(Explode, points()),
        st.builds(Clamp, st.sampled_from(_CLAMPS), st.integers(0, 12)),
        st.builds(Count, points()),
    )


def dice() -> st.SearchStrategy[Dice]:
    sides = st.one_of(st.integers(2, 20), st.sampled_from(Fate))
    chosen = st.lists(modifiers(), max_size=3).map(tuple)
    return st.builds(Dice, st.integers(0, 5), sides, chosen).filter(_is_accepted)


def numbers() -> st.SearchStrategy[Number]:
    decimals = st.integers(1, 999).map(lambda digits: Number(Fraction(2 * digits + 1, 20)))
    return st.one_of(st.integers(0, 50).map(Number), decimals)


def trees() -> st.SearchStrategy[Node]:
    return st.recursive(st.one_of(dice(), numbers()), _branches, max_leaves=6)


def _branches(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    labels = st.text("abc é-", min_size=1, max_size=5).map(str.strip).filter(bool)
    return st.one_of(
        st.builds(Negate, inner),
        st.builds(Labelled, inner, labels),
        _chains(inner, ["+", "-"]),
        _chains(inner, ["*", "/", "//", "%"]),
    )


def _chains(inner: st.SearchStrategy[Node], operators: list[str]) -> st.SearchStrategy[Chain]:
    steps = st.lists(st.builds(Step, st.sampled_from(operators), inner), min_size=1, max_size=2)
    return st.builds(Chain, inner, steps.map(tuple))


def _is_accepted(candidate: Dice) -> bool:
    return _ends(candidate) and _is_joined(candidate) and not _is_chain(candidate)


def _ends(candidate: Dice) -> bool:
    chains = [
        (modifier.point,) if isinstance(modifier, Explode) else modifier.points
        for modifier in candidate.modifiers
        if isinstance(modifier, Explode) or (isinstance(modifier, Reroll) and not modifier.once)
    ]
    return all(unmet(points, candidate.lowest, candidate.highest) for points in chains)


def _is_joined(candidate: Dice) -> bool:
    """Whether no two rerolls of one kind stand in a row: the text of those means one reroll."""
    return not any(
        isinstance(one, Reroll) and isinstance(other, Reroll) and one.once == other.once
        for one, other in pairwise(candidate.modifiers)
    )


def _is_chain(candidate: Dice) -> bool:
    """Whether several counts would count too much together."""
    points = [modifier.point for modifier in candidate.modifiers if isinstance(modifier, Count)]
    signs = {point.operator[0] for point in points if point.operator != "<>"}
    covers = not unmet(points, candidate.lowest, candidate.highest)
    return {"<", ">"} <= signs or (len(points) > 1 and covers)
