import errno
import sqlite3

import pytest

from ttrpg_mcp.play.errors import (
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreInterrupted,
    StoreUnavailable,
)
from ttrpg_mcp.store.errors import as_store_error


def sqlite_error(name: str) -> sqlite3.Error:
    error = sqlite3.OperationalError("it broke")
    error.sqlite_errorname = name
    return error


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SQLITE_BUSY", StoreBusy),
        ("SQLITE_BUSY_RECOVERY", StoreBusy),
        ("SQLITE_BUSY_SNAPSHOT", StoreBusy),
        ("SQLITE_LOCKED_SHAREDCACHE", StoreBusy),
        ("SQLITE_INTERRUPT", StoreInterrupted),
        ("SQLITE_FULL", StoreFull),
        ("SQLITE_NOMEM", StoreFull),
        ("SQLITE_IOERR", StoreUnavailable),
        ("SQLITE_IOERR_WRITE", StoreUnavailable),
        ("SQLITE_READONLY_DBMOVED", StoreUnavailable),
        ("SQLITE_CANTOPEN_ISDIR", StoreUnavailable),
        ("SQLITE_CORRUPT", StoreCorrupt),
        ("SQLITE_CORRUPT_VTAB", StoreCorrupt),
        ("SQLITE_NOTADB", StoreCorrupt),
    ],
)
def test_sqlite_errors_become_those_of_the_port(name: str, expected: type[StoreError]) -> None:
    translated = as_store_error("mine", sqlite_error(name))

    assert (expected, "mine") == (type(translated), translated.compartment if translated else "")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "full"), StoreFull),
        (OSError(errno.EDQUOT, "full"), StoreFull),
        (PermissionError(errno.EACCES, "no"), StoreUnavailable),
        (MemoryError(), StoreFull),
    ],
)
def test_errors_of_the_machine_become_those_of_the_port(error: Exception, expected: type[StoreError]) -> None:
    assert expected is type(as_store_error("mine", error))


@pytest.mark.parametrize(
    "error",
    [sqlite_error("SQLITE_CONSTRAINT_UNIQUE"), sqlite_error("SQLITE_ERROR"), sqlite3.DatabaseError("x"), KeyError("x")],
)
def test_mistakes_of_ours_pass_as_they_are(error: Exception) -> None:
    assert None is as_store_error("mine", error)
