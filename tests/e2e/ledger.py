"""What was promised to callers, kept outside the server, and what the campaign's file says afterwards."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.e2e.servers import Pending, StdioServer, facts_in

__all__ = [
    "EXPRESSION",
    "Acknowledged",
    "Ledger",
    "LoggedRoll",
    "RollLog",
    "broken_promises",
    "read_log",
    "shown_rolls",
]

EXPRESSION = "1d1000000"  # two rolls are hardly ever equal, so that a wrong one shows


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What a caller was told."""

    roll_number: int
    total: str


@dataclass(frozen=True, slots=True)
class LoggedRoll:
    """A row of the roll log.

    Attributes:
        key: The roll's label, which the tests make equal to the request key.
    """

    number: int
    seq: int
    key: str
    total: str
    prev_hash: bytes = b""
    row_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class RollLog:
    """A campaign's file, as far as the promises go.

    Attributes:
        rolls: By number.
        change_seqs: The numbers that went to changes, rolls not among them.
        answered_keys: Request keys that have a stored answer.
    """

    rolls: Sequence[LoggedRoll]
    change_seqs: Sequence[int]
    answered_keys: Sequence[str]
    head_roll: int
    head_seq: int


@dataclass(slots=True)
class Ledger:
    """Request keys and what became of them."""

    acknowledged: dict[str, Acknowledged] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    asked: dict[str, None] = field(default_factory=dict)
    _pending: list[tuple[str, Pending]] = field(default_factory=list)

    async def ask(self, server: StdioServer, key: str) -> Pending:
        """Roll under the key and do not wait. The key is noted first: it may reach the disk whatever happens."""
        self.asked[key] = None
        pending = await server.ask("dice_roll", expression=EXPRESSION, label=key, request_key=key)
        self._pending.append((key, pending))
        return pending

    def settle(self) -> None:
        """Note every answer that came, also those which nobody waited for."""
        for key, pending in self._pending:
            if pending.answer is None:
                continue
            if pending.answer["result"].get("isError"):
                self.refused[key] = pending.answer["result"]["structuredContent"]["error"]["code"]
                continue
            facts = facts_in(pending.answer)
            self.acknowledged[key] = Acknowledged(facts["roll_number"], str(facts["total"]))
            self.refused.pop(key, None)
        self._pending.clear()

    def unanswered(self) -> list[str]:
        """Keys that were asked and never acknowledged, in the order of asking."""
        return [key for key in self.asked if key not in self.acknowledged]


def read_log(file: Path) -> RollLog:
    """The campaign's file, read by a connection that cannot write."""
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        rolls = connection.execute(
            "SELECT number, seq, json_extract(result, '$.label'), total, prev_hash, row_hash FROM roll ORDER BY number"
        )
        log = [LoggedRoll(*row) for row in rolls]
        seqs = [row[0] for row in connection.execute("SELECT seq FROM changes ORDER BY seq")]
        keys = [row[0] for row in connection.execute("SELECT key FROM answer ORDER BY key")]
        head_roll, head_seq = connection.execute("SELECT head_roll, head_seq FROM campaign").fetchone()
    return RollLog(log, seqs, keys, head_roll, head_seq)


async def shown_rolls(server: StdioServer) -> dict[str, list[Acknowledged]]:
    """Every roll of history_show by its label, all pages."""
    found: dict[str, list[Acknowledged]] = {}
    cursor = ""
    while True:
        page = await server.call("history_show", limit=100, cursor=cursor)
        for row in page["rolls"]:
            found.setdefault(row["label"], []).append(Acknowledged(row["roll_number"], row["total"]))
        cursor = page.get("next_cursor", "")
        if not cursor:
            return found


def broken_promises(ledger: Ledger, log: RollLog) -> list[str]:
    """Every promise that the file does not keep, as a sentence; empty when all are kept (R34)."""
    return [
        *_lost_or_changed(ledger, log),
        *_doubled_or_foreign(ledger, log),
        *_numbers("roll numbers", [roll.number for roll in log.rolls], log.head_roll),
        *_numbers("seqs", sorted([*(roll.seq for roll in log.rolls), *log.change_seqs]), log.head_seq),
        *_loose_links(log.rolls),
    ]


def _lost_or_changed(ledger: Ledger, log: RollLog) -> Iterable[str]:
    rolled: dict[str, list[Acknowledged]] = {}
    for roll in log.rolls:
        rolled.setdefault(roll.key, []).append(Acknowledged(roll.number, roll.total))
    for key, told in ledger.acknowledged.items():
        if [told] != rolled.get(key, []):
            yield f"{key} was acknowledged as {told} and is in the log as {rolled.get(key, [])}"


def _doubled_or_foreign(ledger: Ledger, log: RollLog) -> Iterable[str]:
    rolled = Counter(roll.key for roll in log.rolls)
    answered = Counter(log.answered_keys)
    for key in sorted(rolled | answered):
        if key not in ledger.asked:
            yield f"{key} is in the log and nobody asked for it"
        elif (rolled[key], answered[key]) != (1, 1):
            yield f"{key} is {rolled[key]} times in the log, with {answered[key]} stored answers"


def _numbers(what: str, found: Sequence[int], head: int) -> Iterable[str]:
    if list(found) != list(range(1, head + 1)):
        wrong = Counter(range(1, head + 1))
        wrong.subtract(found)
        yield f"{what} have gaps or doubles up to {head}: {sorted(number for number, left in wrong.items() if left)}"


def _loose_links(rolls: Sequence[LoggedRoll]) -> Iterable[str]:
    for before, after in pairwise(rolls):
        if before.row_hash != after.prev_hash:
            yield f"roll {after.number} does not follow roll {before.number} in the chain"
