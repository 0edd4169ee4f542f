import pytest

from ttrpg_mcp.rules.dice import FixedChance, Value, evaluate, parse


@pytest.mark.parametrize(
    ("text", "faces", "expected"),
    [
        ("2d6+3", [3, 4], ()),
        ("2d6[fire]+1d4[cold]+3", [3, 4, 2], (("fire", 7), ("cold", 2), ("", 3))),
        ("1d6[fire]+1d4+1d6[fire]", [3, 4, 2], (("fire", 5), ("", 4))),
        ("1d6[fire]-1d4[fire]", [3, 4], (("fire", -1),)),
        ("(1d6[fire]+2)[weapon]", [3], (("fire", 3), ("weapon", 2))),
        ("(1d6[fire]+1d4[cold])*2", [3, 4], (("fire", 6), ("cold", 8))),
        ("2*(1d6[fire]+1)", [3], (("fire", 6), ("", 2))),
        ("-(1d6[fire])", [3], (("fire", -3),)),
        ("1d6[fire]//2", [5], (("fire", 2),)),
        ("(1d6[fire]+1d4[cold])//2", [5, 4], (("", 4),)),
        ("1d6[fire]*1d4[cold]", [5, 4], (("", 20),)),
    ],
)
def test_each_label_has_its_share(text: str, faces: list[int], expected: tuple[tuple[str, Value], ...]) -> None:
    roll = evaluate(parse(text), FixedChance(faces))

    assert expected == roll.by_label
    assert not expected or roll.total == sum(share for _, share in expected)
