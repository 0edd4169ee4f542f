"""What is done about a COMMIT that failed: the mark beside the file, and the tiny commit that shows what is true.

A failed COMMIT is no refusal. When its fsync fails, this process no longer sees the rows, but after kill -9 they may be
back, because they stand in the log all the same. One later commit over the same connections writes over them; from
then on the file says for every call whether it was saved. Until then nothing is closed: a file that is opened anew
would trust a log that may never have reached the disk.
"""

import logging
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ttrpg_mcp.play.errors import StoreCorrupt
from ttrpg_mcp.play.ports import Call
from ttrpg_mcp.store.batch import Job, Trace
from ttrpg_mcp.store.connection import Connection

__all__ = ["campaign_trace", "probe", "server_trace", "settle_suspect", "suspect_mark", "was_saved"]

_logger = logging.getLogger(__name__)

_CALL_LOGGED = "SELECT 1 FROM call_log WHERE call_id = :call_id AND seq_last = :seq"
_ANSWERED = "SELECT 1 FROM answer WHERE call_id = :call_id"


def campaign_trace(call: Call) -> Trace:
    """How a unit on a campaign is found: by the log of calls, or by its answer when it changed nothing.

    The call id alone is not enough: one call may write twice, as the first roll of all does, which makes its campaign.
    """

    def is_there(connection: Connection, value: tuple[object, int]) -> bool:
        logged = connection.one(_CALL_LOGGED, call_id=call.call_id, seq=value[1])
        return bool(logged or connection.one(_ANSWERED, call_id=call.call_id))

    return Trace(_request(call), is_there)


def server_trace(call: Call) -> Trace | None:
    """How a unit on the server's own file is found: by its answer; None when it leaves none."""
    if call.request_key is None:
        return None
    return Trace(_request(call), lambda connection, _: bool(connection.one(_ANSWERED, call_id=call.call_id)))


def suspect_mark(file: Path) -> Path:
    """The file beside the database that says: the newest COMMIT failed, and nobody has looked yet."""
    return file.with_suffix(".suspect")


def probe(connection: Connection) -> None:
    """Commit something tiny, to the disk. Raises sqlite3.Error; then nothing is left open."""
    connection.roll_back()
    try:
        connection.run("BEGIN IMMEDIATE")
        # The same number again: that is written to the log and synced as any change is, whatever tables there are.
        row = connection.one("PRAGMA user_version")
        connection.run(f"PRAGMA user_version = {row[0] if row else 0}")
        connection.run("COMMIT")
    except sqlite3.Error:
        connection.roll_back()
        raise


def was_saved(connection: Connection, jobs: Iterable[Job]) -> bool | None:
    """Whether the transaction of these jobs is in the file, all or nothing; None when none of them left a trace."""
    verdicts = [job.is_there(connection) for job in jobs]
    known = [verdict for verdict in verdicts if verdict is not None]
    return any(known) if known else None


def settle_suspect(connection: Connection, file: Path) -> None:
    """At open: where the mark was left, make the file say the truth before it serves, and take the mark away.

    The connection writes and is the only one of this process. Raises sqlite3.Error, and StoreCorrupt.
    """
    mark = suspect_mark(file)
    if not mark.exists():
        return
    _logger.warning("the last commit to %s failed before it was closed; it is being checked", file.name)
    connection.one("PRAGMA wal_checkpoint(TRUNCATE)")
    verdict = connection.one("PRAGMA quick_check(1)")
    if verdict is None or verdict[0] != "ok":
        raise StoreCorrupt(file.parent.name, f"quick_check after a failed commit: {verdict and verdict[0]}")
    probe(connection)
    mark.unlink(missing_ok=True)


def leave_mark(file: Path) -> None:
    """Leave the mark, as far as the disk lets us."""
    with suppress(OSError):
        suspect_mark(file).touch(mode=0o600)


def take_mark_away(file: Path) -> None:
    """Remove the mark; one that stays only costs the next start a check."""
    with suppress(OSError):
        suspect_mark(file).unlink(missing_ok=True)


def _request(call: Call) -> tuple[str, str] | None:
    return None if call.request_key is None else (str(call.principal), call.request_key)
