"""The storage inside its policies."""

from pathlib import Path

import pytest

from tests.store.helpers import CAMPAIGN_ID, a_call, nothing, roll
from ttrpg_mcp import faults
from ttrpg_mcp.play.errors import NotFound, StoreBusy, StoreCorrupt, StoreError, StoreFull
from ttrpg_mcp.play.ports import Unit
from ttrpg_mcp.recovery.clock import SystemClock
from ttrpg_mcp.recovery.errors import CircuitOpen
from ttrpg_mcp.recovery.testing import ManualClock
from ttrpg_mcp.store.guarded import GuardedStore
from ttrpg_mcp.store.store import SqliteStore

WRITE_KEY = f"db:{CAMPAIGN_ID}:write"


class Failing:
    """A story that fails as it is told, and then works."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.runs = 0

    def __call__(self, unit: Unit) -> object:
        self.runs += 1
        if self.errors:
            raise self.errors.pop(0)
        return roll(unit)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(skips_sleeps=True)


@pytest.fixture
async def guarded(store: SqliteStore, clock: ManualClock) -> GuardedStore:
    return GuardedStore(store, clock=clock, classify=faults.classify)


async def test_a_busy_file_is_tried_again_without_a_key_because_nothing_happened(guarded: GuardedStore) -> None:
    """R24, R42."""
    story = Failing(StoreBusy("c"), StoreBusy("c"))

    await guarded.write(a_call("one"), story)

    assert 3 == story.runs
    assert [] == guarded.breakers()


async def test_a_full_disk_is_not_tried_again_and_opens_the_breaker_of_that_way_alone(guarded: GuardedStore) -> None:
    """R03, R29, R42: reads of the same file go on."""
    story = Failing(StoreFull("c"))

    with pytest.raises(StoreFull):
        await guarded.write(a_call("one"), story)
    with pytest.raises(CircuitOpen):
        await guarded.write(a_call("two"), story)
    read = await guarded.read(a_call("three"), nothing)

    assert "nothing" == read
    assert 1 == story.runs
    assert [(WRITE_KEY, "open")] == [(shown["key"], shown["state"]) for shown in guarded.breakers()]


async def test_an_open_breaker_lets_a_probe_through_and_closes_by_itself(
    guarded: GuardedStore, clock: ManualClock
) -> None:
    """R42: a probe leads back."""
    with pytest.raises(StoreFull):
        await guarded.write(a_call("one"), Failing(StoreFull("c")))
    clock.advance(1.0)

    await guarded.write(a_call("two"), Failing())

    assert [] == guarded.breakers()


@pytest.mark.parametrize("error", [NotFound("campaign", "x"), KeyError("ours"), StoreCorrupt("c")])
async def test_mistakes_and_damage_do_not_count_against_the_file(guarded: GuardedStore, error: Exception) -> None:
    """R46."""
    for number in range(10):
        with pytest.raises(type(error)):
            await guarded.write(a_call(f"call {number}"), Failing(error))

    assert [] == guarded.breakers()


async def test_a_storage_that_cannot_be_opened_tells_whoever_asks(tmp_path: Path) -> None:
    (tmp_path / "server.db").write_bytes(b"somebody's letter")
    guarded = GuardedStore(SqliteStore(tmp_path, SystemClock()), clock=SystemClock(), classify=faults.classify)
    await guarded.open()

    with pytest.raises(StoreError):
        await guarded.ready()

    assert guarded.health().is_ready is False
    await guarded.close()
