"""The second copy of a campaign's logs: one line a batch, appended after its COMMIT and under the campaign's lock.

It survives a damaged or emptied database, and its last sound line says how far the campaign had come. A line that
could not be appended is not missed for long: the tables have its rows, and the next append or start copies them.
"""

import itertools
import logging
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from ttrpg_mcp.store.connection import Connection, LoggedRow
from ttrpg_mcp.store.folders import make_folder, sync_folder
from ttrpg_mcp.store.journal_lines import Batch, LineSpan, batch_of, from_line, sound_lines, to_line

__all__ = ["MOST_JOURNAL_BYTES", "Journal", "journal_files", "read_journal"]

_logger = logging.getLogger(__name__)

MOST_JOURNAL_BYTES = 8 * 1024 * 1024  # then a backup is made, and with it a new file begun
_CALLS_IN_LINE = 200

_CALLS = """
SELECT seq_first, seq_last FROM call_log WHERE campaign_id = :campaign_id AND seq_last > :since ORDER BY seq_last
"""
_ROWS = {
    "changes": "SELECT * FROM changes WHERE campaign_id = :campaign_id AND seq BETWEEN :first AND :last ORDER BY seq",
    "call_log": """
        SELECT * FROM call_log WHERE campaign_id = :campaign_id AND seq_last BETWEEN :first AND :last ORDER BY seq_last
    """,
    "roll_epoch": """
        SELECT * FROM roll_epoch WHERE campaign_id = :campaign_id AND epoch IN
        (SELECT epoch FROM roll WHERE campaign_id = :campaign_id AND seq BETWEEN :first AND :last) ORDER BY epoch
    """,
    "roll": "SELECT * FROM roll WHERE campaign_id = :campaign_id AND seq BETWEEN :first AND :last ORDER BY number",
    "roll_mark": "SELECT * FROM roll_mark WHERE campaign_id = :campaign_id AND seq BETWEEN :first AND :last",
    "posting": "SELECT * FROM posting WHERE campaign_id = :campaign_id AND seq BETWEEN :first AND :last",
    # One less: an answer that changed nothing has the `seq` of the change before it.
    "answer": "SELECT * FROM answer WHERE campaign_id = :campaign_id AND seq BETWEEN :first - 1 AND :last",
}


class Journal:
    """The journal of one campaign. All but sync() wants the campaign's lock to be held.

    Attributes:
        size: Bytes of the file that is written to, as this process last saw it.
    """

    def __init__(self, campaign_id: str, folder: Path) -> None:
        self._campaign_id = campaign_id
        self._folder = folder
        self._path: Path | None = None
        self._handle: int | None = None
        self._begins_file = False
        self._missing_after: int | None = None  # a failed append left out what comes after this `seq`
        self.size = 0

    def note(self, connection: Connection, *, is_committed: bool = True) -> None:
        """Copy what the transaction that just ended inserted into the logs. Raises nothing: it is saved.

        When its COMMIT failed nothing is copied now; later the tables tell what became of it.
        """
        rows = connection.take_logged()
        if not rows:
            return
        batch = batch_of(rows)
        if not is_committed:
            self._note_failure(batch.first - 1)
        elif self._missing_after is not None:
            self._repair(connection, self._missing_after)
        else:
            self._append(batch)

    def top_up(self, connection: Connection, since: int) -> None:
        """Copy from the tables what the journal lacks after `since`. Raises nothing."""
        self._repair(connection, _first_gap([span for span, _ in self._lines()], since))

    def head(self) -> int:
        """The highest `seq` of a sound line; 0 without one."""
        return max((span.last for span, _ in self._lines()), default=0)

    def cut_torn_line(self) -> None:
        """Take away what a kill left of a last line. Raises OSError."""
        for path in journal_files(self._folder)[-1:]:
            data = path.read_bytes()
            if data and not data.endswith(b"\n"):
                os.truncate(path, data.rfind(b"\n") + 1)

    def begin_file(self) -> None:
        """Let the next line open a new file: a backup holds what came before."""
        self._begins_file = True

    def prune(self, seq: int) -> None:
        """Delete the files whose every change is in a backup of that `seq`. Raises OSError."""
        files = journal_files(self._folder)
        for path, following in itertools.pairwise(files):
            if int(following.stem) <= seq + 1:
                path.unlink(missing_ok=True)

    def sync(self) -> None:
        """Bring the journal to the disk. Raises OSError. Without the lock, but not while close() runs."""
        if self._handle is not None:
            os.fsync(self._handle)
            sync_folder(self._folder)

    def close(self) -> None:
        """Give up the file; the next append opens it again."""
        handle, self._handle, self._path = self._handle, None, None
        if handle is not None:
            os.close(handle)

    def _append(self, batch: Batch) -> None:
        try:
            self._write(batch)
        except OSError:
            self._note_failure(batch.first - 1)

    def _repair(self, connection: Connection, since: int) -> None:
        """Copy everything after `since` from the tables; what is there twice is the same."""
        try:
            for batch in _from_tables(connection, self._campaign_id, since):
                self._write(batch)
            self._missing_after = None
        except (OSError, sqlite3.Error):
            self._note_failure(since)

    def _note_failure(self, since: int) -> None:
        if self._missing_after is None:
            _logger.warning("%s: the journal lacks changes; they are copied later", self._campaign_id)
        self._missing_after = since if self._missing_after is None else min(since, self._missing_after)

    def _write(self, batch: Batch) -> None:
        """Append one line as a whole, or nothing. Raises OSError."""
        handle = self._current(batch.first)
        size = os.fstat(handle).st_size
        # A killed process may have left half a line; ours must not become the other half.
        line = to_line(batch) if _ends_whole(handle, size) else b"\n" + to_line(batch)
        if os.write(handle, line) != len(line):
            os.ftruncate(handle, size)
            raise OSError("the journal took only a part of a line")
        self.size = size + len(line)

    def _current(self, first: int) -> int:
        """The newest file, open; another process may have begun it."""
        newest = _newest(self._folder)
        wanted = self._folder / f"{first:010d}.jsonl"
        if newest is None or (self._begins_file and newest.stem < wanted.stem):
            newest = wanted
        if self._handle is None or self._path != newest:
            self.close()
            make_folder(self._folder)
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
            self._handle, self._path = os.open(newest, flags, stat.S_IRUSR | stat.S_IWUSR), newest
        self._begins_file = False
        return self._handle

    def _lines(self) -> Iterator[tuple[LineSpan, bytes]]:
        for path in journal_files(self._folder):
            yield from sound_lines(path.read_bytes())


def read_journal(folder: Path) -> Iterator[Batch]:
    """Every sound line of a journal's folder, file by file; nothing where there is no folder. Raises OSError."""
    for path in journal_files(folder):
        for _, line in sound_lines(path.read_bytes()):
            yield from_line(line)


def journal_files(folder: Path) -> list[Path]:
    """The files of a journal, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix == ".jsonl" and path.stem.isdigit())


def _newest(folder: Path) -> Path | None:
    """The same as the last of journal_files, in the way that costs least: each append asks."""
    try:
        name = max((name for name in os.listdir(folder) if name.endswith(".jsonl")), default=None)
    except FileNotFoundError:
        return None
    return None if name is None else folder / name


def _ends_whole(handle: int, size: int) -> bool:
    if size == 0:
        return True
    os.lseek(handle, size - 1, os.SEEK_SET)  # the handle appends wherever it stands
    return os.read(handle, 1) == b"\n"


def _first_gap(spans: Sequence[LineSpan], since: int) -> int:
    """The `seq` up to which the lines tell everything after `since`."""
    reached = since
    for first, last in sorted(spans):
        if first > reached + 1:
            break
        reached = max(reached, last)
    return reached


def _from_tables(connection: Connection, campaign_id: str, since: int) -> Iterator[Batch]:
    """All that the tables have after `since`, in batches of whole calls."""
    calls = connection.all(_CALLS, campaign_id=campaign_id, since=since)
    for start in range(0, len(calls), _CALLS_IN_LINE):
        group = calls[start : start + _CALLS_IN_LINE]
        first, last = min(row["seq_first"] for row in group), group[-1]["seq_last"]
        yield Batch(first, last, _rows(connection, campaign_id, first, last))


def _rows(connection: Connection, campaign_id: str, first: int, last: int) -> list[LoggedRow]:
    return [
        (table, dict(row))
        for table, sql in _ROWS.items()
        for row in connection.all(sql, campaign_id=campaign_id, first=first, last=last)
    ]
