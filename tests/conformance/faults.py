"""Faults to order: a store whose attempts fail now and then, and a foreign program that takes the campaigns' locks."""

import argparse
import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ttrpg_mcp.play.errors import StoreBusy
from ttrpg_mcp.play.ports import Call, ServerUnit, StoredAnswer, Unit
from ttrpg_mcp.recovery.clock import Clock
from ttrpg_mcp.store.store import SqliteStore

__all__ = ["FAULT", "HELD", "FlakyStore", "take_locks"]

FAULT = "a fault to order"
HELD = "held a lock"
EVERY = 20  # every twentieth attempt: five percent
HOLD_S = 0.2
PAUSE_S = 0.4

T = TypeVar("T")

_log = logging.getLogger(__name__)


class FlakyStore(SqliteStore):
    """A store with one attempt in twenty refused before it begins.

    Never twice for one call, since a transient fault is one that a repeat gets past; so nothing here is left to luck.
    """

    def __init__(self, data_folder: Path, clock: Clock) -> None:
        super().__init__(data_folder, clock)
        self._attempts = 0
        self._hit: set[str] = set()

    async def write(self, call: Call, story: Callable[[Unit], T]) -> T:
        """As the store, or refused."""
        self._maybe_fail(call)
        return await super().write(call, story)

    async def read(self, call: Call, story: Callable[[Unit], T]) -> T:
        """As the store, or refused."""
        self._maybe_fail(call)
        return await super().read(call, story)

    async def write_server(self, call: Call, story: Callable[[ServerUnit], T]) -> T:
        """As the store, or refused."""
        self._maybe_fail(call)
        return await super().write_server(call, story)

    async def read_server(self, call: Call, story: Callable[[ServerUnit], T]) -> T:
        """As the store, or refused."""
        self._maybe_fail(call)
        return await super().read_server(call, story)

    async def stored_answer(self, call: Call) -> StoredAnswer | None:
        """As the store, or refused."""
        self._maybe_fail(call)
        return await super().stored_answer(call)

    def _maybe_fail(self, call: Call) -> None:
        self._attempts += 1
        if self._attempts % EVERY == 0 and call.call_id not in self._hit:
            self._hit.add(call.call_id)
            _log.warning(FAULT)
            raise StoreBusy(call.campaign_id, FAULT)


def take_locks(data: Path) -> None:
    """Take the write lock of every campaign now and then, and say so, until somebody ends this process."""
    while True:
        for file in data.glob("campaigns/*/campaign.db"):
            _hold(file)
        time.sleep(PAUSE_S)


def _hold(file: Path) -> None:
    connection = sqlite3.connect(file, isolation_level=None, timeout=1)
    try:
        connection.execute("BEGIN IMMEDIATE")
        print(HELD, flush=True)
        time.sleep(HOLD_S)
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return  # the server was writing, so there is no lock to take this time
    finally:
        connection.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=take_locks.__doc__)
    parser.add_argument("data", type=Path)
    take_locks(parser.parse_args().data)
