"""Notes: each says what was read, and which other program reads it differently."""

from ttrpg_mcp.rules.dice.tree import Compare, Keep

__all__ = [
    "counted",
    "counts_exactly",
    "drops_all",
    "drops_lowest",
    "exact_division",
    "explodes_on",
    "explodes_x",
    "floor_division",
    "keeps_all",
    "keeps_by_rank",
    "keeps_in_turn",
    "percentile",
    "rerolls_in_turn",
    "rerolls_together",
    "rerolls_until",
    "strict",
    "wrapped_rest",
]


def counted(term: str, point: Compare) -> str:
    """A compare point behind dice counts them."""
    instead = " Set dc for that." if point.operator == ">=" else ""
    return f"{term}{point.operator}{point.value} counts dice one by one; d20 (Avrae) compares the total.{instead}"


def counts_exactly(point: Compare) -> str:
    """A `t` with a bare number."""
    return f"t{point.value} counts dice that show exactly {point.value}. Write t>={point.value} for that or more."


def strict(point: Compare) -> str:
    """A strict comparison."""
    typed = f"{point.operator}{point.value}"
    return f"{typed} is strict; Roll20 includes {point.value}. Write {point.operator}={point.value} for that."


def keeps_by_rank(typed: str, keep: Keep) -> str:
    """A bare `k` or `p` with a number."""
    does = f"keeps the highest {keep.count}" if keep.name == "kh" else f"drops the lowest {keep.count}"
    return f"{typed}{keep.count} {does}; d20 (Avrae) takes the dice that show {keep.count}."


def keeps_in_turn() -> str:
    """Several keeps on one term."""
    return "Each keep or drop works on what the one before it left; d20 (Avrae) joins them."


def keeps_all(keep: Keep, count: int) -> str:
    """More to keep than there is."""
    return f"{keep.name}{keep.count} keeps all of {count} dice; some programs drop dice here."


def drops_all(keep: Keep) -> str:
    """Nothing is left."""
    return f"{keep.name}{keep.count} drops every die. To add a d{keep.count}, write +d{keep.count}."


def drops_lowest(keep: Keep) -> str:
    """A bare `d` with a number that is also a die."""
    return f"d{keep.count} drops the lowest {keep.count} dice. To add a d{keep.count}, write +1d{keep.count}."


def rerolls_together() -> str:
    """Rerolls of one kind in a row."""
    return "Rerolls in a row are one set, as in Roll20; Foundry works them off one after the other."


def rerolls_in_turn() -> str:
    """Rerolls that are no set."""
    return "A later reroll may bring back a face that an earlier one replaced."


def rerolls_until() -> str:
    """A bare `r`."""
    return "r rerolls until the die no longer fits; Foundry rerolls once. Write ro to reroll once."


def explodes_on(point: Compare) -> str:
    """An explosion that looks like `!=`."""
    return f"!={point.value} explodes on {point.value}; d20 (Avrae) reads a total that is not {point.value}."


def explodes_x(value: int) -> str:
    """An `x` with a number that could be meant as a repeat."""
    return f"x{value} explodes on {value}. To repeat a roll, write {value}x in front."


def percentile() -> str:
    """A `d%`."""
    return "d% is 1 to 100; d20 (Avrae) reads 0, 10, .. 90."


def exact_division() -> str:
    """A division that may leave a rest."""
    return "/ divides exactly; some programs round down. Write // for that."


def floor_division() -> str:
    """Two slashes before a number."""
    return "// divides and rounds down; rpg-dice-roller reads a comment."


def wrapped_rest() -> str:
    """A rest of a division whose sides differ in sign."""
    return "% takes the sign of its right side (-7%3 is 2); some programs take that of the left."
