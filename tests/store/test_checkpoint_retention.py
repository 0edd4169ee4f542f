"""Which checkpoints stay, by an injected clock: an evening, a month, and a file that runs full."""

import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.entity_images import EXAMPLES
from tests.store.test_checkpoints import opened, put, unit_of
from ttrpg_mcp.play.ports import CheckpointEntry, CheckpointKind
from ttrpg_mcp.store import checkpoints
from ttrpg_mcp.store.retention import next_to_go, superseded

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
BEGIN = 1_700_000_000_000
KINDS: list[CheckpointKind] = ["auto", "turn", "session", "named", "safety"]


def entry(seq: int, created_at_ms: int, kind: CheckpointKind = "auto") -> CheckpointEntry:
    return CheckpointEntry(f"c{seq}", "", kind, seq, 2, None, 0, "", "valid", "", 0, created_at_ms, "system")


def after(entries: list[CheckpointEntry], now_ms: int) -> list[CheckpointEntry]:
    gone = set(superseded(entries, now_ms))
    return [kept for kept in entries if kept.id not in gone]


def played(moments_ms: list[int], kept: list[CheckpointEntry] | None = None) -> list[CheckpointEntry]:
    """What is left after one automatic checkpoint at each moment."""
    kept = kept or []
    for moment_ms in moments_ms:
        kept = after([entry(kept[0].seq + 1 if kept else 1, moment_ms), *kept], moment_ms)
    return kept


def evening(begin_ms: int) -> list[int]:
    """Every 30 seconds for four hours."""
    return list(range(begin_ms, begin_ms + 4 * HOUR, 30 * SECOND))


@pytest.fixture
def raw() -> Iterator[sqlite3.Connection]:
    with opened() as raw:
        yield raw


def test_of_an_evening_s_480_about_44_stay() -> None:
    """R57: all of the last 10 minutes, one of each 10 minutes before."""
    moments = evening(BEGIN)

    ages_min = [(moments[-1] - kept.created_at_ms) / MINUTE for kept in played(moments)]

    assert 480 == len(moments)
    assert [number / 2 for number in range(21)] == ages_min[:21]
    assert 44 <= len(ages_min) <= 46
    slots = Counter(kept.created_at_ms // (10 * MINUTE) for kept in played(moments)[21:])
    assert {1} == set(slots.values())


def test_of_a_month_of_evenings_one_a_day_stays() -> None:
    """R57."""
    kept: list[CheckpointEntry] = []
    for day in range(40):
        kept = played(evening(BEGIN + day * DAY), kept)

    now = kept[0].created_at_ms
    old = [checkpoint for checkpoint in kept if now - checkpoint.created_at_ms > DAY]
    assert 29 <= len(old) <= 31
    assert {1} == set(Counter(checkpoint.created_at_ms // DAY for checkpoint in old).values())
    assert all(now - checkpoint.created_at_ms <= 30 * DAY for checkpoint in old)


def test_after_a_year_the_three_newest_are_still_there() -> None:
    """R57: never fewer than three sound ones."""
    kept = played(evening(BEGIN))

    left = after(kept, BEGIN + 365 * DAY)

    assert kept[:3] == left


def test_named_ones_and_those_of_sessions_stay_until_they_are_deleted() -> None:
    """R57."""
    old = [entry(2, 0, "named"), entry(1, 0, "session")]

    assert old == [
        kept for kept in after([*played(evening(BEGIN), [entry(3, BEGIN)]), *old], BEGIN + DAY) if kept in old
    ]


def test_the_last_twenty_safety_ones_stay() -> None:
    """R57."""
    entries = [entry(seq, BEGIN, "safety") for seq in range(30, 0, -1)]

    assert entries[:20] == after(entries, BEGIN)


def test_an_unsound_one_neither_goes_by_itself_nor_counts_as_one_of_three() -> None:
    """R57."""
    entries = [replace(entry(seq, 0), status="invalid" if seq > 7 else "valid") for seq in range(10, 0, -1)]

    assert [10, 9, 8, 7, 6, 5] == [kept.seq for kept in after(entries, BEGIN)]


def test_a_clock_that_was_ahead_for_a_while_costs_nothing() -> None:
    """R57."""
    kept = played([BEGIN + 400 * DAY, BEGIN + 400 * DAY + SECOND], played([BEGIN - 5 * SECOND, BEGIN]))

    assert 2 <= len(played([BEGIN + MINUTE], kept)) <= 5


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 60 * DAY), st.booleans()), max_size=60),
    st.integers(-DAY, 90 * DAY),
)
def test_whatever_the_clock_does_enough_stays(rows: list[tuple[CheckpointKind, int, bool]], now_ms: int) -> None:
    """R57."""
    entries = [
        replace(entry(len(rows) - index, at_ms, kind), status="valid" if is_sound else "invalid")
        for index, (kind, at_ms, is_sound) in enumerate(rows)
    ]

    left = after(entries, now_ms)

    sound = [checkpoint for checkpoint in entries if checkpoint.status == "valid"]
    assert set(sound[:3]) <= set(left)
    assert {checkpoint for checkpoint in entries if checkpoint.kind in {"named", "session"}} <= set(left)
    assert set(entries) - set(sound) <= set(left)
    assert left == after(left, now_ms)


def test_where_room_is_short_the_oldest_automatic_one_goes_first_and_then_safety() -> None:
    """R57."""
    kinds: list[CheckpointKind] = ["auto", "auto", "auto", "safety", "turn", "auto", "named", "session", "safety"]
    entries = [entry(len(kinds) - index, BEGIN, kind) for index, kind in enumerate(kinds)]
    gone = []
    while (oldest := next_to_go(entries)) is not None:
        gone.append(oldest)
        entries = [checkpoint for checkpoint in entries if checkpoint.id != oldest]

    assert ["c4", "c5", "c1", "c6"] == gone
    assert ["auto", "auto", "auto", "named", "session"] == [checkpoint.kind for checkpoint in entries]


def test_old_ones_go_with_their_blobs_in_the_transaction_of_the_new_one(raw: sqlite3.Connection) -> None:
    """R57: the whole table over an evening, checked against its blobs."""
    for step, moment_ms in enumerate(evening(BEGIN)[:200]):
        unit = unit_of(raw, moment_ms)
        put(unit, "note", {**EXAMPLES["note"], "body": f"It is now {step}."})
        unit.checkpoints.save("auto")
        unit.finish("Noted.")

    used = {row["hash"] for row in raw.execute("SELECT hash FROM checkpoint_part")}
    assert used == {row["hash"] for row in raw.execute("SELECT hash FROM blob")}
    kept = unit_of(raw).checkpoints.all()
    assert 28 <= len(kept) <= 32
    assert {""} == {unit_of(raw).checkpoints.verify(checkpoint.id) for checkpoint in kept}


def test_a_campaign_keeps_within_its_room(raw: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """R57: 64 MB a campaign; the room is made smaller here, and what is put there cannot be compressed."""
    monkeypatch.setattr(checkpoints, "MOST_BLOB_BYTES", 100_000)
    for step in range(20):
        unit = unit_of(raw, BEGIN + step * SECOND)
        put(unit, "note", {**EXAMPLES["note"], "body": os.urandom(5_000).hex()})
        unit.checkpoints.save("auto")
        unit.finish("Noted.")

    total = raw.execute("SELECT SUM(length(body)) FROM blob").fetchone()[0]
    kept = unit_of(raw).checkpoints.all()
    assert 90_000 < total <= 100_000
    assert list(range(21, 21 - len(kept), -1)) == [checkpoint.seq for checkpoint in kept]


def test_three_stay_although_the_room_is_too_small(raw: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """R57."""
    monkeypatch.setattr(checkpoints, "MOST_BLOB_BYTES", 1)
    for step in range(6):
        unit = unit_of(raw, BEGIN + step * DAY)
        put(unit, "note", {**EXAMPLES["note"], "body": str(step)})
        unit.checkpoints.save("auto")
        unit.finish("Noted.")

    assert 3 == len(unit_of(raw).checkpoints.all())
