import random
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.rules.dice.strategies import dice, trees, untimed
from ttrpg_mcp.rules.dice import (
    Bounds,
    DiceDivZeroError,
    DiceError,
    DiceSyntaxError,
    DiceTooBigError,
    DiceTooManyError,
    Die,
    Expression,
    FixedChance,
    Limits,
    SampleChance,
    Value,
    canonical,
    evaluate,
    evaluate_all,
    parse,
)
from ttrpg_mcp.rules.dice.tree import Chain, Dice, Node, Number, Step


class RecordingChance:
    """Draws from a seeded generator and keeps every request."""

    def __init__(self, seed: int) -> None:
        self.requests: list[tuple[int, int]] = []
        self._chance = SampleChance(random.Random(seed))

    def draw(self, count: int, faces: int) -> list[int]:
        self.requests.append((count, faces))
        return self._chance.draw(count, faces)


def d6(value: int, **marks: object) -> Die:
    return replace(Die(value, 6), **marks)  # type: ignore[arg-type]  # the marks of a table


@pytest.mark.parametrize(
    ("text", "faces", "total"),
    [
        ("1d20+5", [14], 19),
        ("2d20kh1", [4, 17], 17),
        ("2d20kl1", [4, 17], 4),
        ("1d20adv+5", [4, 17], 22),
        ("1d20dis", [4, 17], 4),
        ("4d6kh3+2", [6, 5, 3, 1], 16),
        ("4d6d1", [6, 5, 3, 1], 14),
        ("4d6dh1", [6, 5, 3, 1], 9),
        ("4d6kh99", [6, 5, 3, 1], 15),
        ("4d6kh0", [6, 5, 3, 1], 0),
        ("4d6dl9", [6, 5, 3, 1], 0),
        ("4d6kh3kl1", [6, 5, 3, 1], 3),
        ("0d6+3", [], 3),
        ("d%", [100], 100),
        ("4dF", [1, 3, 5, 6], 1),
        ("4dF.1", [1, 2, 5, 6], 0),
        ("1d20mi10", [3], 10),
        ("1d20ma10", [13], 10),
        ("2d6mi3", [1, 5], 8),
        ("2d6ro<3", [2, 5, 1], 6),
        ("2d6rr<3", [2, 5, 1, 4], 9),
        ("1d6r1r2", [1, 2, 1, 3], 3),
        ("1d6ro1ro2", [1, 2], 2),
        ("1d6r1ro2", [1, 2, 1], 1),
        ("2d6!", [6, 2, 6, 3], 17),
        ("3d6>=5", [5, 6, 4], 2),
        ("3d6t>=5f=1", [5, 1, 1], -1),
        ("6d10>=8!", [8, 10, 1, 1, 1, 1, 9], 3),
        ("6d10!>=9>=8", [8, 1, 1, 1, 1, 9, 10, 2], 3),
        ("1d20+1d6>=5", [11, 5], 12),
        ("(1d6+2)*-3", [4], -18),
        ("7/2", [], Fraction(7, 2)),
        ("6/2", [], 3),
        ("7//2", [], 3),
        ("-7//2", [], -4),
        ("-7%3", [], 2),
        ("0.1+0.2", [], Fraction(3, 10)),
        ("8-4-2", [], 2),
        ("100/10*2", [], 20),
    ],
)
def test_faces_come_to_a_total(text: str, faces: list[int], total: Value) -> None:
    chance = FixedChance(faces)

    roll = evaluate(parse(text), chance)

    assert (total, 0) == (roll.total, chance.left)


@pytest.mark.parametrize(
    ("text", "faces", "expected"),
    [
        ("4d6kh2", [3, 5, 3, 3], [d6(3), d6(5), d6(3, kept=False), d6(3, kept=False)]),
        ("4d6dh2", [3, 5, 3, 3], [d6(3), d6(5, kept=False), d6(3), d6(3, kept=False)]),
        ("1d6+1d6", [3, 5], [d6(3), d6(5, term=1)]),
        ("2d6mi3", [1, 5], [d6(3, face=1), d6(5)]),
        ("1d6mi3ma2", [1], [d6(2, face=1)]),
        ("2d6ro1", [1, 5, 1], [d6(1, kept=False, rerolled=True), d6(1, origin="reroll"), d6(5)]),
        (
            "2d6rr1",
            [1, 5, 1, 2],
            [
                d6(1, kept=False, rerolled=True),
                d6(1, kept=False, rerolled=True, origin="reroll"),
                d6(2, origin="reroll"),
                d6(5),
            ],
        ),
        (
            "2d6!",
            [6, 2, 6, 3],
            [d6(6, exploded=True), d6(6, exploded=True, origin="explode"), d6(3, origin="explode"), d6(2)],
        ),
        ("2d6kh1!", [6, 6, 3], [d6(6, exploded=True), d6(3, origin="explode"), d6(6, kept=False)]),
        ("2d6>=5f=1", [5, 1], [d6(5, success=True), d6(1, failure=True)]),
    ],
)
def test_every_die_is_listed_with_its_marks(text: str, faces: list[int], expected: list[Die]) -> None:
    assert tuple(expected) == evaluate(parse(text), FixedChance(faces)).dice


def test_dice_are_drawn_by_term_then_modifier_then_chain() -> None:
    chance = RecordingChance(1)

    roll = evaluate(parse("3d6ro<6!>2+2d8"), chance)

    rerolled = sum(die.origin == "reroll" for die in roll.dice)
    exploded = sum(die.origin == "explode" for die in roll.dice)
    assert [(3, 6)] + (rerolled + exploded) * [(1, 6)] + [(2, 8)] == chance.requests


def test_one_chain_ends_before_the_next_die_is_touched() -> None:
    roll = evaluate(parse("2d6!"), FixedChance([6, 6, 6, 1, 2]))

    assert [6, 6, 1, 6, 2] == [die.value for die in roll.dice]


@pytest.mark.parametrize(("text", "total"), [("1d6!", 606), ("1d6r6", 6)])
def test_a_chain_stops_at_its_limit_with_a_note(text: str, total: int) -> None:
    chance = FixedChance([6] * 101)

    roll = evaluate(parse(text), chance)

    assert (total, 0) == (roll.total, chance.left)
    assert "A die reached the limit of 100 explosions or rerolls; it stopped there." == roll.notes[-1]


def test_a_chain_that_ends_at_its_limit_is_not_noted() -> None:
    assert () == evaluate(parse("1d6!"), FixedChance([6] * 100 + [5])).notes


def test_rerolling_once_is_not_noted_when_the_new_die_fits_again() -> None:
    assert () == evaluate(parse("1d6ro1"), FixedChance([1, 1])).notes


def test_repeats_roll_one_after_the_other() -> None:
    chance = FixedChance([1, 2, 3, 4])

    rolls = evaluate_all(parse("6x 2d6"), 2, chance)

    assert ([3, 7], 0) == ([roll.total for roll in rolls], chance.left)


def test_repeats_share_one_budget_of_dice_while_drawing() -> None:
    chance = RecordingChance(1)

    with pytest.raises(DiceTooManyError, match=r"the limit is 10,000 over all repeats\."):
        evaluate_all(parse("100d6!>=2"), 100, chance)

    assert 10_000 == sum(count for count, _ in chance.requests)


def test_repeats_may_use_their_whole_budget() -> None:
    rolls = evaluate_all(parse("2d6!"), 2, FixedChance([6, 1, 1, 1, 1]), Limits(repeated_dice=5))

    assert [3, 2] == [len(roll.dice) for roll in rolls]


def test_each_repeat_stays_within_the_dice_of_a_roll() -> None:
    with pytest.raises(DiceTooManyError, match=r"the limit is 3 per roll\."):
        evaluate_all(parse("2d6!"), 2, FixedChance([1, 1, 6, 6, 1, 1]), Limits(dice=3))


@pytest.mark.parametrize(("times", "error"), [(0, DiceSyntaxError), (101, DiceTooManyError), (11, DiceTooManyError)])
def test_too_many_repeats_are_refused_before_the_first_draw(times: int, error: type[DiceError]) -> None:
    chance = RecordingChance(1)

    with pytest.raises(error):
        evaluate_all(parse("999d6"), times, chance)

    assert [] == chance.requests


def test_explosions_stay_within_the_dice_of_a_roll() -> None:
    with pytest.raises(DiceTooManyError) as caught:
        evaluate(parse("2+900d6!>=2"), RecordingChance(1))

    assert 2 == caught.value.position


def test_a_zero_that_slipped_through_the_check_is_reported_at_its_operator() -> None:
    divisor = Chain(Dice(1, 6), (Step("-", Number(1)),))
    expression = replace(parse("1"), root=Chain(Number(10), (Step("//", divisor, 3),)))

    with pytest.raises(DiceDivZeroError) as caught:
        evaluate(expression, FixedChance([1]))

    assert 3 == caught.value.position


def test_a_value_over_the_limit_is_reported_at_its_operator() -> None:
    expression = replace(parse("1"), root=Chain(Number(10**15), (Step("*", Dice(1, 6), 7),)))

    with pytest.raises(DiceTooBigError) as caught:
        evaluate(expression, FixedChance([2]))

    assert 7 == caught.value.position


@pytest.mark.parametrize(
    ("text", "faces", "successes", "failures"),
    [
        ("3d6", [5, 1, 1], None, None),
        ("3d6>=5", [5, 1, 1], 1, None),
        ("3d6>=5f=1", [5, 1, 1], -1, 2),
        ("2d6>=5+2d6>=6", [5, 6, 5, 6], 3, None),
        ("2d6>=5>=6", [5, 6], 2, None),
        ("2d6kh1>=5", [5, 6], 1, None),
    ],
)
def test_pools_tell_their_counts(text: str, faces: list[int], successes: int | None, failures: int | None) -> None:
    roll = evaluate(parse(text), FixedChance(faces))

    assert (successes, failures) == (roll.successes, roll.failures)


def test_a_rest_of_mixed_signs_is_noted() -> None:
    assert "% takes the sign of its right side" in evaluate(parse("-7%3"), FixedChance([])).notes[0]


@untimed
@given(dice(), st.integers())
def test_kept_values_add_up_for_plain_sums(term: Dice, seed: int) -> None:
    assume(not term.is_pool)

    try:
        roll = evaluate(parse(f"{canonical(_expression(term))}+7"), RecordingChance(seed))
    except DiceTooManyError:  # several explosions on one term grow fast
        return

    assert sum(die.value for die in roll.dice if die.kept) + 7 == roll.total


@untimed
@given(trees(), st.integers())
def test_a_total_lies_within_the_bounds_told_before(tree: Node, seed: int) -> None:
    try:
        roll = evaluate(parse(canonical(_expression(tree))), RecordingChance(seed))
    except DiceError:
        return

    assert roll.minimum is None or roll.minimum <= roll.total
    assert roll.maximum is None or roll.maximum >= roll.total


@untimed
@given(trees(), st.integers())
def test_only_the_number_of_dice_can_stop_a_roll_that_was_accepted(tree: Node, seed: int) -> None:
    try:
        expression = parse(canonical(_expression(tree)))
    except DiceError:
        return

    with suppress(DiceTooManyError):
        evaluate(expression, RecordingChance(seed))


@untimed
@given(trees(), st.integers())
def test_no_roll_draws_more_dice_than_its_limit(tree: Node, seed: int) -> None:
    chance = RecordingChance(seed)

    with suppress(DiceError):
        evaluate(parse(canonical(_expression(tree))), chance, Limits(dice=8))

    assert 8 >= sum(count for count, _ in chance.requests)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("1d20+5", 6, 25),
        ("4d6kh3", 3, 18),
        ("4d6dl1", 3, 18),
        ("2d6-1d4", -2, 11),
        ("-(1d6)", -6, -1),
        ("(1d6-3)*(1d4-2)", -4, 6),
        ("2d6ro1", 2, 12),
        ("2d6rr1", 4, 12),
        ("2d6rr>=5", 2, 8),
        ("1d6rr<6", 1, 6),
        ("1d20mi10", 10, 20),
        ("1d20ma10", 1, 10),
        ("1d6mi4ro1", 1, 6),
        ("2d6!+1", 3, None),
        ("4dF", -4, 4),
        ("4dF!", None, None),
        ("5d10>=8", 0, 5),
        ("5d10>=8f=1", -5, 5),
        ("1d6/4", Fraction(1, 4), Fraction(3, 2)),
        ("1d6//4", 0, 1),
        ("6/1d3", 2, 6),
        ("10/(2d6!)", 0, 5),
        ("1d6r1r2", 3, 6),
        ("1d6r1r2r3r4", 1, 6),
        ("1d6%(0-4)", -3, 0),
        ("1d20%4", 0, 3),
        ("7%4", 3, 3),
        ("2d6!*2", 4, None),
        ("0d6", 0, 0),
    ],
)
def test_bounds_are_told_before_rolling(text: str, low: Value | None, high: Value | None) -> None:
    bounds = parse(text).bounds

    assert (low, high) == (bounds.low, bounds.high)


def _expression(root: Node) -> Expression:
    return Expression(root, "", Bounds(None, None))
