"""The roll log: audited dice, each row chained by hash to the one before, append only."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ttrpg_mcp.play.ports import Call, EpochEntry, RollDraft, RollEntry, RollStream
from ttrpg_mcp.rules.dice import StreamChance, commitment, open_half, secret_half
from ttrpg_mcp.store.audiences import AUDIENCE_FILTER, audience_values
from ttrpg_mcp.store.canonical import canonical_json
from ttrpg_mcp.store.connection import Connection, Row, Value
from ttrpg_mcp.store.counters import Counters

__all__ = ["RollTable", "roll_hash"]

_SALT_BYTES = 16

# An epoch is closed by the mark on its first roll that reveals it.
_REVEALED = """
(SELECT detail FROM roll_mark AS mark
 WHERE mark.campaign_id = roll_epoch.campaign_id AND mark.number = roll_epoch.first_roll AND mark.kind = 'revealed')
"""
_NEWEST_EPOCH = f"""
SELECT epoch, commit_hash, seed, client_seed, first_roll, {_REVEALED} AS revealed FROM roll_epoch
WHERE campaign_id = :campaign_id ORDER BY epoch DESC LIMIT 1
"""  # noqa: S608 - columns are constants of ours
_EPOCHS = f"""
SELECT epoch, commit_hash, first_roll, client_seed, opened_at_ms, {_REVEALED} AS revealed FROM roll_epoch
WHERE campaign_id = :campaign_id ORDER BY epoch
"""  # noqa: S608
_CHAIN = "SELECT * FROM roll WHERE campaign_id = :campaign_id AND number > :after ORDER BY number LIMIT 1000"
_LAST = "SELECT epoch, row_hash FROM roll WHERE campaign_id = :campaign_id ORDER BY number DESC LIMIT 1"
_ENTRY = "number, seq, epoch, at_ms, principal, expression, canonical, total, result"
_BETWEEN = f"""
SELECT count(*) OVER () AS count, {_ENTRY} FROM roll
WHERE campaign_id = :campaign_id AND seq >= :first AND (:last IS NULL OR seq <= :last) AND {AUDIENCE_FILTER}
ORDER BY number DESC LIMIT 1
"""  # noqa: S608 - columns and filter are constants of ours
_PAGE = f"""
SELECT {_ENTRY} FROM roll
WHERE campaign_id = :campaign_id AND seq > :since AND (:before IS NULL OR number < :before) AND {AUDIENCE_FILTER}
ORDER BY number DESC LIMIT :limit
"""  # noqa: S608 - the filter is a constant of ours


def roll_hash(prev_hash: bytes, row: Mapping[str, Value]) -> bytes:
    """The row_hash that a row of the roll table must have after a row, or an epoch, of prev_hash.

    The row's columns count as they are stored, blobs in hexadecimal; prev_hash and row_hash among them are left out.
    """
    columns = {name: _plain(value) for name, value in row.items() if name not in {"prev_hash", "row_hash"}}
    return hashlib.sha256(b"ttrpg-roll-v1" + prev_hash + canonical_json(columns).encode()).digest()


def _plain(value: Value) -> str | int | float | None:
    return value.hex() if isinstance(value, bytes) else value


class RollTable:
    """The RollRecords of a unit."""

    __slots__ = ("_call", "_campaign_id", "_connection", "_counters", "_unsaved")

    def __init__(self, connection: Connection, campaign_id: str, call: Call, counters: Counters) -> None:
        self._connection = connection
        self._campaign_id = campaign_id
        self._call = call
        self._counters = counters
        self._unsaved: dict[int, str] = {}  # visibility by roll number

    @property
    def has_unsaved(self) -> bool:
        """Whether a stream was taken whose roll was not saved; committing that would leave a gap."""
        return bool(self._unsaved)

    def next_stream(self, seed: bytes, *, visibility: str = "players") -> RollStream:
        """Take the next roll number and `seq`; open an epoch with the seed when none is open.

        Nothing is random here, so a unit that runs again gets the same dice. Rolls that not all may see draw from the
        half of the seed that stays closed.
        """
        if self._unsaved:
            raise RuntimeError("save a roll before taking the next one")
        number = self._counters.take_roll()
        seq = self._counters.take_seq(visibility)
        epoch = self._open_epoch() or self._begin_epoch(seed, number)
        half = open_half(epoch["seed"]) if visibility == "players" else secret_half(epoch["seed"])
        self._unsaved[number] = visibility
        chance = StreamChance(half, epoch["epoch"], number, epoch["client_seed"])
        return RollStream(number, seq, epoch["epoch"], epoch["commit_hash"], chance)

    def save(self, stream: RollStream, draft: RollDraft) -> RollEntry:
        """Append the roll to the log and to its hash chain."""
        visibility = self._unsaved.pop(stream.number)
        prev_hash = self._chain_end(stream)
        row = {**self._row(stream, draft, visibility), "salt": self._salt(stream, visibility)}
        self._connection.insert("roll", {**row, "prev_hash": prev_hash, "row_hash": roll_hash(prev_hash, row)})
        return RollEntry(
            number=stream.number,
            seq=stream.seq,
            epoch=stream.epoch,
            at_ms=self._call.at_ms,
            principal=str(self._call.principal),
            expression=draft.expression,
            canonical=draft.canonical,
            total=draft.total,
            result=draft.result,
        )

    def page(self, *, before: int | None, since: int, limit: int) -> Sequence[RollEntry]:
        """Newest first, as far as the caller may see them."""
        rows = self._connection.all(
            _PAGE,
            campaign_id=self._campaign_id,
            before=before,
            since=since,
            limit=limit,
            **audience_values(self._call.principal),
        )
        return tuple(_entry(row) for row in rows)

    def between(self, first: int, last: int | None) -> tuple[int, RollEntry | None]:
        """How many rolls there are from `seq` first to last, and the newest of them."""
        values = {"first": first, "last": last, **audience_values(self._call.principal)}
        row = self._connection.one(_BETWEEN, campaign_id=self._campaign_id, **values)
        if row is None:
            return 0, None
        columns = dict(row)
        return int(columns.pop("count")), _entry(columns)

    def close_epoch(self) -> None:
        """Reveal the open epoch's open half and the hash of the other one; the next roll opens a new epoch."""
        epoch = self._open_epoch()
        if epoch is None:
            return
        secret_hash = hashlib.sha256(secret_half(epoch["seed"]))
        detail = {"open": open_half(epoch["seed"]).hex(), "secret_hash": secret_hash.hexdigest()}
        self._connection.insert(
            "roll_mark",
            {
                "campaign_id": self._campaign_id,
                "number": epoch["first_roll"],
                "seq": self._counters.take_seq("players"),
                "kind": "revealed",
                "detail": canonical_json(detail),
            },
        )

    def epochs(self) -> Sequence[EpochEntry]:
        """Every epoch, oldest first, with what is revealed of it."""
        rows = self._connection.all(_EPOCHS, campaign_id=self._campaign_id)
        return tuple(_epoch(row) for row in rows)

    def first_broken(self) -> int | None:
        """The number of the first roll whose place in the hash chain is wrong, or None."""
        starts = {entry.epoch: entry.commit for entry in self.epochs()}
        number, epoch, previous = 0, 0, b""
        while rows := self._connection.all(_CHAIN, campaign_id=self._campaign_id, after=number):
            for row in rows:
                previous = previous if row["epoch"] == epoch else starts.get(row["epoch"], b"")
                is_next = row["number"] == number + 1 and row["prev_hash"] == previous
                number, epoch = row["number"], row["epoch"]
                if not is_next or row["row_hash"] != roll_hash(previous, dict(row)):
                    return int(number)
                previous = row["row_hash"]
        return None

    def _open_epoch(self) -> Row | None:
        newest = self._connection.one(_NEWEST_EPOCH, campaign_id=self._campaign_id)
        return newest if newest is not None and newest["revealed"] is None else None

    def _begin_epoch(self, seed: bytes, first_roll: int) -> Row:
        last = self._connection.one(_LAST, campaign_id=self._campaign_id)
        self._connection.insert(
            "roll_epoch",
            {
                "campaign_id": self._campaign_id,
                "epoch": last["epoch"] + 1 if last else 1,
                "commit_hash": bytes.fromhex(commitment(self._campaign_id, seed)),
                "seed": seed,
                "client_seed": "",
                "first_roll": first_roll,
                "opened_at_ms": self._call.at_ms,
                "prev_hash": last["row_hash"] if last else b"",
            },
        )
        epoch = self._open_epoch()
        if epoch is None:
            raise RuntimeError("an epoch that was just written is not there")
        return epoch

    def _chain_end(self, stream: RollStream) -> bytes:
        """The hash that the roll follows: that of the roll before it, or its epoch's commitment."""
        last = self._connection.one(_LAST, campaign_id=self._campaign_id)
        return last["row_hash"] if last is not None and last["epoch"] == stream.epoch else stream.commit

    def _salt(self, stream: RollStream, visibility: str) -> bytes | None:
        """What keeps the hash of a hidden roll from being guessed: known only to who has the secret half."""
        epoch = None if visibility == "players" else self._open_epoch()
        if epoch is None:
            return None
        about = secret_half(epoch["seed"]) + stream.number.to_bytes(8, "big")
        return hashlib.sha256(b"ttrpg-roll-salt\x00" + about).digest()[:_SALT_BYTES]

    def _row(self, stream: RollStream, draft: RollDraft, visibility: str) -> dict[str, Value]:
        return {
            "campaign_id": self._campaign_id,
            "number": stream.number,
            "seq": stream.seq,
            "epoch": stream.epoch,
            "call_id": self._call.call_id,
            "at_ms": self._call.at_ms,
            "principal": str(self._call.principal),
            "character_id": None,
            "visibility": visibility,
            "expression": draft.expression,
            "canonical": draft.canonical,
            "faces": canonical_json([list(pair) for pair in draft.faces]),
            "total": draft.total,
            "result": canonical_json(draft.result),
        }


def _epoch(row: Row) -> EpochEntry:
    revealed = {} if row["revealed"] is None else json.loads(row["revealed"])
    return EpochEntry(
        epoch=row["epoch"],
        commit=row["commit_hash"],
        first_roll=row["first_roll"],
        client_seed=row["client_seed"],
        opened_at_ms=row["opened_at_ms"],
        open_half=bytes.fromhex(revealed["open"]) if revealed else None,
        secret_hash=bytes.fromhex(revealed["secret_hash"]) if revealed else None,
    )


def _entry(row: Row | Mapping[str, Value]) -> RollEntry:
    columns: dict[str, Any] = dict(row)
    return RollEntry(**{**columns, "result": json.loads(columns["result"])})
