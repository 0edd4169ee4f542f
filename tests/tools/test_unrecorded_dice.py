"""dice_roll while the campaign's disk takes no writes: real dice, no place in the log, and it says so."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from mcp import Client

from tests.fakes import CountingIds, error_of, facts_of, text_of
from ttrpg_mcp.app import build
from ttrpg_mcp.play.errors import ReadOnlyFull
from ttrpg_mcp.play.ports import Call, Unit
from ttrpg_mcp.recovery.clock import Clock
from ttrpg_mcp.settings import Settings
from ttrpg_mcp.store.store import SqliteStore

T = TypeVar("T")
SAYS_SO = "Not recorded, because the campaign cannot be saved for the moment."


class FullDisk(SqliteStore):
    """A storage whose disk can be full.

    Attributes:
        is_full: Shared by all, since the server makes its own.
    """

    is_full = False

    def __init__(self, folder: Path, clock: Clock) -> None:
        super().__init__(folder, clock, synchronous="OFF")

    async def write(self, call: Call, story: Callable[[Unit], T]) -> T:
        if FullDisk.is_full:
            raise ReadOnlyFull(call.campaign_id, safe_seq=2)
        return await super().write(call, story)


@pytest.fixture(autouse=True)
def _empty_again() -> Iterator[None]:
    yield
    FullDisk.is_full = False


@asynccontextmanager
async def played(folder: Path) -> AsyncIterator[Client]:
    """A client whose campaign has one recorded roll, made under the key "before"; the disk is full since."""
    server = build(Settings(data=folder), ids=CountingIds(), make_store=FullDisk)
    async with Client(server, mode="2026-07-28") as client:
        await client.call_tool("campaign_manage", {"action": "create", "name": "Sea"})
        await client.call_tool("dice_roll", {"expression": "1d1000000", "request_key": "before"})
        FullDisk.is_full = True
        yield client


async def test_an_unrecorded_roll_has_no_place_and_says_so(tmp_path: Path) -> None:
    """R29, R42."""
    async with played(tmp_path) as client:
        result = await client.call_tool("dice_roll", {"expression": "1d1+4", "label": "Mira"})
        log = facts_of(await client.call_tool("history_show", {}))["rolls"]

    expected = {
        "summary": f"Mira: 1d1 (1) + 4 = 5. {SAYS_SO}",
        "expression": "1d1+4",
        "canonical": "1d1+4",
        "total": 5,
        "dice": [{"value": 1, "faces": 1, "kept": True}],
        "min": 5,
        "max": 5,
        "breakdown": "1d1 (1) + 4 = 5",
        "notes": [],
        "label": "Mira",
        "recorded": False,
        "campaign": "Sea",
    }
    assert expected == facts_of(result)
    assert expected["summary"] == text_of(result)
    assert 1 == len(log)


async def test_a_repeat_shows_the_same_dice_also_after_the_disk_is_well(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"expression": "1d1000000", "request_key": "k"}
    async with played(tmp_path) as client:
        first = facts_of(await client.call_tool("dice_roll", arguments))
        second = facts_of(await client.call_tool("dice_roll", arguments))
        FullDisk.is_full = False
        third = facts_of(await client.call_tool("dice_roll", arguments))
        log = facts_of(await client.call_tool("history_show", {}))["rolls"]

    assert [first | {"replayed": True}] * 2 == [second, third]
    assert 1 == len(log)


async def test_a_key_of_another_unrecorded_roll_is_refused(tmp_path: Path) -> None:
    async with played(tmp_path) as client:
        await client.call_tool("dice_roll", {"expression": "1d6", "request_key": "k"})
        error = error_of(await client.call_tool("dice_roll", {"expression": "1d8", "request_key": "k"}))

    assert "REQUEST_KEY_REUSED" == error["code"]


async def test_the_repeat_of_a_recorded_roll_is_the_recorded_one(tmp_path: Path) -> None:
    """R34: no second dice for a roll that was saved."""
    async with played(tmp_path) as client:
        again = facts_of(await client.call_tool("dice_roll", {"expression": "1d1000000", "request_key": "before"}))

    assert (1, True) == (again["roll_number"], again["replayed"])
    assert "recorded" not in again


async def test_two_unrecorded_rolls_without_a_key_are_two(tmp_path: Path) -> None:
    async with played(tmp_path) as client:
        totals = {facts_of(await client.call_tool("dice_roll", {"expression": "1d1000000"}))["total"] for _ in range(3)}

    assert len(totals) > 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"expression": "4d6kx3"}, "DICE_SYNTAX"),
        ({"expression": "1d6", "times": 0}, "VALIDATION"),
        ({"expression": "1d6", "campaign": "Nowhere"}, "NOT_FOUND"),
    ],
)
async def test_a_mistake_stays_a_mistake(tmp_path: Path, arguments: dict[str, Any], code: str) -> None:
    """R29: the fallback handles the disk alone."""
    async with played(tmp_path) as client:
        error = error_of(await client.call_tool("dice_roll", arguments))

    assert code == error["code"]
