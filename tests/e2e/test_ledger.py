"""The check of the crash tests can fail: a log that breaks a promise is found out."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.ledger import Acknowledged, Ledger, LoggedRoll, RollLog, broken_promises, read_log
from tests.e2e.servers import campaign_file, stdio_server

ROLLS = (LoggedRoll(1, 2, "a", "11"), LoggedRoll(2, 3, "b", "22"), LoggedRoll(3, 4, "c", "33"))
SOUND = RollLog(ROLLS, [1], ["a", "b", "c"], head_roll=3, head_seq=4)


def ledger() -> Ledger:
    """a and b were acknowledged, c and d were not."""
    told = {"a": Acknowledged(1, "11"), "b": Acknowledged(2, "22")}
    return Ledger(acknowledged=told, asked=dict.fromkeys("abcd"))


def test_a_log_that_kept_every_promise_passes() -> None:
    """R34: a roll that nobody heard of may be there, or not."""
    assert [] == broken_promises(ledger(), SOUND)


@pytest.mark.parametrize(
    ("log", "promise"),
    [
        (replace(SOUND, rolls=ROLLS[:1] + ROLLS[2:]), "b was acknowledged"),
        (replace(SOUND, rolls=ROLLS[1:]), "a was acknowledged"),
        (replace(SOUND, rolls=(ROLLS[0], replace(ROLLS[1], total="23"), ROLLS[2])), "b was acknowledged"),
        (replace(SOUND, rolls=(*ROLLS, LoggedRoll(4, 5, "c", "44")), head_roll=4, head_seq=5), "c is 2 times"),
        (replace(SOUND, rolls=(*ROLLS, LoggedRoll(4, 5, "b", "22")), head_roll=4, head_seq=5), "b was acknowledged"),
        (replace(SOUND, rolls=(*ROLLS[:2], replace(ROLLS[2], number=4)), head_roll=4), "roll numbers have gaps"),
        (replace(SOUND, rolls=(*ROLLS[:2], replace(ROLLS[2], number=2))), "roll numbers have gaps or doubles"),
        (replace(SOUND, rolls=(*ROLLS[:2], replace(ROLLS[2], seq=3))), "seqs have gaps or doubles"),
        (replace(SOUND, change_seqs=[]), "seqs have gaps or doubles"),
        (replace(SOUND, head_roll=4), "roll numbers have gaps"),
        (replace(SOUND, answered_keys=["a", "b"]), "c is 1 times in the log, with 0 stored answers"),
        (replace(SOUND, answered_keys=["a", "b", "c", "d"]), "d is 0 times in the log, with 1 stored answers"),
        (replace(SOUND, rolls=(*ROLLS[:2], replace(ROLLS[2], key="z"))), "z is in the log and nobody asked"),
        (replace(SOUND, rolls=(*ROLLS[:2], replace(ROLLS[2], prev_hash=b"x"))), "does not follow"),
    ],
)
def test_a_doctored_log_is_found_out(log: RollLog, promise: str) -> None:
    """R34."""
    found = broken_promises(ledger(), log)

    assert promise in " ".join(found)


async def test_a_real_file_is_sound_until_a_row_is_taken_out_or_doubled(tmp_path: Path) -> None:
    """R34: the reading of the file is part of the check, so it is seen to fail on files too."""
    ledger = Ledger()
    async with stdio_server(tmp_path / "data") as server:
        for key in ("k1", "k2", "k3"):
            await (await ledger.ask(server, key)).arrived()
        await server.close_input()
        await server.exit_code()
    ledger.settle()
    file = campaign_file(tmp_path / "data")

    lost, doubled = tmp_path / "lost.db", tmp_path / "doubled.db"
    doctor(file, lost, "DELETE FROM roll WHERE number = 2")
    doctor(file, doubled, "INSERT INTO roll SELECT * FROM again", "UPDATE campaign SET head_roll = 4, head_seq = 5")

    assert [] == broken_promises(ledger, read_log(file))
    assert "k2 was acknowledged" in " ".join(broken_promises(ledger, read_log(lost)))
    assert "k3 is 2 times in the log" in " ".join(broken_promises(ledger, read_log(doubled)))


def doctor(file: Path, copy: Path, *statements: str) -> None:
    """A copy of the file in which rows can be changed; the table `again` holds the last roll under a new number."""
    shutil.copyfile(file, copy)
    with closing(sqlite3.connect(copy)) as connection:
        connection.executescript(
            "DROP TRIGGER roll_stay; CREATE TEMP TABLE again AS SELECT * FROM roll WHERE number = 3"
        )
        connection.execute("UPDATE again SET number = 4, seq = 5, prev_hash = row_hash")
        for statement in statements:
            connection.execute(statement)
        connection.commit()
