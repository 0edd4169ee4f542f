import pytest

from ttrpg_mcp.rules.dice import (
    Bounds,
    DiceAdvantageError,
    DiceTooManyError,
    Way,
    canonical,
    parse,
    with_advantage,
)


@pytest.mark.parametrize(
    ("text", "way", "expected"),
    [
        ("1d20+5", "adv", "2d20kh1+5"),
        ("1d20+5", "dis", "2d20kl1+5"),
        ("1d20+1d4", "adv", "2d20kh1+1d4"),
        ("1d4+d20[x]", "adv", "1d4+2d20kh1[x]"),
        ("2d6-(1d8)", "adv", "2d6-2d8kh1"),
        ("1d20ro1", "dis", "2d20ro1kl1"),
    ],
)
def test_advantage_doubles_the_only_single_die(text: str, way: Way, expected: str) -> None:
    assert expected == canonical(with_advantage(parse(text), way))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("3d6", "three d6"),
        ("1d20+1d20", "one d20 and one d20"),
        ("1d8+1d6", "one d8 and one d6"),
        ("12d6", "12 d6"),
        ("5", "no dice"),
        ("1d20adv", "two d20"),
    ],
)
def test_advantage_without_one_single_die_is_refused(text: str, found: str) -> None:
    with pytest.raises(DiceAdvantageError) as caught:
        with_advantage(parse(text), "adv")

    assert f"Advantage needs one single die; this roll has {found}." == str(caught.value)


def test_advantage_keeps_everything_else_of_the_expression() -> None:
    parsed = parse("6x 1d20/2 stealth")

    doubled = with_advantage(parsed, "adv")

    assert (parsed.text, 6, "stealth", parsed.notes) == (doubled.text, doubled.times, doubled.comment, doubled.notes)


def test_advantage_tells_the_bounds_of_the_new_roll() -> None:
    assert Bounds(2, 21) == with_advantage(parse("1d20+1"), "adv").bounds


def test_advantage_counts_its_second_die() -> None:
    with pytest.raises(DiceTooManyError):
        with_advantage(parse("1d20+999d6"), "adv")
