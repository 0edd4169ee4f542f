"""When a file stops taking writes, what it says, and how it takes them again."""

import sqlite3
from pathlib import Path

import pytest

from tests.store.helpers import CAMPAIGN_ID, a_call, make_campaign, roll, until
from ttrpg_mcp.play.errors import (
    NotFound,
    OutOfMemory,
    ReadOnly,
    ReadOnlyFull,
    StoreBusy,
    StoreCorrupt,
    StoreFull,
    StoreInterrupted,
    StoreUnavailable,
)
from ttrpg_mcp.recovery.testing import ManualClock
from ttrpg_mcp.store.readonly import MOST_FAILURES, ReadOnlyMode
from ttrpg_mcp.store.store import SqliteStore


@pytest.fixture
def mode() -> ReadOnlyMode:
    return ReadOnlyMode("c", lambda: 7)


@pytest.mark.parametrize(
    ("error", "refusal"), [(StoreFull("c"), ReadOnlyFull), (StoreUnavailable("c", "disk I/O error"), ReadOnly)]
)
def test_a_disk_that_refuses_once_is_enough(mode: ReadOnlyMode, error: Exception, refusal: type[ReadOnly]) -> None:
    """R29, R42."""
    is_refused = mode.note(error)

    assert (True, True) == (is_refused, mode.is_on)
    assert (refusal, 7) == (type(mode.refusal()), mode.refusal().safe_seq)


@pytest.mark.parametrize(
    "error", [NotFound("campaign", "x"), StoreBusy("c"), StoreCorrupt("c"), OutOfMemory("c"), None]
)
def test_what_says_nothing_of_the_disk_never_counts(mode: ReadOnlyMode, error: Exception | None) -> None:
    for _ in range(10):
        mode.note(error)

    assert not mode.is_on


def test_five_failed_units_in_a_row_are_enough(mode: ReadOnlyMode) -> None:
    for _ in range(MOST_FAILURES - 1):
        mode.note(StoreInterrupted("c"))
    was_on = mode.is_on
    mode.note(StoreInterrupted("c"))

    assert (False, True) == (was_on, mode.is_on)


def test_a_unit_that_worked_begins_the_count_anew(mode: ReadOnlyMode) -> None:
    for _ in range(2):
        for _ in range(MOST_FAILURES - 1):
            mode.note(StoreInterrupted("c"))
        mode.note(None)

    assert not mode.is_on


def test_the_pauses_between_probes_double_up_to_a_second(mode: ReadOnlyMode) -> None:
    mode.suspect(sqlite3.OperationalError("disk I/O error"))
    pauses = []
    for _ in range(7):
        pauses.append(mode.pause_s)
        mode.probe_failed(sqlite3.OperationalError("disk I/O error"))

    assert [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0] == pauses


async def test_health_shows_a_file_that_takes_no_writes(store: SqliteStore) -> None:
    """R29, R76."""

    def full(unit: object) -> None:
        raise StoreFull(CAMPAIGN_ID)

    with pytest.raises(ReadOnlyFull):
        await store.write(a_call("one"), full)
    shown = store.health().read_only
    await store.write(a_call("two"), roll)

    assert [(CAMPAIGN_ID, 1, 1, False)] == [
        (one.campaign_id, one.safe_seq, one.failures, one.is_suspect) for one in shown
    ]
    assert "disk is full" in shown[0].reason
    assert () == store.health().read_only


async def test_play_returns_by_itself_although_nobody_calls(data: Path) -> None:
    """R29, R42: the probe of each second is enough."""
    clock = ManualClock()
    store = SqliteStore(data, clock, synchronous="OFF")
    await store.open()
    await make_campaign(store)

    def full(unit: object) -> None:
        raise StoreFull(CAMPAIGN_ID)

    with pytest.raises(ReadOnlyFull):
        await store.write(a_call("one"), full)
    await until(lambda: len(clock.limits) > 0)
    clock.advance(1.0)
    await until(lambda: not store.health().read_only)
    await store.close()
