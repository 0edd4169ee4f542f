import anyio
import anyio.lowlevel
import pytest

from tests.store.helpers import a_call, make_campaign, nothing, until
from ttrpg_mcp.play.ports import CampaignEntry
from ttrpg_mcp.recovery.errors import BulkheadFull
from ttrpg_mcp.store.database import Database
from ttrpg_mcp.store.pool import MOST_OPEN, CampaignPool
from ttrpg_mcp.store.store import SqliteStore


class Writer:
    is_idle = True
    queued = 0


class FakeDatabase(Database):
    """Counts how often it is closed."""

    def __init__(self) -> None:
        self.closed = 0
        self.writer = Writer()  # type: ignore[assignment] # only these two fields are looked at

    async def close(self) -> None:
        self.closed += 1


class Files:
    """Opens fakes and remembers them."""

    def __init__(self) -> None:
        self.opened: dict[str, FakeDatabase] = {}
        self.openings: list[str] = []

    async def use(self, pool: CampaignPool, campaign_id: str, leave: anyio.Event | None = None) -> None:
        async def open_file() -> Database:
            self.openings.append(campaign_id)
            await anyio.lowlevel.checkpoint()
            self.opened[campaign_id] = FakeDatabase()
            return self.opened[campaign_id]

        async with pool.use(campaign_id, open_file):
            if leave is not None:
                await leave.wait()

    def closed(self) -> list[str]:
        return [campaign_id for campaign_id, database in self.opened.items() if database.closed]


async def test_concurrent_first_uses_open_a_file_once() -> None:
    pool, files = CampaignPool(), Files()

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(files.use, pool, "a")

    assert ["a"] == files.openings


async def test_the_campaign_idle_longest_makes_room() -> None:
    pool, files = CampaignPool(), Files()
    for number in range(MOST_OPEN):
        await files.use(pool, str(number))
    await files.use(pool, "0")

    await files.use(pool, "new")

    assert ["1"] == files.closed()
    assert MOST_OPEN == len(list(pool.open_now()))


async def test_a_campaign_in_use_or_at_work_is_not_closed() -> None:
    pool, files, leave = CampaignPool(), Files(), anyio.Event()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(files.use, pool, "0", leave)
            await until(lambda: "0" in files.opened)
            for number in range(1, MOST_OPEN):
                await files.use(pool, str(number))
            files.opened["1"].writer.is_idle = False  # type: ignore[misc] # the fake's field

            await files.use(pool, "new")
            leave.set()

    assert ["2"] == files.closed()


async def test_when_all_are_in_use_the_next_is_refused() -> None:
    pool, files, leave = CampaignPool(), Files(), anyio.Event()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for number in range(MOST_OPEN):
                group.start_soon(files.use, pool, str(number), leave)
            await until(lambda: len(files.opened) == MOST_OPEN)

            with pytest.raises(BulkheadFull):
                await files.use(pool, "new")
            leave.set()

    assert [] == files.closed()


async def test_a_failed_opening_can_be_tried_again() -> None:
    pool, files = CampaignPool(), Files()

    async def fail() -> Database:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        async with pool.use("a", fail):
            pass
    await files.use(pool, "a")

    assert ["a"] == files.openings


async def test_the_33rd_campaign_closes_the_first_for_real(empty_store: SqliteStore) -> None:
    for number in range(MOST_OPEN + 1):
        await make_campaign(empty_store, CampaignEntry(f"c-{number}", f"C {number}", "creating", 1))

    open_ids = {compartment.campaign_id for compartment in empty_store.health().open_campaigns}
    assert {f"c-{number}" for number in range(1, MOST_OPEN + 1)} == open_ids
    assert "nothing" == await empty_store.read(a_call(campaign_id="c-0"), nothing)
