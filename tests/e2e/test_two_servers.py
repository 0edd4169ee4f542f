"""Two servers on one folder, as two clients on one machine start them."""

import sys
from pathlib import Path

import anyio
import pytest

from tests.e2e.ledger import Ledger, broken_promises, read_log
from tests.e2e.servers import ServerGone, StdioServer, campaign_file, damaged, facts_in, left_unclean, stdio_server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")

VOLLEY = 100


async def send_all(server: StdioServer, ledger: Ledger, keys: list[str]) -> None:
    """Send every key at once and wait for the answers; a server that dies answers no more."""

    async def send(key: str) -> None:
        try:
            await (await ledger.ask(server, key)).arrived()
        except ServerGone:
            return

    async with anyio.create_task_group() as tasks:
        for key in keys:
            tasks.start_soon(send, key)


async def test_two_servers_write_at_once_and_neither_is_refused_or_overwritten(tmp_path: Path) -> None:
    """R34."""
    ledger = Ledger()

    async with stdio_server(tmp_path) as left, stdio_server(tmp_path) as right:
        await (await ledger.ask(left, "first")).arrived()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_all, left, ledger, [f"left-{number}" for number in range(VOLLEY)])
            tasks.start_soon(send_all, right, ledger, [f"right-{number}" for number in range(VOLLEY)])
        codes = []
        for server in (left, right):
            await server.close_input()
            codes.append(await server.exit_code())
    ledger.settle()

    assert ({}, [], [0, 0]) == (ledger.refused, ledger.unanswered(), codes)
    assert 1 + 2 * VOLLEY == len(ledger.acknowledged)
    assert [] == broken_promises(ledger, read_log(campaign_file(tmp_path)))
    assert [] == left_unclean(tmp_path)


async def test_each_server_sees_at_once_what_the_other_answered_and_never_rolls_its_keys(
    tmp_path: Path,
) -> None:
    """R34: also when both are asked for the same key at the same time."""
    async with stdio_server(tmp_path) as left, stdio_server(tmp_path) as right:
        told, seen = [], []
        for writer, reader in [(left, right), (right, left)] * 5:
            facts = await writer.call("dice_roll", expression="1d20")
            (newest,) = (await reader.call("history_show", limit=1))["rolls"]
            told.append((facts["roll_number"], str(facts["total"])))
            seen.append((newest["roll_number"], newest["total"]))
        pending = [
            await server.ask("dice_roll", expression="1d1000000", request_key=f"k{number}")
            for number in range(20)
            for server in (left, right)
        ]
        totals = [facts_in(await one.arrived())["total"] for one in pending]

    assert told == seen
    assert totals[0::2] == totals[1::2]
    assert 30 == read_log(campaign_file(tmp_path)).head_roll


async def test_one_server_goes_on_when_the_other_is_killed_in_the_middle_of_a_volley(tmp_path: Path) -> None:
    """R34: the dead one's locks are free at once, and its unanswered keys can be sent to the survivor."""
    ledger = Ledger()

    async with stdio_server(tmp_path) as survivor:
        await (await ledger.ask(survivor, "first")).arrived()
        async with stdio_server(tmp_path) as victim, anyio.create_task_group() as tasks:
            tasks.start_soon(send_all, survivor, ledger, [f"survivor-{number}" for number in range(VOLLEY)])
            tasks.start_soon(send_all, victim, ledger, [f"victim-{number}" for number in range(VOLLEY)])
            await victim.answered(10)
            await victim.kill()
        ledger.settle()
        lost = ledger.unanswered()
        await send_all(survivor, ledger, lost)
        await survivor.close_input()
        code = await survivor.exit_code()
    ledger.settle()

    assert lost
    assert [] == [key for key in lost if key.startswith("survivor")]
    assert (0, {}, []) == (code, ledger.refused, ledger.unanswered())
    assert [] == broken_promises(ledger, read_log(campaign_file(tmp_path)))
    assert [] == damaged(tmp_path)
