import random
from collections import Counter

import pytest

from ttrpg_mcp.rules.dice import (
    ChanceExhausted,
    FaceImpossible,
    FixedChance,
    SampleChance,
    StreamChance,
    commitment,
    open_half,
    secret_half,
)

SEED = bytes(range(32))

# The 99.9 % points of chi-square for faces - 1 degrees of freedom.
CHI_SQUARE_LIMITS = {4: 16.27, 6: 20.52, 8: 24.32, 10: 27.88, 12: 31.26, 20: 43.82, 100: 148.23}


def open_stream(roll_number: int = 1, client_seed: str = "") -> StreamChance:
    return StreamChance(open_half(SEED), 1, roll_number, client_seed)


@pytest.mark.parametrize(
    ("chance", "count", "faces", "expected"),
    [
        (open_stream(), 8, 6, [4, 4, 6, 3, 5, 6, 3, 3]),
        (open_stream(), 2, 20, [6, 18]),
        (StreamChance(secret_half(SEED), 1, 1), 4, 20, [7, 2, 16, 10]),
        (open_stream(2, "north wind"), 4, 20, [17, 10, 3, 12]),
    ],
)
def test_the_stream_gives_its_published_faces(
    chance: StreamChance, count: int, faces: int, expected: list[int]
) -> None:
    assert expected == chance.draw(count, faces)


def test_wider_dice_take_more_bytes_of_the_same_stream() -> None:
    chance = open_stream()

    drawn = [chance.draw(1, faces) for faces in (100, 1_000, 1_000_000)]

    assert [[6], [129], [460_237]] == drawn


def test_the_commitment_is_the_published_one() -> None:
    assert "8d0d60b1824333352fd3f0f2e7b9af39" == commitment("demo", SEED)[:32]
    assert 64 == len(commitment("demo", SEED))


@pytest.mark.parametrize("faces", [2, 6, 100, 256, 257, 1_000, 65_536, 65_537, 1_000_000])
def test_dice_drawn_together_and_one_by_one_are_the_same(faces: int) -> None:
    together, apart = open_stream(), open_stream()

    assert together.draw(300, faces) == [apart.draw(1, faces)[0] for _ in range(300)]


def test_a_die_of_one_face_draws_nothing() -> None:
    chance = open_stream()

    assert [1, 1, 1] == chance.draw(3, 1)
    assert [6, 18] == chance.draw(2, 20)


@pytest.mark.parametrize(
    "other",
    [
        StreamChance(open_half(SEED), 2, 1),
        StreamChance(open_half(SEED), 1, 2),
        StreamChance(open_half(SEED), 1, 1, "x"),
        StreamChance(secret_half(SEED), 1, 1),
        StreamChance(open_half(SEED[::-1]), 1, 1),
    ],
)
def test_every_part_of_the_key_changes_the_faces(other: StreamChance) -> None:
    assert open_stream().draw(20, 1_000) != other.draw(20, 1_000)


@pytest.mark.parametrize("faces", CHI_SQUARE_LIMITS)
def test_every_face_is_equally_likely(faces: int) -> None:
    count = 500 * faces

    drawn = Counter(open_stream(faces).draw(count, faces))

    assert set(range(1, faces + 1)) == set(drawn)
    assert CHI_SQUARE_LIMITS[faces] > sum((seen - 500) ** 2 / 500 for seen in drawn.values())


def test_fixed_faces_come_in_their_order() -> None:
    chance = FixedChance([4, 17, 3])

    assert ([4], [17, 3], 0) == (chance.draw(1, 20), chance.draw(2, 20), chance.left)


def test_fixed_faces_run_out_with_a_sentence() -> None:
    with pytest.raises(ChanceExhausted, match="needs more faces than the 1 that were given"):
        FixedChance([4]).draw(2, 6)


@pytest.mark.parametrize("face", [0, 7, -1])
def test_a_fixed_face_that_is_not_on_the_die_is_refused(face: int) -> None:
    with pytest.raises(FaceImpossible, match=f"{face} is not on a d6."):
        FixedChance([face]).draw(1, 6)


def test_samples_cover_exactly_the_faces() -> None:
    chance = SampleChance(random.Random(1))

    assert {1, 2, 3, 4, 5, 6} == set(chance.draw(200, 6))
