"""SIGKILL in the middle of making a campaign, at many moments: there is one whole campaign or none, never a half."""

import random
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from tests.e2e.servers import StdioServer, damaged, stdio_server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")

SEED = 34


def status(data: Path, name: str) -> str:
    """The campaign's status in the registry; empty while there is no row."""
    with closing(sqlite3.connect(f"{(data / 'server.db').as_uri()}?mode=ro", uri=True)) as connection:
        row = connection.execute("SELECT status FROM registry WHERE name = ?", (name,)).fetchone()
    return row[0] if row else ""


def files(data: Path, name: str) -> list[Path]:
    """The campaign's files that are there."""
    return list(data.glob(f"campaigns/{name.lower()}-*/campaign.db"))


def nothing(data: Path, name: str) -> bool:
    """At once."""
    return True


def a_registry_row(data: Path, name: str) -> bool:
    return status(data, name) != ""


def a_folder(data: Path, name: str) -> bool:
    return bool(list(data.glob(f"campaigns/{name.lower()}-*")))


def an_empty_file(data: Path, name: str) -> bool:
    return bool(files(data, name))


def a_file_with_tables(data: Path, name: str) -> bool:
    return any(file.stat().st_size for file in files(data, name))


def a_log_beside_the_file(data: Path, name: str) -> bool:
    return bool(list(data.glob(f"campaigns/{name.lower()}-*/campaign.db-wal")))


def an_open_registry_row(data: Path, name: str) -> bool:
    return status(data, name) == "open"


MOMENTS: list[Callable[[Path, str], bool]] = [
    nothing,
    a_registry_row,
    a_folder,
    an_empty_file,
    a_file_with_tables,
    a_log_beside_the_file,
    an_open_registry_row,
]


async def test_a_campaign_is_made_once_and_whole_wherever_kill_9_hits(tmp_path: Path) -> None:
    """R34: each start finishes what the last kill left, then the same call is sent again under its key."""
    chance = random.Random(SEED)
    crashed: list[str] = []
    async with stdio_server(tmp_path) as server:
        await server.call("campaign_manage", action="create", name="Before")

    for moment in chance.sample(MOMENTS, len(MOMENTS)):
        async with stdio_server(tmp_path, "--log-level", "error") as server:
            for name in crashed[-1:]:
                await make_again_and_play(server, name)
            crashed.append(f"Crash{len(crashed)}")
            await server.ask("campaign_manage", action="create", name=crashed[-1], request_key=crashed[-1])
            await reached(moment, tmp_path, crashed[-1])
            await server.kill()
    async with stdio_server(tmp_path) as server:
        await make_again_and_play(server, crashed[-1])
        listed = (await server.call("campaign_manage", action="list"))["campaigns"]
        await server.close_input()
        await server.exit_code()

    assert sorted(["Before", *crashed]) == sorted(campaign["name"] for campaign in listed)
    assert {"open"} == {campaign["status"] for campaign in listed}
    assert sorted(campaign["id"] for campaign in listed) == sorted(path.name for path in tmp_path.glob("campaigns/*"))
    assert [] == damaged(tmp_path)


async def reached(moment: Callable[[Path, str], bool], data: Path, name: str) -> None:
    """Return when the making has come that far, or further."""
    with anyio.fail_after(20):
        while not moment(data, name):
            await anyio.lowlevel.checkpoint()


async def make_again_and_play(server: StdioServer, name: str) -> None:
    """The repeat answers the campaign that there is; it has its first change and takes a roll."""
    made = await server.call("campaign_manage", action="create", name=name, request_key=name)
    rolled = await server.call("dice_roll", expression="1d6", campaign=name)
    listed = (await server.call("campaign_manage", action="list"))["campaigns"]

    assert (name, 1, 0) == (made["campaign"], made["seq"], made["rolls"])
    assert (name, 2, 1) == (rolled["campaign"], rolled["seq"], rolled["roll_number"])
    assert [made["id"]] == [campaign["id"] for campaign in listed if campaign["name"] == name]


async def test_the_first_roll_on_an_empty_folder_makes_one_campaign_although_it_is_killed(tmp_path: Path) -> None:
    """R34: nobody asked for a campaign, so there is no key that says what to finish; the roll's own key is enough."""
    answers: list[tuple[str, int, int]] = []

    async def crash_and_repeat(moment: Callable[[Path, str], bool]) -> None:
        data = tmp_path / moment.__name__
        async with stdio_server(data) as server:
            await server.ask("dice_roll", expression="1d6", request_key="k")
            await reached(moment, data, "My-campaign")
            await server.kill()
        async with stdio_server(data) as server:
            rolled = await server.call("dice_roll", expression="1d6", request_key="k")
            listed = (await server.call("campaign_manage", action="list"))["campaigns"]
        answers.append((rolled["campaign"], rolled["roll_number"], len(listed)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(crash_and_repeat, a_folder)
        tasks.start_soon(crash_and_repeat, a_file_with_tables)

    assert [("My campaign", 1, 1)] * 2 == answers
    assert [] == damaged(tmp_path)
