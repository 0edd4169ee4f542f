"""From SQLite's errors and the operating system's to those of the port, in one table."""

import errno
import sqlite3

from ttrpg_mcp.play.errors import (
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreInterrupted,
    StoreUnavailable,
)

__all__ = ["SERVER_COMPARTMENT", "as_store_error"]

SERVER_COMPARTMENT = "server"

# By the name without its extension: SQLITE_IOERR_WRITE is an IOERR. DatabaseError alone says nothing, since
# OperationalError is its subclass. CONSTRAINT, ERROR, MISUSE and the like are mistakes of ours and pass as they are.
_BY_NAME: dict[str, type[StoreError]] = {
    "BUSY": StoreBusy,
    "LOCKED": StoreBusy,
    "PROTOCOL": StoreBusy,
    "INTERRUPT": StoreInterrupted,
    "FULL": StoreFull,
    "NOMEM": StoreFull,
    "IOERR": StoreUnavailable,
    "READONLY": StoreUnavailable,
    "CANTOPEN": StoreUnavailable,
    "PERM": StoreUnavailable,
    "AUTH": StoreUnavailable,
    "CORRUPT": StoreCorrupt,
    "NOTADB": StoreCorrupt,
}
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


def as_store_error(compartment: str, error: BaseException) -> StoreError | None:
    """The port's error for a failure of SQLite or of the file system, or None for anything else.

    Raise it `from` the error.
    """
    found: type[StoreError] | None = None
    if isinstance(error, sqlite3.Error):
        found = _BY_NAME.get(_family(error))
    elif isinstance(error, MemoryError):
        found = StoreFull
    elif isinstance(error, OSError):
        found = StoreFull if error.errno in _NO_ROOM else StoreUnavailable
    return found(compartment, f"{type(error).__name__}: {error}") if found else None


def _family(error: sqlite3.Error) -> str:
    """SQLITE_IOERR_WRITE gives IOERR; a closed connection, which has no name, gives CANTOPEN."""
    name = getattr(error, "sqlite_errorname", None)
    if name is None:
        return "CANTOPEN" if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error) else ""
    return str(name).removeprefix("SQLITE_").split("_")[0]
