"""The least that saving a roll can cost: the same rows in one commit, with the same pragmas, from plain sqlite3."""

import itertools
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ttrpg_mcp.store.connection import Connection
from ttrpg_mcp.store.pragmas import apply_writer_pragmas, switch_to_wal

__all__ = ["BareCommit", "bare_commit"]

_RAISE = "UPDATE audience SET seq = seq + 1"
_HEADS = "UPDATE campaign SET head_seq = ?, head_roll = ?, clean = 0"


class BareCommit:
    """Writes the newest roll of a campaign's file again and again, each time as a new one."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw
        self._rows = {
            table: dict(row)
            for table, number in (("roll", "number"), ("call_log", "seq_last"), ("answer", "seq"))
            for row in raw.execute(f"SELECT * FROM {table} ORDER BY {number} DESC LIMIT 1")  # noqa: S608
        }
        self._inserts = {table: _insert(table, row) for table, row in self._rows.items()}
        self._numbers = itertools.count(1_000_000)

    def roll(self) -> None:
        """What dice_roll writes."""
        self._save("roll", "call_log")

    def keyed_roll(self) -> None:
        """What dice_roll writes when it has a request_key."""
        self._save("roll", "call_log", "answer")

    def _save(self, *tables: str) -> None:
        number = next(self._numbers)
        new: dict[str, Any] = {"number": number, "seq": number, "seq_first": number, "seq_last": number}
        new |= {"call_id": f"call-{number}", "key": f"key-{number}"}
        run = self._raw.execute
        run("BEGIN IMMEDIATE")
        for table in tables:
            run(self._inserts[table], {**self._rows[table], **new})
        run(_RAISE)
        run(_HEADS, (number, number))
        run("COMMIT")


@contextmanager
def bare_commit(data: Path) -> Iterator[BareCommit]:
    """On a copy of the one campaign of a data folder; keyed_roll() wants one roll there with a request_key."""
    campaign_file = next(data.glob("campaigns/*/campaign.db"))
    copied = data / "bare_commit.db"
    for suffix in ("", "-wal"):
        if (source := campaign_file.with_name(campaign_file.name + suffix)).exists():
            shutil.copyfile(source, copied.with_name(copied.name + suffix))
    with closing(sqlite3.connect(copied, isolation_level=None)) as raw:
        raw.row_factory = sqlite3.Row
        apply_writer_pragmas(Connection(raw), "FULL")
        switch_to_wal(Connection(raw))
        yield BareCommit(raw)


def _insert(table: str, row: dict[str, Any]) -> str:
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})"  # noqa: S608 - names from the schema
