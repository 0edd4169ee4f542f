import pytest

from ttrpg_mcp.rules.dice import DiceError, DiceTooManyError, Limits, check, parse


def test_impossible_limits_are_refused_when_they_are_made() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Limits(dice=0)
    with pytest.raises(ValueError, match="text is at most 2000"):
        Limits(text=2_001)
    with pytest.raises(ValueError, match="nesting at most 64"):
        Limits(nesting=65)


@pytest.mark.parametrize(
    ("limits", "fits", "exceeds"),
    [
        (Limits(text=4), "1d20", "1d200"),
        (Limits(dice=3), "2d6+1d4", "2d6+2d4"),
        (Limits(sides=20), "1d20", "1d21"),
        (Limits(repeats=3), "3x d6", "4x d6"),
        (Limits(repeated_dice=6), "3x 2d6", "3x 3d6"),
        (Limits(digits=2), "99", "100"),
        (Limits(value=100), "10*10", "10*11"),
        (Limits(nesting=2), "((1))", "(((1)))"),
        (Limits(nodes=3), "1+1d6kh1", "1+1d6kh1!"),
    ],
)
def test_each_limit_is_the_largest_value_that_is_allowed(limits: Limits, fits: str, exceeds: str) -> None:
    parse(fits, limits)

    with pytest.raises(DiceError):
        parse(exceeds, limits)


def test_repeats_multiply_the_dice() -> None:
    parsed = parse("101d6")

    check(parsed, 99)
    with pytest.raises(DiceTooManyError, match=r"10,100 dice over 100 repeats; the limit is 10,000."):
        check(parsed, 100)


@pytest.mark.parametrize("times", [0, -1, 101])
def test_repeats_have_bounds(times: int) -> None:
    with pytest.raises(DiceError):
        check(parse("1d6"), times)
