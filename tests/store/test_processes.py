"""The promises that hold between processes, kept with the real settings of a durable file."""

import subprocess
import sys
from pathlib import Path

from tests.store.helpers import a_call, campaign_file, make_campaign, roll, rows
from ttrpg_mcp.recovery.clock import SystemClock
from ttrpg_mcp.store.rolls import roll_hash
from ttrpg_mcp.store.store import SqliteStore

ROOT = Path(__file__).parents[2]
Acknowledged = dict[str, tuple[int, int]]


def start(data: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.store.writer_process", str(data), name, str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def acknowledged(lines: list[str]) -> Acknowledged:
    """(seq, number) by call id; a line that the kill cut off does not count."""
    whole = [line.split() for line in lines if line.endswith("\n")]
    return {call_id: (int(seq), int(number)) for call_id, seq, number in whole}


def stored(data: Path) -> Acknowledged:
    found = rows(campaign_file(data), "SELECT call_id, seq, number FROM roll ORDER BY number")
    return {row["call_id"]: (row["seq"], row["number"]) for row in found}


def assert_no_gap_and_an_unbroken_chain(data: Path) -> None:
    log = rows(campaign_file(data), "SELECT * FROM roll ORDER BY number")
    assert list(range(1, len(log) + 1)) == [row["number"] for row in log]
    assert list(range(2, len(log) + 2)) == [row["seq"] for row in log]
    assert [row["row_hash"] for row in log] == [roll_hash(row["prev_hash"], row) for row in log]
    assert [row["row_hash"] for row in log[:-1]] == [row["prev_hash"] for row in log[1:]]


async def new_campaign(data: Path) -> None:
    store = SqliteStore(data, SystemClock())
    await store.open()
    await make_campaign(store)
    await store.close()


async def test_two_processes_write_side_by_side_and_nothing_is_lost_or_doubled(data: Path) -> None:
    await new_campaign(data)

    processes = [start(data, name, 100) for name in ("a", "b")]
    lines = [process.communicate(timeout=60)[0].splitlines(keepends=True) for process in processes]

    assert [0, 0] == [process.returncode for process in processes]
    told = acknowledged(lines[0] + lines[1])
    assert {f"{name}-{number}" for name in "ab" for number in range(100)} == told.keys()
    assert told == stored(data)
    assert_no_gap_and_an_unbroken_chain(data)


async def test_a_killed_process_keeps_every_roll_that_it_acknowledged(data: Path) -> None:
    await new_campaign(data)

    told: Acknowledged = {}
    for round_number in range(3):
        process = start(data, str(round_number), 0)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(150)]
        process.kill()
        told |= acknowledged(lines + process.stdout.readlines())
        process.stdout.close()
        process.wait(10)

    store = SqliteStore(data, SystemClock())
    await store.open()
    last = await store.write(a_call("after"), roll)
    answers = {call_id: await store.stored_answer(a_call("again", key=call_id)) for call_id in told}
    await store.close()

    kept = stored(data)
    assert len(kept) == last.number
    assert told == {call_id: kept[call_id] for call_id in told}
    assert [] == [call_id for call_id, found in answers.items() if found is None]
    assert_no_gap_and_an_unbroken_chain(data)
