"""How a connection is set up, and the proof that SQLite took the settings on which durability rests."""

import sqlite3
from contextlib import closing
from functools import cache
from typing import Literal, Protocol

__all__ = [
    "PragmaRefused",
    "Synchronous",
    "apply_reader_pragmas",
    "apply_writer_pragmas",
    "switch_to_wal",
]

Synchronous = Literal["FULL", "OFF"]

_EVERY_CONNECTION = (
    "PRAGMA foreign_keys=ON",
    "PRAGMA cell_size_check=ON",
    # Without a memory map a bad page is an error that can be reported; with one it is a SIGBUS.
    "PRAGMA mmap_size=0",
)
_WRITER = (
    "PRAGMA busy_timeout=1000",
    # On macOS only these reach the platter; elsewhere they do nothing.
    "PRAGMA fullfsync=1",
    "PRAGMA checkpoint_fullfsync=1",
    "PRAGMA wal_autocheckpoint=1000",
    "PRAGMA journal_size_limit=67108864",
)
_DISTRUST = "PRAGMA trusted_schema=OFF"
_READER = ("PRAGMA busy_timeout=500", _DISTRUST)
# FULL, not NORMAL: under WAL, NORMAL loses the newest commits when the power fails, and a saved roll must stay saved.
# OFF is for unit tests alone, which pull no plug.
_SYNCHRONOUS = {"FULL": ("PRAGMA synchronous=FULL", 2), "OFF": ("PRAGMA synchronous=OFF", 0)}
# What of our tables depends on trust, in small.
_SCRATCH = """
CREATE TABLE scratch (number INTEGER PRIMARY KEY, value TEXT CHECK (json_valid(value)));
CREATE VIRTUAL TABLE scratch_fts USING fts5 (value, content = 'scratch', content_rowid = 'number');
CREATE TRIGGER scratch_found AFTER INSERT ON scratch BEGIN
    INSERT INTO scratch_fts (rowid, value) VALUES (new.number, new.value);
END;
INSERT INTO scratch VALUES (1, '{}');
"""


class PragmaRefused(sqlite3.OperationalError):
    """SQLite answered another setting than the one asked for, so the file would not be durable."""

    sqlite_errorname = "CANTOPEN"

    def __init__(self, pragma: str, answer: object) -> None:
        super().__init__(f"{pragma!r} was answered by {answer!r}")
        self.pragma = pragma
        self.answer = answer


class _Pragmatic(Protocol):
    """The part of a connection that pragmas need."""

    def one(self, sql: str, /) -> sqlite3.Row | None: ...


def apply_writer_pragmas(connection: _Pragmatic, synchronous: Synchronous) -> None:
    """Set up the one connection that writes, all but the journal mode. Raises PragmaRefused."""
    for pragma in (*_EVERY_CONNECTION, *_WRITER):
        connection.one(pragma)
    if _works_in_distrust():
        connection.one(_DISTRUST)
    pragma, expected = _SYNCHRONOUS[synchronous]
    connection.one(pragma)
    _require(pragma, expected, connection.one("PRAGMA synchronous"))


def apply_reader_pragmas(connection: _Pragmatic) -> None:
    """Set up a connection that only reads."""
    for pragma in (*_EVERY_CONNECTION, *_READER):
        connection.one(pragma)


def switch_to_wal(connection: _Pragmatic) -> None:
    """Turn the write-ahead log on, which changes the file, so it comes after the file is known as ours.

    Raises PragmaRefused: some file systems cannot have one.
    """
    pragma = "PRAGMA journal_mode=WAL"
    _require(pragma, "wal", connection.one(pragma))


@cache
def _works_in_distrust() -> bool:
    """Whether our tables work with trusted_schema=OFF.

    SQLite 3.40 refuses CHECK (json_valid(...)) as unsafe, and so it does a trigger that writes to a search index.
    """
    with closing(sqlite3.connect(":memory:")) as scratch:
        scratch.execute(_DISTRUST)
        try:
            scratch.executescript(_SCRATCH)
        except sqlite3.OperationalError:
            return False
    return True


def _require(pragma: str, expected: object, row: sqlite3.Row | None) -> None:
    answer = row[0] if row else None
    if answer != expected:
        raise PragmaRefused(pragma, answer)
