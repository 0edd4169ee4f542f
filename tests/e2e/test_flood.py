"""A flood on one campaign of a real server, and a neighbour beside it."""

import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.servers import Json, StdioServer, held_lock, refusal_in, stdio_server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="flock holds the flooded campaign still")

FLOOD = 400


async def two_campaigns(server: StdioServer) -> None:
    """Flood and Quiet, both used once."""
    for name in ("Flood", "Quiet"):
        await server.call("campaign_manage", action="create", name=name)
        await server.call("dice_roll", expression="1d6", campaign=name)


def flooded_file(data: Path) -> Path:
    """The file of the campaign Flood."""
    (file,) = data.glob("campaigns/flood-*/campaign.db")
    return file


def outcome(answer: Json) -> str:
    """ok, or the code of the refusal."""
    return str(refusal_in(answer)["code"]) if answer["result"].get("isError") else "ok"


async def test_a_neighbour_is_answered_while_another_campaign_is_flooded(tmp_path: Path) -> None:
    """R05: 8 slots and 256 places; the flooded campaign is held still, so that its flood is under way for certain."""
    async with stdio_server(tmp_path, "--log-level", "error") as server:
        await two_campaigns(server)
        with held_lock(flooded_file(tmp_path)):
            flood = [await server.ask("dice_roll", expression="1d6", campaign="Flood") for _ in range(FLOOD)]
            neighbours = [await server.call("dice_roll", expression="1d6", campaign="Quiet") for _ in range(3)]
            still_in_flight = sum(one.answer is None for one in flood)
        outcomes = Counter([outcome(await one.arrived()) for one in flood])

    assert [2, 3, 4] == [facts["roll_number"] for facts in neighbours]
    assert 264 == still_in_flight
    assert {"ok": 264, "OVERLOADED": FLOOD - 264} == outcomes


async def test_what_does_not_fit_is_refused_at_once_and_told_when_to_come_again(tmp_path: Path) -> None:
    """R05."""
    async with stdio_server(tmp_path, "--campaign-slots", "2", "--campaign-queue", "4") as server:
        await two_campaigns(server)
        with held_lock(flooded_file(tmp_path)):
            flood = [await server.ask("dice_roll", expression="1d6", campaign="Flood") for _ in range(20)]
            await server.call("dice_roll", expression="1d6", campaign="Quiet")
            refused = [refusal_in(one.answer) for one in flood if one.answer is not None]
        outcomes = Counter([outcome(await one.arrived()) for one in flood])

    assert [("OVERLOADED", True, True, False)] * 14 == [
        (error["code"], error["retryable"], error["retry_after_s"] > 0, error["state_changed"]) for error in refused
    ]
    assert {"ok": 6, "OVERLOADED": 14} == outcomes


async def test_a_flood_that_nothing_holds_up_is_answered_to_the_last_call(tmp_path: Path) -> None:
    """R05."""
    async with stdio_server(tmp_path, "--log-level", "error") as server:
        await two_campaigns(server)

        flood = [await server.ask("dice_roll", expression="1d6", campaign="Flood") for _ in range(FLOOD)]
        health = await server.call("status_show", detail="health")
        outcomes = Counter([outcome(await one.arrived()) for one in flood])

    assert health["ready"] is True
    assert set(outcomes) <= {"ok", "OVERLOADED"}
    assert outcomes["ok"] >= 264
