"""One SQLite connection: the plain synchronous one that a unit uses, and the thread it lives in.

aiosqlite gives the thread, but no public way to run a function in it. Its executescript does, together with
UnitConnection: handed a callable, it calls it with the connection. So a whole transaction is one hop, never several
awaits, and a cancellation cannot leave the connection inside a transaction.
"""

import sqlite3
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast

import aiosqlite
import anyio

from ttrpg_mcp.store.pragmas import Synchronous, apply_reader_pragmas, apply_writer_pragmas

__all__ = ["Connection", "Row", "UnitConnection", "Value", "connect", "hop"]

T = TypeVar("T")
Value: TypeAlias = str | int | float | bytes | None
Row: TypeAlias = sqlite3.Row

_STEPS_BETWEEN_QUESTIONS = 10_000


class UnitConnection(sqlite3.Connection):
    """A connection whose executescript also takes a function of the connection."""

    def executescript(self, script: str | Callable[["UnitConnection"], None], /) -> sqlite3.Cursor:
        """Run the function, or else the SQL; aiosqlite calls this in the connection's own thread."""
        if callable(script):
            script(self)
            return self.cursor()
        return super().executescript(script)


class Connection:
    """The database as one unit of work sees it: plain, synchronous, inside one hop only."""

    __slots__ = ("_raw",)

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open; some errors end it without being asked to."""
        return self._raw.in_transaction

    def one(self, sql: str, /, **values: Value) -> Row | None:
        """The first row, or None."""
        return cast("Row | None", self._raw.execute(sql, values).fetchone())

    def all(self, sql: str, /, **values: Value) -> list[Row]:
        """Every row, fetched."""
        return self._raw.execute(sql, values).fetchall()

    def run(self, sql: str, /, **values: Value) -> int:
        """How many rows the statement touched."""
        return self._raw.execute(sql, values).rowcount

    def script(self, sql: str, /) -> None:
        """Run several statements that have no parameters: migrations only."""
        self._raw.executescript(sql)

    def stop_when(self, is_over: Callable[[], bool] | None, /) -> None:
        """Let statements fail with INTERRUPT once is_over, asked every few thousand steps, answers True."""
        self._raw.set_progress_handler(is_over, _STEPS_BETWEEN_QUESTIONS)

    def insert(self, table: str, row: Mapping[str, Value], /) -> None:
        """Add one row; the keys are column names of ours."""
        self._raw.execute(_insert_sql(table, tuple(row)), dict(row))


@lru_cache(maxsize=256)
def _insert_sql(table: str, columns: tuple[str, ...]) -> str:
    places = ", ".join(f":{column}" for column in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608 - names are ours, values are bound


class _Kept(Generic[T]):
    """A value or an error on its way out of the thread, where a StopIteration that is raised hangs the waiter."""

    __slots__ = ("_error", "_value")

    def __init__(self) -> None:
        self._value: T | None = None
        self._error: BaseException | None = None

    def fill(self, work: Callable[[Connection], T], raw: UnitConnection) -> None:
        try:
            self._value = work(Connection(raw))
        except BaseException as error:  # noqa: BLE001 - the border of the thread; it is raised again on the other side
            self._error = error

    def get(self) -> T:
        if self._error is not None:
            raise self._error
        return cast("T", self._value)


async def hop(database: aiosqlite.Connection, work: Callable[[Connection], T]) -> T:
    """What the work returns, run in the connection's thread in one go.

    A cancelled caller leaves at once, but the work goes on in the thread to its end.
    """
    kept = _Kept[T]()

    def run(raw: UnitConnection) -> None:
        kept.fill(work, raw)

    await database.executescript(cast("Any", run))
    return kept.get()


async def connect(path: Path, mode: Literal["rw", "ro"], synchronous: Synchronous = "FULL") -> aiosqlite.Connection:
    """An open connection to a file that exists, its pragmas set and verified.

    A reader wants the file's writer to be there already. Raises sqlite3.Error, and PragmaRefused.
    """
    # A cancelled connect would leak the thread, so it is awaited to its end.
    with anyio.CancelScope(shield=True):
        database = await aiosqlite.connect(
            _uri(path, mode), uri=True, isolation_level=None, factory=UnitConnection, cached_statements=256
        )
        database.row_factory = sqlite3.Row
        try:
            if mode == "rw":
                await hop(database, lambda connection: apply_writer_pragmas(connection, synchronous))
            else:
                await hop(database, apply_reader_pragmas)
        except BaseException:
            await database.close()
            raise
    return database


def _uri(path: Path, mode: str) -> str:
    return f"{path.absolute().as_uri()}?mode={mode}"
