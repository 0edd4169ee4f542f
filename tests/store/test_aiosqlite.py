"""What we rely on in aiosqlite, and the traps we walk around: a new version has to pass this first."""

import ast
import sqlite3
import threading
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path

import aiosqlite
import anyio
import pytest

import ttrpg_mcp
from tests.store.helpers import until
from ttrpg_mcp.store.connection import Connection, connect, hop
from ttrpg_mcp.store.folders import create_file

PACKAGE = Path(ttrpg_mcp.__file__).parent


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[aiosqlite.Connection]:
    create_file(tmp_path / "file.db")
    database = await connect(tmp_path / "file.db", "rw", "OFF")
    await hop(database, lambda connection: connection.run("CREATE TABLE word (word TEXT)"))
    yield database
    await database.close()


def test_the_version_is_the_one_these_tests_know() -> None:
    assert version("aiosqlite").startswith("0.22.")


async def test_a_function_runs_in_the_connection_s_own_thread(database: aiosqlite.Connection) -> None:
    threads = {await hop(database, lambda connection: threading.current_thread()) for _ in range(2)}

    assert 1 == len(threads)
    assert threading.main_thread() not in threads


async def test_the_thread_is_no_daemon_so_a_leaked_connection_blocks_the_exit(database: aiosqlite.Connection) -> None:
    assert not await hop(database, lambda connection: threading.current_thread().daemon)


async def test_executescript_wraps_what_it_is_given_so_hop_keeps_the_value_itself(
    database: aiosqlite.Connection,
) -> None:
    assert isinstance(await database.executescript("SELECT 1"), aiosqlite.Cursor)
    assert [7] == await hop(database, lambda connection: [7])


async def test_an_error_comes_out_of_a_hop_as_it_is(database: aiosqlite.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await hop(database, lambda connection: connection.run("DELETE FROM nowhere"))


async def test_a_stop_iteration_does_not_hang_its_waiter(database: aiosqlite.Connection) -> None:
    def stop(connection: Connection) -> None:
        raise StopIteration

    with anyio.fail_after(5), pytest.raises(RuntimeError, match="StopIteration"):
        await hop(database, stop)


async def test_cancelling_the_await_does_not_stop_the_work(database: aiosqlite.Connection) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def work(connection: Connection) -> None:
        entered.set()
        assert go_on.wait(5)
        connection.insert("word", {"word": "done"})

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(hop, database, work)
            await until(entered.is_set)
            group.cancel_scope.cancel()
        go_on.set()
        words = await hop(database, lambda connection: [row["word"] for row in connection.all("SELECT * FROM word")])

    assert ["done"] == words


async def test_a_transaction_over_two_awaits_stays_open_between_them(database: aiosqlite.Connection) -> None:
    await database.execute("BEGIN")

    with pytest.raises(sqlite3.OperationalError, match="within a transaction"):
        await database.execute("BEGIN")

    await database.execute("ROLLBACK")


async def test_python_opens_no_transaction_by_itself(database: aiosqlite.Connection) -> None:
    await database.execute("INSERT INTO word VALUES ('one')")

    assert not database.in_transaction


async def test_a_second_close_after_the_first_returns(tmp_path: Path) -> None:
    create_file(tmp_path / "other.db")
    database = await connect(tmp_path / "other.db", "rw")

    with anyio.fail_after(5):
        await database.close()
        await database.close()


async def test_a_missing_file_is_not_made_and_leaves_no_thread(tmp_path: Path) -> None:
    threads = set(threading.enumerate())

    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        await connect(tmp_path / "missing.db", "rw")

    await until(lambda: set(threading.enumerate()) <= threads)
    assert [] == list(tmp_path.iterdir())


def test_no_private_name_of_aiosqlite_is_used() -> None:
    private = {name for name in vars(aiosqlite.Connection) if name.startswith("_") and not name.startswith("__")}
    used = {
        node.attr
        for path in (PACKAGE / "store").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    }

    assert set() == private & used


def test_sqlite_is_imported_in_the_store_alone() -> None:
    importers = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom) and _imported(node) & {"sqlite3", "aiosqlite"}
    }

    assert {"store"} == importers


def _imported(node: ast.Import | ast.ImportFrom) -> set[str]:
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    return {name.split(".")[0] for name in names}
