"""The change log and the log of the calls behind it, both append only."""

import json
from collections.abc import Mapping, Sequence
from typing import Literal

from ttrpg_mcp.play.errors import TooLarge
from ttrpg_mcp.play.ports import Call, CallEntry, ChangeEntry, Json
from ttrpg_mcp.store.audiences import AUDIENCE_FILTER, AudienceTable, audience_values
from ttrpg_mcp.store.canonical import canonical_json
from ttrpg_mcp.store.connection import Connection, Row
from ttrpg_mcp.store.counters import Counters

__all__ = ["MOST_CHANGE_BYTES", "MOST_SUMMARY_LETTERS", "CallLog", "ChangeTable"]

MOST_CHANGE_BYTES = 512 * 1024
MOST_SUMMARY_LETTERS = 200

_PAGE = f"""
SELECT seq, call_id, at_ms, entity, entity_id, before, after FROM changes
WHERE campaign_id = :campaign_id AND seq > :since AND (:before IS NULL OR seq < :before) AND {AUDIENCE_FILTER}
ORDER BY seq DESC LIMIT :limit
"""  # noqa: S608 - the filter is a constant of ours
_CALLS = """
SELECT call_id, seq_first, seq_last, at_ms, principal, tool, summary FROM call_log
WHERE campaign_id = :campaign_id AND call_id IN (SELECT value FROM json_each(:call_ids))
ORDER BY seq_first
"""


class ChangeTable:
    """What changed, each row with the whole entity before and after. The ChangeRecords of a unit."""

    __slots__ = ("_call", "_campaign_id", "_connection", "_counters")

    def __init__(self, connection: Connection, campaign_id: str, call: Call, counters: Counters) -> None:
        self._connection = connection
        self._campaign_id = campaign_id
        self._call = call
        self._counters = counters

    def append(
        self, entity: str, entity_id: str, *, before: Json | None, after: Json | None, visibility: str = "players"
    ) -> int:
        """Log one change and give its `seq`. Raises TooLarge."""
        images = {"before": _packed(before), "after": _packed(after)}
        size = sum(len(image.encode()) for image in images.values() if image)
        if size > MOST_CHANGE_BYTES:
            raise TooLarge("change", size, MOST_CHANGE_BYTES)
        seq = self._counters.take_seq(visibility)
        self._connection.insert(
            "changes",
            {
                "campaign_id": self._campaign_id,
                "seq": seq,
                "call_id": self._call.call_id,
                "at_ms": self._call.at_ms,
                "entity": entity,
                "entity_id": entity_id,
                "visibility": visibility,
                **images,
            },
        )
        return seq

    def page(self, *, before: int | None, since: int, limit: int) -> Sequence[ChangeEntry]:
        """Newest first, as far as the caller may see them."""
        rows = self._connection.all(
            _PAGE,
            campaign_id=self._campaign_id,
            before=before,
            since=since,
            limit=limit,
            **audience_values(self._call.principal),
        )
        return tuple(_change(row) for row in rows)

    def calls(self, call_ids: Sequence[str]) -> Mapping[str, CallEntry]:
        """The calls behind those changes, by call id."""
        wanted = canonical_json(list(call_ids))
        rows = self._connection.all(_CALLS, campaign_id=self._campaign_id, call_ids=wanted)
        return {row["call_id"]: CallEntry(**dict(row)) for row in rows}


class CallLog:
    """One row a writing call."""

    __slots__ = ("_audiences", "_campaign_id", "_connection")

    def __init__(self, connection: Connection, campaign_id: str) -> None:
        self._connection = connection
        self._campaign_id = campaign_id
        self._audiences = AudienceTable(connection, campaign_id)

    def append(self, call: Call, seq_first: int, counters: Counters, summary: str) -> None:
        """Log the call that took seq_first up to the counters' head, and raise the counters of its audiences."""
        kind: Literal["do", "system"] = "system" if call.principal.role == "system" else "do"
        raised = {audience: self._audiences.raised(audience) for audience in sorted(counters.audiences)}
        self._connection.insert(
            "call_log",
            {
                "campaign_id": self._campaign_id,
                "call_id": call.call_id,
                "seq_first": seq_first,
                "seq_last": counters.head_seq,
                "at_ms": call.at_ms,
                "principal": str(call.principal),
                "tool": call.tool,
                "kind": kind,
                "summary": summary[:MOST_SUMMARY_LETTERS],
                # Rolls and the making of a campaign are never undone, and nothing else is written so far.
                "undoable": 0,
                "audience_seq": canonical_json(raised),
            },
        )


def _packed(image: Json | None) -> str | None:
    return None if image is None else canonical_json(image)


def _change(row: Row) -> ChangeEntry:
    images = {key: None if row[key] is None else json.loads(row[key]) for key in ("before", "after")}
    return ChangeEntry(row["seq"], row["call_id"], row["at_ms"], row["entity"], row["entity_id"], **images)
