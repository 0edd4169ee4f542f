"""The text of the journal: one line a batch, with its own checksum, so that a line is whole or worth nothing."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ttrpg_mcp.store.connection import LoggedRow, Value

__all__ = ["Batch", "LineSpan", "batch_of", "from_line", "sound_lines", "span_of", "to_line"]

_LINE = re.compile(rb'\{"sha256":"([0-9a-f]{64})","first":(\d+),"last":(\d+),"rows":')
_HEX = "$hex"


class LineSpan(NamedTuple):
    """The `seq` of the first and of the last change in a line; a line of answers alone has none, and last < first."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction appended to the logs of a campaign.

    Attributes:
        first: `seq` of its first change; one more than `last` when it only kept answers.
        last: `seq` of its last change.
    """

    first: int
    last: int
    rows: Sequence[LoggedRow]


def batch_of(rows: Sequence[LoggedRow]) -> Batch:
    """The batch of rows out of one transaction; there must be at least one."""
    calls = [(_number(row["seq_first"]), _number(row["seq_last"])) for table, row in rows if table == "call_log"]
    if calls:
        return Batch(min(first for first, _ in calls), max(last for _, last in calls), rows)
    last = max((_number(row["seq"]) for table, row in rows if table == "answer"), default=0)
    return Batch(last + 1, last, rows)


def to_line(batch: Batch) -> bytes:
    """The batch as one line, its end included."""
    body = f'"first":{batch.first},"last":{batch.last},"rows":{_ENCODER.encode(batch.rows)}'.encode()
    return b'{"sha256":"%b",%b}\n' % (hashlib.sha256(body).hexdigest().encode(), body)


def from_line(line: bytes) -> Batch:
    """The batch of a sound line."""
    values = json.loads(line, object_hook=_from_hex)
    return Batch(values["first"], values["last"], tuple((table, row) for table, row in values["rows"]))


def span_of(line: bytes) -> LineSpan | None:
    """What a line tells of, or None for a line that is torn or was changed."""
    found = _LINE.match(line)
    if found is None or not line.endswith(b"}"):
        return None
    body = line[len('{"sha256":"",') + 64 : -1]
    if hashlib.sha256(body).hexdigest().encode() != found[1]:
        return None
    return LineSpan(int(found[2]), int(found[3]))


def sound_lines(data: bytes) -> Iterator[tuple[LineSpan, bytes]]:
    """The sound lines of a file; the others are passed over."""
    for line in data.splitlines():
        span = span_of(line)
        if span is not None:
            yield span, line


def _to_hex(value: object) -> dict[str, str]:
    if isinstance(value, bytes):
        return {_HEX: value.hex()}
    raise TypeError(f"no column holds a {type(value).__name__}")


def _from_hex(value: dict[str, Any]) -> Any:
    # The values of a row are texts, numbers and bytes: an object with this one key is never anything else.
    return bytes.fromhex(value[_HEX]) if value.keys() == {_HEX} else value


def _number(value: Value) -> int:
    return int(value or 0)


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=_to_hex, check_circular=False)
