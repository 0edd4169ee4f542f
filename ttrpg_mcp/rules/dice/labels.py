"""Subtotals per label."""

from collections.abc import Iterator
from typing import TypeAlias

from ttrpg_mcp.rules.dice.arithmetic import apply
from ttrpg_mcp.rules.dice.tree import Chain, Dice, Labelled, Negate, Node, Number, Value

__all__ = ["subtotals"]

Shares: TypeAlias = dict[str, Value]


def subtotals(node: Node, throws: Iterator[Value]) -> Shares:
    """What each label adds to the value of a tree; "" is what has no label.

    throws gives the values of the dice terms, from the left. A label takes what has none yet: `(1d6[fire] + 2)[weapon]`
    keeps the fire apart. A factor without labels scales every share; where shares cannot be told apart any more (labels
    on both sides of `*`, a floor over several labels), the value has no label.
    """
    match node:
        case Number():
            return {"": node.value}
        case Dice():
            return {"": next(throws)}
        case Negate():
            return {label: -share for label, share in subtotals(node.operand, throws).items()}
        case Labelled():
            return _relabelled(subtotals(node.operand, throws), node.label)
        case Chain():
            shares = subtotals(node.first, throws)
            for step in node.steps:
                shares = _joined(step.operator, shares, subtotals(step.operand, throws))
            return shares


def _relabelled(shares: Shares, label: str) -> Shares:
    relabelled: Shares = {}
    for old, share in shares.items():
        relabelled[old or label] = relabelled.get(old or label, 0) + share
    return relabelled


def _joined(operator: str, left: Shares, right: Shares) -> Shares:
    if operator in ("+", "-"):
        added = {label: apply(operator, left.get(label, 0), share) for label, share in right.items()}
        return {**left, **added}
    is_linear = operator in ("*", "/")
    if right.keys() == {""} and (is_linear or len(left) == 1):
        return {label: apply(operator, share, right[""]) for label, share in left.items()}
    if left.keys() == {""} and operator == "*":
        return {label: apply(operator, left[""], share) for label, share in right.items()}
    return {"": apply(operator, sum(left.values()), sum(right.values()))}
