import pytest

from ttrpg_mcp.rules.dice import DiceAmbiguousError, DiceError, DiceTooBigError, DiceUnclosedError, parse

REFUSED: list[tuple[str, str, int, str]] = [
    ("4d6kx3", "DICE_SYNTAX", 4, 'Unexpected "x" after "k": a number is expected. Did you mean 4d6kh3?'),
    ("1d20+", "DICE_SYNTAX", 5, 'The expression ends after "+": a number or dice is missing.'),
    ("1d20+  # c", "DICE_SYNTAX", 5, 'The expression ends after "+"'),
    ("6x", "DICE_SYNTAX", 2, 'The expression ends after "6x"'),
    ("1d", "DICE_SYNTAX", 2, "a number of sides is missing"),
    ("1dx", "DICE_SYNTAX", 2, "a number of sides is expected"),
    ("*3", "DICE_SYNTAX", 0, 'Unexpected "*": a number or dice is expected.'),
    ("()", "DICE_SYNTAX", 1, 'Unexpected ")"'),
    ("1d6)", "DICE_SYNTAX", 3, "nothing is open"),
    ("3(2d6)", "DICE_SYNTAX", 1, "an operator is expected"),
    ("2 3", "DICE_SYNTAX", 2, "an operator is expected"),
    ("1d6 1d6", "DICE_SYNTAX", 4, "an operator is expected"),
    ("4d6kh-1", "DICE_SYNTAX", 5, "a number is expected. To subtract, write kh1 before the minus."),
    ("5d10>=", "DICE_SYNTAX", 6, "a number is missing"),
    ("5d10>=-1", "DICE_SYNTAX", 6, "a number is expected"),
    ("5d10>8d6", "DICE_SYNTAX", 6, "not dice"),
    ("2d6!3d6", "DICE_SYNTAX", 5, "not dice"),
    ("1d20mi", "DICE_SYNTAX", 6, "a number is missing. Example: 1d20mi10."),
    ("5d10t", "DICE_SYNTAX", 5, "a comparison is missing"),
    ("5d10f<2", "DICE_SYNTAX", 4, "counts nothing"),
    ("1d20+5 adv", "DICE_SYNTAX", 7, "right behind dice. Example: 1d20adv+5"),
    ("(4d6)kh3", "DICE_SYNTAX", 5, "right behind dice"),
    ("4d6[a]kh3", "DICE_SYNTAX", 6, "right behind dice"),
    ("1d6[]", "DICE_SYNTAX", 3, "A label needs a word."),
    ("(1d20 fire)", "DICE_SYNTAX", 6, "a comment stands only at the end"),
    ("1d20 /* x */ +1", "DICE_SYNTAX", 12, "A comment stands only at the end."),
    ("1d20+5$", "DICE_SYNTAX", 6, 'Unexpected "$".'),
    ("6d10>=3<=5", "DICE_SYNTAX", 7, "Chains of comparisons are not supported"),
    ("6d10>=8<2", "DICE_SYNTAX", 7, "such as =3=4=5"),
    ("6d10t<=5!t>=3", "DICE_SYNTAX", 9, "Chains"),
    ("2d6<>3<>5", "DICE_SYNTAX", 6, "Chains"),
    ("2d6<>3=3", "DICE_SYNTAX", 6, "Chains"),
    ("2d6=1>=2", "DICE_SYNTAX", 5, "Chains"),
    ("2d2=1=2", "DICE_SYNTAX", 5, "Chains"),
    ("1d20 5", "DICE_SYNTAX", 5, "Did you mean 1d20+5?"),
    ("1d% 5", "DICE_SYNTAX", 4, "Did you mean 1d%+5?"),
    ("4dF 2", "DICE_SYNTAX", 4, "Did you mean 4dF+2?"),
    ("1d20\x00", "DICE_SYNTAX", 4, "Unexpected invisible letter U+0000."),
    ("1d20+\n5", "DICE_SYNTAX", 5, "Unexpected line break. Write the expression on one line, as plain text."),
    ("1d20\u2028", "DICE_SYNTAX", 4, "line break"),
    ("2d6[fi\x1bre]", "DICE_SYNTAX", 6, "U+001B"),
    ("2d6 # a\u202eb", "DICE_SYNTAX", 7, "U+202E"),
    ("2d6 /* \u2066 */", "DICE_SYNTAX", 7, "U+2066"),
    ("2d6 fire\x85", "DICE_SYNTAX", 8, "U+0085"),
    ("2d6 # \ud800", "DICE_SYNTAX", 6, "U+D800"),
    ("1d20−1", "DICE_SYNTAX", 4, 'Did you mean "-"?'),
    ("0x1d6", "DICE_SYNTAX", 0, "at least once"),
    ("٣d6", "DICE_SYNTAX", 0, "Unexpected"),
    ("(1d6", "DICE_UNCLOSED", 0, '"(" at letter 1 is never closed.'),
    ("2*(1d6 # c", "DICE_UNCLOSED", 2, '"(" at letter 3 is never closed.'),
    ("1d6[fire", "DICE_UNCLOSED", 3, '"[" at letter 4 is never closed.'),
    ("1d6 /* c", "DICE_UNCLOSED", 4, '"/*" at letter 5 is never closed.'),
    ("", "DICE_EMPTY", 0, "Nothing to roll. Example: 1d20+5"),
    (" \t", "DICE_EMPTY", 0, "Nothing to roll."),
    ("# only this", "DICE_EMPTY", 0, "Nothing to roll."),
    ("1d2 0", "DICE_SPACE", 3, "A blank inside the dice. Remove the space: 1d20."),
    ("1 d20", "DICE_SPACE", 1, "Remove the space: 1d20."),
    ("1d10 0", "DICE_SPACE", 4, "Remove the space: 1d100."),
    ("1d 20", "DICE_SPACE", 2, "Remove the space: 1d20."),
    ("4d6kh 3", "DICE_SPACE", 5, "Remove the space: kh3."),
    ("3d6! 2d6", "DICE_SPACE", 4, "Remove the space: !2."),
    ("1000000d6", "DICE_TOO_MANY", 0, "1,000,000 dice; the limit is 1,000 per roll."),
    ("500d6+501d6", "DICE_TOO_MANY", 6, "1,001 dice"),
    ("101x 1d6", "DICE_TOO_MANY", 0, "101 repeats; the limit is 100."),
    ("100x 101d6", "DICE_TOO_MANY", 0, "10,100 dice over 100 repeats; the limit is 10,000."),
    ("1d0", "DICE_SIDES", 2, "A die needs at least 1 side."),
    ("2d6+1d1000001", "DICE_SIDES", 6, "A die of 1,000,001 sides; the limit is 1,000,000."),
    ("1d6rr<7", "DICE_ENDLESS", 3, "Every face of a d6 is below 7: it would be rerolled forever."),
    ("1d1!", "DICE_ENDLESS", 3, "Every face of a d1 is 1 or more: it would explode forever."),
    ("1d6!>0", "DICE_ENDLESS", 3, "above 0"),
    ("1d6kh1r<>7", "DICE_ENDLESS", 6, "not 7"),
    ("4dF!<2", "DICE_ENDLESS", 3, "dF"),
    ("1d2r1r2", "DICE_ENDLESS", 3, "Every face of a d2 is 1 or 2: it would be rerolled forever."),
    ("10/(1-1)", "DICE_DIV_ZERO", 2, "Division by zero."),
    ("7%0", "DICE_DIV_ZERO", 1, "Division by zero."),
    ("0*(1/(1d20//20-1))", "DICE_DIV_ZERO", 4, "Division by what may come to zero."),
    ("6/(1d3-2)", "DICE_DIV_ZERO", 1, "Divide by something that is always above 0."),
    ("10 // (1d6-1)", "DICE_DIV_ZERO", 3, "may come to zero"),
    ("10%(4dF!)", "DICE_DIV_ZERO", 2, "may come to zero"),
    ("1/(1d6rr1-1)", "DICE_DIV_ZERO", 1, "may come to zero"),
    ("1/(5d10>=8)", "DICE_DIV_ZERO", 1, "may come to zero"),
    ("1d6!*300000000000000", "DICE_TOO_BIG", 4, "The result may pass"),
    ("(7%(0-1d4))*999999999999999", "DICE_TOO_BIG", 11, "The result may pass"),
    ("1+1111111111111111", "DICE_TOO_BIG", 2, "A number of 16 digits; the limit is 15."),
    ("999999999*999999999", "DICE_TOO_BIG", 9, "The result may pass 1,000,000,000,000,000"),
    ("+".join("1" * 201), "DICE_TOO_BIG", 400, "more than 200 parts"),
    ("(" * 33, "DICE_TOO_DEEP", 32, "More than 32 brackets"),
    ("3d6adv", "DICE_ADVANTAGE", 0, "Advantage needs one single die; this roll has three d6."),
    ("1+2d20dis", "DICE_ADVANTAGE", 2, "this roll has two d20."),
    ("1d6!adv", "DICE_ADVANTAGE", 0, "not supported yet"),
    (
        "5d10cs>=8",
        "DICE_AMBIGUOUS",
        4,
        "cs counts successes in Foundry and marks crits in Roll20. Write 5d10>=8 to count.",
    ),
    ("4d6 drop lowest", "DICE_AMBIGUOUS", 4, "Write it as in 4d6dl1, or # in front of a comment."),
    ("1d20 with advantage", "DICE_AMBIGUOUS", 10, "Write it as in 2d20kh1, or # in front of a comment."),
    ("1d20 plus 5", "DICE_AMBIGUOUS", 5, "Write it as in 1d20+5, or # in front of a comment."),
    ("4d6 rex", "DICE_AMBIGUOUS", 4, '"rex" may be modifiers or a comment.'),
    ("10d6 d4", "DICE_AMBIGUOUS", 5, "Write +1d4 to add, or dl4 to drop."),
    ("1d20+@str", "DICE_UNKNOWN_VAR", 5, '"@str" is not known here.'),
    ("foo(3)", "DICE_UNKNOWN_FUNC", 0, 'Unknown function "foo".'),
]

SWALLOWED: list[tuple[str, int]] = [
    ("1d8 slashing + 2d6 fire", 13),
    ("2d6 fire + 1d8 cold", 9),
    ("1d20 stealth +5", 13),
    ("1d20 for attack +5", 16),
    ('1d20 "attack" + 5', 14),
    ("1d20 STR +3", 9),
    ("1d20 with bless +1d4", 16),
    ("1d20 bonus +3", 11),
    ("1d20 proficiency (+3)", 17),
    ("1d20 and 1d6", 9),
    ("1d20 hit, 2d6 damage", 8),
    ("1d20 hit, d6 damage", 8),
    ("1d20 // attack + 5", 15),
    ("1d20 w/ advantage", 8),
    ("1d20 at advantage", 8),
    ("1d20 'sneak' dis", 13),
    ("2d20 take highest", 5),
    ("2d20 highest", 5),
    ("4d6 best 3", 4),
    ("4d6 top 3", 4),
    ("4d6 without lowest", 4),
    ("8d6 half", 4),
    ("2d6 doubled", 4),
    ("8d6 half-damage", 4),
    ("2d6 fire re-rolling", 9),
    ("1d20 stealth + dex", 13),
    ("1d20 stealth - dex", 13),
    ("1d20 stealth -dex", 13),
    ("1d20 skill and dF", 15),
    ("1d20 attack [fire]", 12),
    ("1d20 goblin1", 5),
    ("1d20 ac>15", 7),
    ("1d20 bonus ٣", 11),
    ("1d20 bonus ½", 11),
    ("4d6 кh3", 4),
    ("4d6 кһ", 4),
    ("1d20 ｄ６", 5),
    ("1d20 with аdvantage", 10),
    ("1d20 with ａｄｖ", 10),
]

NOT_YET: list[tuple[str, int]] = [
    ("{4d6,2d8}kh1", 0),
    ("(2d6,)", 4),
    ("(2)d6", 3),
    ("1d(6)", 2),
    ("1d[1,2]", 2),
    ("1dc", 2),
    ("[[1d6]]", 0),
    ("floor(7/2)", 0),
    ("1d6+max(1,2)", 4),
    ("1d20+5>=15", 6),
    ("(3d6)<=11", 5),
    ("1d20 != 5", 5),
    ("9**99", 1),
    ("2^3", 1),
    ("4d6k=3", 3),
    ("4d6p<2", 3),
    ("6d10!!", 4),
    ("6d10!p", 4),
    ("6d10!!p", 4),
    ("6d10!o", 4),
    ("3d6km1", 3),
    ("2d6ra<3", 3),
    ("2d6xo", 3),
    ("4d6u", 3),
    ("4d6 uo", 4),
    ("4d6s", 3),
    ("4d6sd", 3),
    ("5d10tt>=10", 4),
    ("1d20crit>=19", 4),
    ("1d20fail<=1", 4),
    ("4d6df", 3),
    ("5d6even", 3),
    ("5d6odd", 3),
    ("5d6m", 3),
    ("5d6mt3", 3),
    ("3d6ms>=12", 3),
]


@pytest.mark.parametrize(("text", "code", "position", "sentence"), REFUSED)
def test_a_text_is_refused_with_code_and_position(text: str, code: str, position: int, sentence: str) -> None:
    with pytest.raises(DiceError) as caught:
        parse(text)

    assert (code, position) == (caught.value.code, caught.value.position)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(("text", "position"), SWALLOWED)
def test_a_comment_that_would_swallow_a_part_of_the_roll_is_refused(text: str, position: int) -> None:
    with pytest.raises(DiceAmbiguousError) as caught:
        parse(text)

    assert position == caught.value.position
    assert "# in front of a comment" in caught.value.suggestion


@pytest.mark.parametrize(("text", "position"), NOT_YET)
def test_what_is_not_supported_yet_is_refused_and_never_misread(text: str, position: int) -> None:
    with pytest.raises(DiceError) as caught:
        parse(text)

    assert ("DICE_SYNTAX", position) == (caught.value.code, caught.value.position)
    assert "not supported yet" in str(caught.value)


def test_an_unclosed_bracket_tells_where_its_end_is_missing() -> None:
    with pytest.raises(DiceUnclosedError) as caught:
        parse("(1d6")

    assert (0, 4) == (caught.value.position, caught.value.end)


def test_a_megabyte_is_refused_by_its_length_alone() -> None:
    with pytest.raises(DiceTooBigError) as caught:
        parse("(" * 1_000_000)

    assert "The expression has 1,000,000 letters; the limit is 500." == str(caught.value)
    assert 500 == len(caught.value.expression)


@pytest.mark.parametrize(
    "text", ["(" * 500, "-" * 500, "(-" * 250, "-(" * 250, "[" * 500, "!" * 500, "1d20 " + "r" * 495]
)
def test_no_depth_ends_the_stack(text: str) -> None:
    with pytest.raises(DiceError):
        parse(text)
