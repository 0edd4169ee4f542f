from fractions import Fraction

import pytest

from ttrpg_mcp.rules.dice import FixedChance, Value, evaluate, parse
from ttrpg_mcp.rules.dice.show import number


@pytest.mark.parametrize(
    ("text", "faces", "expected"),
    [
        ("4d6kh3+2", [6, 5, 3, 1], "4d6kh3 (6, 5, 3, ~~1~~) + 2 = 16"),
        ("2d6!", [6, 2, 3], "2d6!>=6 (6!, 3, 2) = 11"),
        ("1d6ro1", [1, 4], "1d6ro1 (~~1~~, 4) = 4"),
        ("1d20mi10", [3], "1d20mi10 (3→10) = 10"),
        ("3d6>=5f=1", [5, 1, 3], "3d6>=5f=1 (**5**, *1*, 3) = 0"),
        ("2d6[fire]+1d4[cold]", [3, 4, 2], "2d6 (3, 4) [fire] + 1d4 (2) [cold] = 9"),
        ("(1d6+2)*-3", [4], "(1d6 (4) + 2) * -3 = -18"),
        ("-(1d6+2)[a]", [4], "-(1d6 (4) + 2) [a] = -6"),
        ("8-(4-2)", [], "8 - (4 - 2) = 6"),
        ("0d6+1d4", [2], "0d6 () + 1d4 (2) = 2"),
        ("10/3", [], "10 / 3 = 3.333333"),
        ("1d6/999999999999999", [2], "1d6 (2) / 999999999999999 = 2/999999999999999"),
    ],
)
def test_a_breakdown_shows_every_die(text: str, faces: list[int], expected: str) -> None:
    assert expected == evaluate(parse(text), FixedChance(faces)).breakdown


def test_a_breakdown_of_many_dice_is_cut() -> None:
    breakdown = evaluate(parse("1000d6"), FixedChance([1] * 1000)).breakdown

    assert breakdown.endswith("1, 1, … 950 more) = 1000")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, "7"),
        (Fraction(7, 2), "3.5"),
        (Fraction(-1, 8), "-0.125"),
        (Fraction(2, 3), "0.666667"),
        (Fraction(1, 10**9), "1/1000000000"),
        (Fraction(-1, 10**9), "-1/1000000000"),
        (Fraction(1, 10**60), "about 0"),
    ],
)
def test_a_number_has_at_most_six_places_but_is_never_shown_as_zero(value: Value, expected: str) -> None:
    assert expected == number(value)
