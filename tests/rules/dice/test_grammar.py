import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rules.dice.strategies import trees, untimed
from ttrpg_mcp.rules.dice import Bounds, DiceDivZeroError, DiceError, DiceTooBigError, Expression, canonical, parse
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
    Negate,
    Node,
    Number,
    Reroll,
    Step,
)

TREES: list[tuple[str, Node]] = [
    ("7", Number(7)),
    ("1.50", Number(Fraction(3, 2))),
    ("d20", Dice(1, 20)),
    ("1D20", Dice(1, 20)),
    ("0d6", Dice(0, 6)),
    ("3d%", Dice(3, 100)),
    ("4dF", Dice(4, Fate.EVEN)),
    ("4df.2", Dice(4, Fate.EVEN)),
    ("df.1", Dice(1, Fate.RARE)),
    ("1d20+5", Chain(Dice(1, 20), (Step("+", Number(5)),))),
    ("  1d20  -  5  ", Chain(Dice(1, 20), (Step("-", Number(5)),))),
    ("1+2*3", Chain(Number(1), (Step("+", Chain(Number(2), (Step("*", Number(3)),))),))),
    ("(1+2)*3", Chain(Chain(Number(1), (Step("+", Number(2)),)), (Step("*", Number(3)),))),
    ("8-4-2", Chain(Number(8), (Step("-", Number(4)), Step("-", Number(2))))),
    ("7//2%3/4", Chain(Number(7), (Step("//", Number(2)), Step("%", Number(3)), Step("/", Number(4))))),
    ("-2*3", Chain(Negate(Number(2)), (Step("*", Number(3)),))),
    ("2--3", Chain(Number(2), (Step("-", Negate(Number(3))),))),
    ("+--+3", Number(3)),
    ("-(-3)", Negate(Negate(Number(3)))),
    ("((d6))", Dice(1, 6)),
    ("2d6[fire]", Labelled(Dice(2, 6), "fire")),
    ("2d6 [ Cold Iron ]", Labelled(Dice(2, 6), "Cold Iron")),
    ("2d6[fire][magic]", Labelled(Dice(2, 6), "fire, magic")),
    ("(1+2)[x]", Labelled(Chain(Number(1), (Step("+", Number(2)),)), "x")),
    ("-2[x]", Negate(Labelled(Number(2), "x"))),
    ("4d6k3", Dice(4, 6, (Keep("kh", 3),))),
    ("4d6k", Dice(4, 6, (Keep("kh", 1),))),
    ("4d6 kh2", Dice(4, 6, (Keep("kh", 2),))),
    ("4d6kl2", Dice(4, 6, (Keep("kl", 2),))),
    ("4d6d1", Dice(4, 6, (Keep("dl", 1),))),
    ("4d6p1", Dice(4, 6, (Keep("dl", 1),))),
    ("4d6pl", Dice(4, 6, (Keep("dl", 1),))),
    ("4d6dh2", Dice(4, 6, (Keep("dh", 2),))),
    ("4d6ph2", Dice(4, 6, (Keep("dh", 2),))),
    ("4d6kh3d1", Dice(4, 6, (Keep("kh", 3), Keep("dl", 1)))),
    ("1d20ro1", Dice(1, 20, (Reroll((Compare("=", 1),), True),))),
    ("1d20ro", Dice(1, 20, (Reroll((Compare("=", 1),), True),))),
    ("1d20r<=2", Dice(1, 20, (Reroll((Compare("<=", 2),), False),))),
    ("1d20rr!=5", Dice(1, 20, (Reroll((Compare("<>", 5),), False),))),
    ("1d6r1r2", Dice(1, 6, (Reroll((Compare("=", 1), Compare("=", 2)), False),))),
    ("1d6ro1ro<3", Dice(1, 6, (Reroll((Compare("=", 1), Compare("<", 3)), True),))),
    ("1d6r1ro2", Dice(1, 6, (Reroll((Compare("=", 1),), False), Reroll((Compare("=", 2),), True)))),
    ("4dFro", Dice(4, Fate.EVEN, (Reroll((Compare("<", 0),), True),))),
    ("6d10!", Dice(6, 10, (Explode(Compare(">=", 10)),))),
    ("6d10e9", Dice(6, 10, (Explode(Compare("=", 9)),))),
    ("6d10x>=9", Dice(6, 10, (Explode(Compare(">=", 9)),))),
    ("2d6!=5", Dice(2, 6, (Explode(Compare("=", 5)),))),
    ("2d6!<>5", Dice(2, 6, (Explode(Compare("<>", 5)),))),
    ("1d20mi10", Dice(1, 20, (Clamp("mi", 10),))),
    ("1d20MIN10max15", Dice(1, 20, (Clamp("mi", 10), Clamp("ma", 15)))),
    ("5d10>=8", Dice(5, 10, (Count(Compare(">=", 8)),))),
    ("5d10 > 8", Dice(5, 10, (Count(Compare(">", 8)),))),
    ("5d10==8", Dice(5, 10, (Count(Compare("=", 8)),))),
    ("6d6=2=4", Dice(6, 6, (Count(Compare("=", 2)), Count(Compare("=", 4))))),
    ("5d10t8", Dice(5, 10, (Count(Compare("=", 8)),))),
    ("5d10t>=8f<2", Dice(5, 10, (Count(Compare(">=", 8)), Count(Compare("<", 2), True)))),
    ("6d10!>=8", Dice(6, 10, (Explode(Compare(">=", 8)),))),
    ("6d10>=8!", Dice(6, 10, (Count(Compare(">=", 8)), Explode(Compare(">=", 10))))),
    ("6d10>=8!>=9", Dice(6, 10, (Count(Compare(">=", 8)), Explode(Compare(">=", 9))))),
    ("1d20adv", Dice(2, 20, (Keep("kh", 1),))),
    ("d20 disadvantage", Dice(2, 20, (Keep("kl", 1),))),
    ("1d20ro1adv", Dice(2, 20, (Reroll((Compare("=", 1),), True), Keep("kh", 1)))),
    ("1d20advro1", Dice(2, 20, (Reroll((Compare("=", 1),), True), Keep("kh", 1)))),
    ("1d20adv dis adv", Dice(1, 20)),
]


@pytest.mark.parametrize(("text", "tree"), TREES)
def test_a_spelling_becomes_its_tree(text: str, tree: Node) -> None:
    parsed = parse(text)

    assert tree == parsed.root


@pytest.mark.parametrize(("text", "_"), TREES)
def test_the_canonical_text_of_a_spelling_is_the_same_tree(text: str, _: Node) -> None:
    parsed = parse(text)

    assert parsed.root == parse(canonical(parsed)).root


@untimed
@given(trees())
def test_the_canonical_text_of_any_tree_parses_back_to_it(tree: Node) -> None:
    text = canonical(Expression(tree, "", Bounds(None, None)))

    try:
        parsed = parse(text)
    except (DiceDivZeroError, DiceTooBigError):  # a tree may divide by a literal zero
        return

    assert tree == parsed.root


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4D6 K3 + 2 # str", "4d6kh3+2"),
        ("6d10!", "6d10!>=10"),
        ("1d20 adv + 5", "2d20kh1+5"),
        ("6X4d6p", "6x 4d6dl1"),
        ("2d6!=5", "2d6!5"),
        ("4DF.2 + D%", "4df+1d100"),
        ("2d6[Fire]", "2d6[Fire]"),
    ],
)
def test_canonical_writes_defaults_out(text: str, expected: str) -> None:
    assert expected == canonical(parse(text))


def test_canonical_leaves_the_repeats_out_where_a_sentence_tells_them() -> None:
    assert "1d20+1" == canonical(parse("6x 1d20+1"), with_times=False)


@pytest.mark.parametrize(
    ("text", "comment"),
    [
        ("1d20", ""),
        ("1d20 # stealth", "stealth"),
        ("1d20#stealth", "stealth"),
        ("1d20 // to hide", "to hide"),
        ("1d20 //fire", "fire"),
        ("1d20 /* to hide */ ", "to hide"),
        ("1d20+5 stealth check (low light)", "stealth check (low light)"),
        ("1d20+5 dex save", "dex save"),
        ("1d20 str", "str"),
        ('1d20 "for Mira"', '"for Mira"'),
        ("1d20 Überraschung", "Überraschung"),
        ("1d20 attack!", "attack!"),
        ("6 # six", "six"),
        ("1d20+5 with the sword", "with the sword"),
        ("1d20+5 to hit", "to hit"),
        ("4d6 strength", "strength"),
        ("1d20 perception check", "perception check"),
        ("1d20 long-range and/or Ranger's", "long-range and/or Ranger's"),
        ('1d20 "max damage"', '"max damage"'),
        ("1d20 атака", "атака"),
        ("1d20 dürfen", "dürfen"),
        ("1d20 第三", "第三"),
        ("1d20 # +5 and 2d6", "+5 and 2d6"),
        ("1d20 /* highest 3 */", "highest 3"),
        ("1d20 stealth # DC 15", "stealth # DC 15"),
    ],
)
def test_a_comment_is_what_follows_the_notation(text: str, comment: str) -> None:
    assert comment == parse(text).comment


@pytest.mark.parametrize(
    ("text", "times"),
    [("4d6", 1), ("6x 4d6kh3", 6), ("6x4d6", 6), ("6X d6", 6), ("6# 2d6", 6), ("6 # 2d6", 6), ("6 # six", 1)],
)
def test_a_prefix_repeats(text: str, times: int) -> None:
    assert times == parse(text).times


def test_division_and_comment_share_two_slashes() -> None:
    tree = Chain(Number(7), (Step("//", Number(2)),))

    parsed = parse("7 // 2 gold")

    assert (tree, "gold") == (parsed.root, parsed.comment)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("4d6k3", "highest 3"),
        ("4d6p3", "lowest 3"),
        ("2d6r<3", "Foundry"),
        ("3d6>3", "Roll20 includes 3"),
        ("2d6ro<3", "strict"),
        ("1d20+1d6>=8", "1d6>=8 counts"),
        ("3d6<=11", "compares the total"),
        ("1d%", "1 to 100"),
        ("2d6!=5", "explodes on 5"),
        ("7//2", "rpg-dice-roller"),
        ("7/2", "exactly"),
        ("3d6kh4", "keeps all of 3"),
        ("2d6d6", "drops every die"),
        ("10d6d4", "To add a d4, write +1d4."),
        ("10d10t8", "exactly 8. Write t>=8"),
        ("1d6r1r2", "as in Roll20"),
        ("1d6r1ro2", "may bring back a face"),
        ("4d6kh2kl1", "joins"),
        ("4d6 x6", "6x in front"),
    ],
)
def test_a_reading_that_others_make_differently_is_noted(text: str, word: str) -> None:
    notes = parse(text).notes

    assert any(word in note for note in notes), notes


@pytest.mark.parametrize("text", ["1d20+5", "4d6kh3", "2d6!", "1d20ro1", "5d10t>=8", "2d6[fire]*2", "7*2-1", "1d20adv"])
def test_a_reading_that_all_share_is_not_noted(text: str) -> None:
    assert () == parse(text).notes


def test_the_same_text_is_parsed_once() -> None:
    assert parse("3d6+17") is parse("3d6+17")


def test_a_refusal_stays_a_refusal_when_it_is_asked_again() -> None:
    for _ in range(2):
        with pytest.raises(DiceError):
            parse("3d6+")


@untimed
@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    _parse_or_refuse(text)


@untimed
@given(st.text("0123456789d%fFkhlprodiexam!<>=+-*/()[]{}@,#x .\"'t\t\n", max_size=40))
def test_text_of_dice_letters_is_parsed_or_refused(text: str) -> None:
    _parse_or_refuse(text)


_PIECES = [
    *("1d20", "4d6", "d4", "kh1", "5", "٣", "６", "½", "+", "-", "*", "/", "//", "%", "^", ">=", ",", "(", ")", "[a]"),
    *(" ", " ", " ", '"', "'", "fire", "at", "w/", "to", "кh", "dF", "!", "re-roll", "adv"),
]


@untimed
@given(st.lists(st.sampled_from(_PIECES), max_size=8).map(lambda pieces: "1d20 " + "".join(pieces)))
def test_a_comment_without_its_mark_swallows_no_digit_and_no_operator(text: str) -> None:
    try:
        parsed = parse(text)
    except DiceError:
        return

    comment = parsed.comment.removeprefix("//")
    assert not re.search(r"\d|[+*%^<>=@\[\]{}]|(?<![^\W\d_])[-/]|[-/](?![^\W\d_])|\bd[fF]\b", comment)
    assert not any(letter.isdigit() for letter in comment)
    assert parsed.root == parse(text.removesuffix(parsed.comment)).root


@untimed
@given(
    st.lists(
        st.sampled_from(["4d6", "kh3", " ", "+", "-", "(", ")", "!", ">=", "8", "ro", "[a]", "adv", "f", "x", "# c"])
    )
)
def test_pieces_of_notation_in_any_order_are_parsed_or_refused(pieces: list[str]) -> None:
    _parse_or_refuse("".join(pieces))


def _parse_or_refuse(text: str) -> None:
    try:
        parsed = parse(text)
    except DiceError as error:
        refusal = error
    else:
        assert parsed.root == parse(canonical(parsed)).root
        return

    line, caret = refusal.caret.split("\n")
    assert refusal.problem
    assert 0 <= refusal.position <= len(text)
    assert caret.endswith("^")
    assert line.isprintable()
