"""The change log and the log of the calls behind it, both append only."""

import json
from collections.abc import Mapping, Sequence

from ttrpg_mcp.play.errors import TooLarge
from ttrpg_mcp.play.ports import Call, CallEntry, ChangeEntry, Json
from ttrpg_mcp.store.audiences import AUDIENCE_FILTER, AudienceTable, audience_values
from ttrpg_mcp.store.canonical import canonical_json
from ttrpg_mcp.store.connection import Connection, Row, Value
from ttrpg_mcp.store.counters import Counters

__all__ = ["MOST_CHANGE_BYTES", "MOST_SUMMARY_LETTERS", "CallLog", "ChangeTable"]

MOST_CHANGE_BYTES = 512 * 1024
MOST_SUMMARY_LETTERS = 200

_CHANGE = "seq, call_id, at_ms, entity, entity_id, before, after, visibility"
_PAGE = f"""
SELECT {_CHANGE} FROM changes
WHERE campaign_id = :campaign_id AND seq > :since AND (:before IS NULL OR seq < :before) AND {AUDIENCE_FILTER}
ORDER BY seq DESC LIMIT :limit
"""  # noqa: S608 - columns and filter are constants of ours
_OF_CALL = f"""
SELECT {_CHANGE} FROM changes WHERE campaign_id = :campaign_id AND call_id = :call_id ORDER BY seq
"""  # noqa: S608
_NEWEST_OF = f"""
SELECT {_CHANGE} FROM changes WHERE campaign_id = :campaign_id AND entity = :entity AND entity_id = :entity_id
AND (:at IS NULL OR seq <= :at)
ORDER BY seq DESC LIMIT 1
"""  # noqa: S608
_CALL = "call_id, seq_first, seq_last, at_ms, principal, tool, summary, kind, target_call, undoable"
_CALLS = f"""
SELECT {_CALL} FROM call_log
WHERE campaign_id = :campaign_id AND call_id IN (SELECT value FROM json_each(:call_ids))
ORDER BY seq_first
"""  # noqa: S608
_CALL_AT = f"""
SELECT {_CALL} FROM call_log WHERE campaign_id = :campaign_id AND seq_last >= :seq AND seq_first <= :seq
ORDER BY seq_last LIMIT 1
"""  # noqa: S608
_REWOUND_BY = f"""
SELECT {_CALL} FROM call_log WHERE campaign_id = :campaign_id AND target_call = :call_id ORDER BY seq_last DESC LIMIT 1
"""  # noqa: S608
_CALLS_BETWEEN = f"""
SELECT {_CALL} FROM call_log
WHERE campaign_id = :campaign_id AND seq_first >= :first AND (:last IS NULL OR seq_last <= :last) AND undoable
ORDER BY seq_last DESC LIMIT :limit
"""  # noqa: S608
# The newest undo or redo of a call says whether it is undone.
_STANDS = """
(SELECT later.kind FROM call_log AS later
 WHERE later.campaign_id = done.campaign_id AND later.target_call = done.call_id
 ORDER BY later.seq_last DESC LIMIT 1)
"""
_UNDOABLE = f"""
SELECT {_CALL} FROM call_log AS done
WHERE campaign_id = :campaign_id AND undoable AND {_STANDS} IS NOT 'undo'
ORDER BY seq_last DESC LIMIT 1
"""  # noqa: S608
_UNDONE = f"""
SELECT {_CALL} FROM call_log AS undo
WHERE campaign_id = :campaign_id AND kind = 'undo' AND NOT EXISTS (
    SELECT 1 FROM call_log AS later
    WHERE later.campaign_id = undo.campaign_id AND later.target_call = undo.target_call
    AND later.seq_last > undo.seq_last)
ORDER BY seq_last DESC LIMIT 1
"""  # noqa: S608


class ChangeTable:
    """What changed, each row with the whole entity before and after. The ChangeRecords of a unit."""

    __slots__ = ("_call", "_campaign_id", "_connection", "_counters", "_wrote", "kind", "target_call")

    def __init__(self, connection: Connection, campaign_id: str, call: Call, counters: Counters) -> None:
        self._connection = connection
        self._campaign_id = campaign_id
        self._call = call
        self._counters = counters
        self._wrote = False
        self.kind = "system" if call.principal.role == "system" else "do"
        self.target_call: str | None = None

    @property
    def is_undoable(self) -> bool:
        """Whether this transaction can be undone: it changed an entity, and is no undo or redo itself."""
        return self._wrote and self.kind in {"do", "system", "rollback"}

    def mark(self, kind: str, target_call: str | None = None) -> None:
        """Log this transaction's call as an undo or redo of that call, or as a rollback."""
        self.kind = kind
        self.target_call = target_call

    def append(
        self, entity: str, entity_id: str, *, before: Json | None, after: Json | None, visibility: str = "players"
    ) -> int:
        """Log one change and give its `seq`. Raises TooLarge."""
        images = {"before": _packed(before), "after": _packed(after)}
        size = sum(len(image.encode()) for image in images.values() if image)
        if size > MOST_CHANGE_BYTES:
            raise TooLarge("change", size, MOST_CHANGE_BYTES)
        seq = self._counters.take_seq(visibility)
        self._wrote |= not (entity == "campaign" and before is None)  # a campaign's making is never undone
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
        return {row["call_id"]: _call(row) for row in rows}

    def call_at(self, seq: int) -> CallEntry | None:
        """The call that took that `seq`, or None."""
        return self._one_call(_CALL_AT, seq=seq)

    def undoable(self) -> CallEntry | None:
        """The newest call that can be undone and is not, or None."""
        return self._one_call(_UNDOABLE)

    def redoable(self) -> CallEntry | None:
        """The call whose undo is the newest that stands, or None."""
        undo = self._one_call(_UNDONE)
        if undo is None or undo.target_call is None:
            return None
        return self.calls([undo.target_call]).get(undo.target_call)

    def calls_between(self, first: int, last: int | None, *, limit: int) -> Sequence[CallEntry]:
        """The newest calls that changed an entity, oldest first."""
        values = {"first": first, "last": last, "limit": limit}
        rows = self._connection.all(_CALLS_BETWEEN, campaign_id=self._campaign_id, **values)
        return tuple(_call(row) for row in reversed(rows))

    def rewound_by(self, call_id: str) -> CallEntry | None:
        """The newest undo or redo of that call, or None."""
        return self._one_call(_REWOUND_BY, call_id=call_id)

    def of_call(self, call_id: str) -> Sequence[ChangeEntry]:
        """What that call changed, in order."""
        rows = self._connection.all(_OF_CALL, campaign_id=self._campaign_id, call_id=call_id)
        return tuple(_change(row) for row in rows)

    def newest_of(self, entity: str, entity_id: str, *, at: int | None = None) -> ChangeEntry | None:
        """The newest change of that entity, up to the `seq` at where given, or None."""
        values = {"entity": entity, "entity_id": entity_id, "at": at}
        row = self._connection.one(_NEWEST_OF, campaign_id=self._campaign_id, **values)
        return None if row is None else _change(row)

    def _one_call(self, sql: str, **values: Value) -> CallEntry | None:
        row = self._connection.one(sql, campaign_id=self._campaign_id, **values)
        return None if row is None else _call(row)


class CallLog:
    """One row a writing call."""

    __slots__ = ("_audiences", "_campaign_id", "_connection")

    def __init__(self, connection: Connection, campaign_id: str) -> None:
        self._connection = connection
        self._campaign_id = campaign_id
        self._audiences = AudienceTable(connection, campaign_id)

    def append(self, call: Call, seq_first: int, counters: Counters, changes: ChangeTable, summary: str) -> None:
        """Log the call that took seq_first up to the counters' head, and raise the counters of its audiences."""
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
                "kind": changes.kind,
                "target_call": changes.target_call,
                "summary": summary[:MOST_SUMMARY_LETTERS],
                "undoable": int(changes.is_undoable),
                "audience_seq": canonical_json(raised),
            },
        )


def _packed(image: Json | None) -> str | None:
    return None if image is None else canonical_json(image)


def _call(row: Row) -> CallEntry:
    return CallEntry(**{**dict(row), "undoable": bool(row["undoable"])})


def _change(row: Row) -> ChangeEntry:
    images = {key: None if row[key] is None else json.loads(row[key]) for key in ("before", "after")}
    return ChangeEntry(**{**dict(row), **images})
