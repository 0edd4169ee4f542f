import json

import pytest

from ttrpg_mcp.rules.dice import Die, FixedChance, evaluate, parse


def test_the_wire_form_of_a_plain_roll_is_short() -> None:
    roll = evaluate(parse("1d20+5"), FixedChance([14]))

    assert {
        "total": 19,
        "dice": [{"value": 14, "faces": 20, "kept": True}],
        "natural": 14,
        "min": 6,
        "max": 25,
        "breakdown": "1d20 (14) + 5 = 19",
        "notes": [],
    } == roll.as_data()


def test_the_wire_form_names_everything_that_applies() -> None:
    roll = evaluate(parse("2d6!f=1t>=5[fire]/4 + 1d20mi2"), FixedChance([6, 1, 2, 1]))

    assert {
        "total": 2,
        "successes": 0,
        "failures": 1,
        "dice": [
            {"value": 6, "faces": 6, "kept": True, "exploded": True, "success": True},
            {"value": 2, "faces": 6, "kept": True, "from": "explode"},
            {"value": 1, "faces": 6, "kept": True, "failure": True},
            {"value": 2, "faces": 20, "kept": True, "face": 1, "term": 1},
        ],
        "by_label": {"fire": 0, "": 2},
        "natural": 1,
        "crit": "fumble",
        "min": None,
        "max": None,
        "breakdown": "2d6!>=6f=1>=5 (**6!**, 2, *1*) [fire] / 4 + 1d20mi2 (1→2) = 2",
        "notes": ["/ divides exactly; some programs round down. Write // for that."],
    } == roll.as_data()


def test_the_wire_form_is_json_with_the_exact_fraction_beside() -> None:
    data = evaluate(parse("10/3"), FixedChance([])).as_data()

    assert (3.333333, "10/3", 3.333333) == (data["total"], data["exact"], data["min"])
    assert data == json.loads(json.dumps(data))


def test_many_dice_are_counted_in_place_of_listed() -> None:
    data = evaluate(parse("3d6mi2+1dF"), FixedChance([1, 5, 5, 1])).as_data(most_dice=3)

    assert {"6": {"1": 1, "5": 2}, "F": {"-1": 1}} == data["dice_counts"]
    assert data["dice_omitted"] is True
    assert "dice" not in data


@pytest.mark.parametrize(
    ("text", "faces", "natural", "crit"),
    [
        ("1d20+5", [20], 20, "hit"),
        ("1d20+1d4", [1, 4], 1, "fumble"),
        ("1d20mi10", [1], 1, "fumble"),
        ("2d20kh1", [20, 3], 20, "hit"),
        ("1d20ro1", [1, 12], 12, None),
        ("2d20", [20, 20], None, None),
        ("1d12", [12], None, None),
    ],
)
def test_natural_is_the_face_of_the_one_kept_d20(
    text: str, faces: list[int], natural: int | None, crit: str | None
) -> None:
    roll = evaluate(parse(text), FixedChance(faces))

    assert (natural, crit) == (roll.natural, roll.crit)


def test_a_die_of_fate_says_so() -> None:
    roll = evaluate(parse("1dF"), FixedChance([1]))

    assert (Die(-1, "F"),) == roll.dice
