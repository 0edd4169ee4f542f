"""The rows of the logs that can still be read: out of journals, and out of a damaged file page by page."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ttrpg_mcp.store.connection import JOURNAL_TABLES, Connection, LoggedRow, Value
from ttrpg_mcp.store.journal_lines import Batch
from ttrpg_mcp.store.rolls import roll_hash

__all__ = ["SavedRows", "salvaged"]

_KEYS: Mapping[str, tuple[str, ...]] = {
    "changes": ("seq",),
    "call_log": ("call_id", "seq_first"),
    "roll_epoch": ("epoch",),
    "roll": ("number",),
    "roll_mark": ("number", "seq"),
    "posting": ("seq", "line"),
    "answer": ("principal", "key"),
}
_COUNTED = ("changes", "roll", "roll_mark", "posting")  # a `seq` belongs to a row of one of these
_NUMBERED = {"changes": "seq", "roll": "number", "roll_epoch": "epoch", "posting": "seq", "roll_mark": "seq"}
_MOST_LOOKED_AT = 1 << 40
_MOST_FAILURES = 5_000  # a broken leaf costs about a hundred; a broken root would cost one for every number


class SavedRows:
    """Rows of the logs by table and key; the first source of a row wins, so the most trusted one comes first."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[tuple[Value, ...], Mapping[str, Value]]] = {table: {} for table in JOURNAL_TABLES}
        self._told: set[int] = set()  # every `seq` whose rows are here
        self._ends: set[int] = set()  # the last `seq` of every whole call

    @property
    def head(self) -> int:
        """The newest `seq` that any row tells of."""
        return max((*self._told, *self._ends), default=0)

    def add_batches(self, batches: Iterable[Batch]) -> None:
        """Take lines of a journal, which are whole."""
        for batch in batches:
            self._add(batch.rows)
            self._told.update(range(batch.first, batch.last + 1))
            self._ends.add(batch.last)

    def add_salvaged(self, rows: Iterable[LoggedRow]) -> None:
        """Take single rows, of which any may be missing."""
        self._add(rows)
        for table in _COUNTED:
            self._told.update(int(row["seq"] or 0) for row in self._rows[table].values())

    def _add(self, rows: Iterable[LoggedRow]) -> None:
        for table, row in rows:
            self._rows[table].setdefault(tuple(row[column] for column in _KEYS[table]), row)
            if table == "call_log":
                self._ends.add(int(row["seq_last"] or 0))

    def reach(self, head: int) -> int:
        """How far a copy that ends with `head` can be brought without a gap, and without half a call."""
        reached = seq = head
        while seq + 1 in self._told:
            seq += 1
            if seq in self._ends:
                reached = seq
        return reached

    def between(self, table: str, after: int, upto: int, column: str = "seq") -> list[Mapping[str, Value]]:
        """The rows of a table with `after` < column <= `upto`, in its order."""
        rows = (row for row in self._rows[table].values() if after < int(row[column] or 0) <= upto)
        return sorted(rows, key=lambda row: int(row[column] or 0))


def salvaged(connection: Connection, campaign_id: str) -> Iterator[LoggedRow]:
    """Every row of the logs that can be read, pages that cannot be read passed over."""
    for table in JOURNAL_TABLES:
        with suppress(sqlite3.Error):  # a table, or its index, that is gone altogether
            for row in _readable(connection, campaign_id, table):
                if table != "roll" or roll_hash(row["prev_hash"], row) == row["row_hash"]:
                    yield table, row


def _readable(connection: Connection, campaign_id: str, table: str) -> Iterator[dict[str, Any]]:
    column = _NUMBERED.get(table)
    if column is None:
        yield from _as_far_as_it_goes(connection, campaign_id, table)
        return
    key = f"campaign_id = :campaign_id AND {column} >= :first AND {column} < :end"
    sql = f"SELECT * FROM {table} WHERE {key} ORDER BY campaign_id, {column}"  # noqa: S608 - names of ours
    pending = [(0, _MOST_LOOKED_AT)]
    failures = 0
    while pending and failures < _MOST_FAILURES:
        first, end = pending.pop()
        try:
            rows = connection.all(sql, campaign_id=campaign_id, first=first, end=end)
        except sqlite3.Error:
            # Halved until the unreadable page stands alone; a range without rows is read at once.
            failures += 1
            middle = (first + end) // 2
            if end - first > 1:
                pending += [(middle, end), (first, middle)]
            continue
        yield from (dict(row) for row in rows)


def _as_far_as_it_goes(connection: Connection, campaign_id: str, table: str) -> Sequence[dict[str, Any]]:
    """The rows from either end up to the first page that cannot be read."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    keys = ", ".join(_KEYS[table])
    for order in (keys, keys.replace(",", " DESC,") + " DESC"):
        sql = f"SELECT * FROM {table} WHERE campaign_id = :campaign_id ORDER BY {order}"  # noqa: S608 - names of ours
        with suppress(sqlite3.Error):
            for row in connection.each(sql, campaign_id=campaign_id):
                found[tuple(row[column] for column in _KEYS[table])] = dict(row)
    return list(found.values())
