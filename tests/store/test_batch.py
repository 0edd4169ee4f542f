import sqlite3
from collections.abc import Callable, Iterator

import pytest

from ttrpg_mcp.play.errors import OutcomeUnknown, StoreBusy
from ttrpg_mcp.store.batch import Job, run_batch
from ttrpg_mcp.store.connection import Connection


@pytest.fixture
def raw() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.executescript(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);"
        "CREATE TABLE word (word TEXT, parent INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED);"
        "PRAGMA foreign_keys=ON;"
    )
    yield connection
    connection.close()


def never() -> bool:
    return False


def write(word: str) -> Callable[[Connection], str]:
    def work(connection: Connection) -> str:
        connection.insert("word", {"word": word})
        return word

    return work


def words(raw: sqlite3.Connection) -> list[str]:
    return [row["word"] for row in raw.execute("SELECT word FROM word")]


async def test_a_failing_unit_leaves_its_neighbours_alone(raw: sqlite3.Connection) -> None:
    def fail(connection: Connection) -> None:
        connection.insert("word", {"word": "lost"})
        raise LookupError("no")

    jobs = [Job(write("one")), Job(fail), Job(write("two"))]
    run_batch(Connection(raw), jobs, "x", never)

    assert ["one", "two"] == words(raw)
    assert ["one", "two"] == [jobs[0].result(), jobs[2].result()]
    with pytest.raises(LookupError):
        jobs[1].result()


async def test_a_unit_that_takes_the_transaction_with_it_does_not_take_its_neighbours(raw: sqlite3.Connection) -> None:
    runs = []

    def ruin(connection: Connection) -> None:
        runs.append("ruin")
        connection.run("ROLLBACK")  # as SQLite does by itself on FULL, IOERR and NOMEM
        raise sqlite3.OperationalError("disk I/O error")

    jobs = [Job(write("one")), Job(ruin), Job(write("two"))]
    run_batch(Connection(raw), jobs, "x", never)

    assert ["one", "two"] == words(raw)
    assert ["ruin"] == runs
    assert ["one", "two"] == [jobs[0].result(), jobs[2].result()]
    with pytest.raises(sqlite3.OperationalError):
        jobs[1].result()


async def test_after_a_failed_commit_nobody_is_told_that_it_is_saved(raw: sqlite3.Connection) -> None:
    def orphan(connection: Connection) -> None:
        connection.insert("word", {"word": "orphan", "parent": 7})  # COMMIT finds that there is no parent

    jobs = [Job(write("one")), Job(orphan)]
    run_batch(Connection(raw), jobs, "x", never)

    for job in jobs:
        with pytest.raises(OutcomeUnknown):
            job.result()
    assert not raw.in_transaction
    assert [] == words(raw)


async def test_the_connection_goes_on_after_a_failed_commit(raw: sqlite3.Connection) -> None:
    run_batch(Connection(raw), [Job(lambda connection: connection.insert("word", {"parent": 7}))], "x", never)

    job = Job(write("next"))
    run_batch(Connection(raw), [job], "x", never)

    assert "next" == job.result()


async def test_when_the_time_is_up_the_rest_is_left_undone(raw: sqlite3.Connection) -> None:
    jobs = [Job(write("one")), Job(write("two")), Job(write("three"))]
    answers = iter([False, True])

    run_batch(Connection(raw), jobs, "x", lambda: next(answers))

    assert ["one", "two"] == words(raw)
    assert [True, True, False] == [job.has_outcome for job in jobs]


async def test_a_batch_that_cannot_begin_is_busy(tmp_path: object) -> None:
    path = f"{tmp_path}/file.db"
    foreign = sqlite3.connect(path, isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    ours = sqlite3.connect(path, isolation_level=None, timeout=0)

    job = Job(write("one"))
    run_batch(Connection(ours), [job], "x", never)
    foreign.close()
    ours.close()

    with pytest.raises(StoreBusy):
        job.result()
