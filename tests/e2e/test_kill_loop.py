"""SIGKILL again and again while 32 writers roll: nothing that was acknowledged is lost, nothing happens twice."""

import random
import sys
from pathlib import Path

import anyio
import pytest

from tests.e2e.ledger import Ledger, broken_promises, read_log, shown_rolls
from tests.e2e.servers import ServerGone, StdioServer, campaign_file, damaged, stdio_server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")

ROUNDS = 10
WRITERS = 32
MOST_ANSWERS = 80
SEED = 20_240_806


async def test_whatever_was_acknowledged_survives_kill_9_and_is_there_once(tmp_path: Path) -> None:
    """R34: each round starts a server, checks the last one's work, sends the unanswered keys again, and kills it."""
    chance = random.Random(SEED)
    ledger = Ledger()
    killed_in_flight = 0

    for round_number in range(1, ROUNDS + 1):
        async with stdio_server(tmp_path, "--log-level", "error") as server:
            await check_and_resend(server, ledger)
            await volley_until_killed(server, ledger, round_number, chance.randint(1, MOST_ANSWERS))
        ledger.settle()
        killed_in_flight += len(ledger.unanswered())
        assert {} == ledger.refused
        assert [] == damaged(tmp_path)
    async with stdio_server(tmp_path) as server:
        await check_and_resend(server, ledger)
        await server.close_input()
        assert await server.exit_code() == 0

    assert killed_in_flight >= ROUNDS  # the kills hit something
    assert [] == ledger.unanswered()
    assert [] == broken_promises(ledger, read_log(campaign_file(tmp_path)))


async def check_and_resend(server: StdioServer, ledger: Ledger) -> None:
    """The new server shows every acknowledged roll once and as it was told; then each unanswered key is sent again."""
    if ledger.asked:
        shown = await shown_rolls(server)
        assert {key: [told] for key, told in ledger.acknowledged.items()} == {
            key: rolls for key, rolls in shown.items() if key in ledger.acknowledged
        }
    for pending in [await ledger.ask(server, key) for key in ledger.unanswered()]:
        await pending.arrived()
    ledger.settle()


async def volley_until_killed(server: StdioServer, ledger: Ledger, round_number: int, answers: int) -> None:
    """All writers roll one after the other until the server has answered that often; then it dies in their midst."""
    before = len(server.order)

    async def write(writer: int) -> None:
        roll = 0
        try:
            while True:
                roll += 1
                await (await ledger.ask(server, f"r{round_number}-w{writer}-{roll}")).arrived()
        except ServerGone:
            return

    async with anyio.create_task_group() as tasks:
        for writer in range(WRITERS):
            tasks.start_soon(write, writer)
        await server.answered(before + answers)
        await server.kill()


ANSWERS_BEFORE_COMMIT = """
import sqlite3, sys
from ttrpg_mcp.cli import main
from ttrpg_mcp.store.connection import Connection

honest = Connection.run

def has_rolls(connection):
    try:
        return connection.one("SELECT count(*) > 1 AS answer FROM roll")["answer"]
    except sqlite3.OperationalError:
        return False

def run(self, sql, /, **values):
    if sql == "COMMIT" and has_rolls(self) or sql == "BEGIN IMMEDIATE" and self.in_transaction:
        return 0
    return honest(self, sql, **values)

Connection.run = run
sys.exit(main())
"""


async def test_a_server_that_answers_before_it_commits_is_found_out(tmp_path: Path) -> None:
    """R34: the broken variant of the store; every roll after the first is acknowledged from memory."""
    ledger = Ledger()
    async with stdio_server(tmp_path, program=("-c", ANSWERS_BEFORE_COMMIT)) as server:
        for number in range(5):
            await (await ledger.ask(server, f"k{number}")).arrived()
        await server.kill()
    ledger.settle()

    found = broken_promises(ledger, read_log(campaign_file(tmp_path)))

    assert (5, {}) == (len(ledger.acknowledged), ledger.refused)
    assert ["k1", "k2", "k3", "k4"] == [promise.split()[0] for promise in found if "was acknowledged" in promise]
