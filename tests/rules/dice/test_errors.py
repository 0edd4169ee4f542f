import pickle

import pytest

from ttrpg_mcp.rules.dice import DiceError, DiceSyntaxError, DiceUnclosedError, errors, parse
from ttrpg_mcp.rules.errors import RuleError


def test_the_caret_stands_below_the_letter() -> None:
    error = DiceSyntaxError("4d6kx3", 4, "Unexpected.")

    assert "4d6kx3\n    ^" == error.caret


@pytest.mark.parametrize("position", [0, 29, 250, 471, 500])
def test_the_caret_line_of_a_long_expression_is_cut_around_the_position(position: int) -> None:
    text = "1" * position + "?" + "1" * (500 - position)

    line, caret = DiceSyntaxError(text, position, "Unexpected.").caret.split("\n")

    assert "?" == line[caret.index("^")]
    assert 62 >= len(line)


def test_control_letters_are_made_harmless() -> None:
    error = DiceSyntaxError("1\n2\x1b[31m\u202e", 0, "Unexpected.")

    assert "1·2·[31m·\n^" == error.caret


def test_the_sentence_holds_the_suggestion() -> None:
    assert "Wrong. Do it." == str(DiceSyntaxError("x", 0, "Wrong.", "Do it."))
    assert "Wrong." == str(DiceSyntaxError("x", 0, "Wrong."))


def test_every_code_has_one_class_and_stands_in_the_tree() -> None:
    codes = [kind.code for kind in DiceError.__subclasses__()]

    assert sorted(set(codes)) == sorted(codes)
    assert all(code in (errors.__doc__ or "") for code in codes)
    assert issubclass(DiceError, RuleError)


def test_an_error_survives_a_copy() -> None:
    with pytest.raises(DiceUnclosedError) as caught:
        parse("(1d6")

    copied = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes

    assert (str(caught.value), 4) == (str(copied), copied.end)
