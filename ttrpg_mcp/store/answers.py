"""Answers kept under their request keys, so that a repeat gets the same answer and nothing happens twice."""

import json
from collections.abc import Sequence

from ttrpg_mcp.play.errors import AlreadyAnswered, RequestKeyReused, TooLarge
from ttrpg_mcp.play.ports import Answer, Call, StoredAnswer
from ttrpg_mcp.store.canonical import canonical_json
from ttrpg_mcp.store.connection import Connection, Value

__all__ = ["MOST_ANSWER_BYTES", "AnswerTable"]

MOST_ANSWER_BYTES = 64 * 1024

_FIND_IN_CAMPAIGN = """
SELECT request_hash, tool, body FROM answer
WHERE campaign_id = :campaign_id AND principal = :principal AND key = :key
"""
_FIND_IN_SERVER = "SELECT request_hash, tool, body FROM answer WHERE principal = :principal AND key = :key"

_RECENT = """
SELECT key FROM answer WHERE campaign_id = :campaign_id AND principal = :principal ORDER BY seq DESC LIMIT :limit
"""


class AnswerTable:
    """The stored answers of one file. Keys belong to a principal: a player cannot replay the game master's answer."""

    __slots__ = ("_connection", "_find", "_scope")

    def __init__(self, connection: Connection, campaign_id: str | None) -> None:
        """None is the server's own file."""
        self._connection = connection
        self._scope: dict[str, Value] = {} if campaign_id is None else {"campaign_id": campaign_id}
        self._find = _FIND_IN_SERVER if campaign_id is None else _FIND_IN_CAMPAIGN

    def find(self, call: Call) -> StoredAnswer | None:
        """The answer under the call's key, or None. Raises RequestKeyReused when another request has the key."""
        if call.request_key is None:
            return None
        row = self._connection.one(self._find, **self._scope, principal=str(call.principal), key=call.request_key)
        if row is None:
            return None
        if row["request_hash"] != call.request_hash:
            raise RequestKeyReused(call.request_key, row["tool"])
        body = json.loads(row["body"])
        return StoredAnswer(row["tool"], row["request_hash"], Answer(body["text"], body["facts"]))

    def require_new(self, call: Call) -> None:
        """Raise AlreadyAnswered, or RequestKeyReused, when the call's key is known."""
        stored = self.find(call)
        if stored is not None:
            raise AlreadyAnswered(stored)

    def recent_keys(self, call: Call, limit: int) -> Sequence[str]:
        """The newest keys of the call's principal in this campaign."""
        rows = self._connection.all(_RECENT, **self._scope, principal=str(call.principal), limit=limit)
        return tuple(row["key"] for row in rows)

    def put(self, call: Call, answer: Answer, seq: int) -> None:
        """Keep the answer under the call's key, which it must have. Raises TooLarge."""
        body = canonical_json({"text": answer.text, "facts": dict(answer.facts)})
        size = len(body.encode())
        if size > MOST_ANSWER_BYTES:
            raise TooLarge("answer", size, MOST_ANSWER_BYTES)
        row: dict[str, Value] = {
            **self._scope,
            "principal": str(call.principal),
            "key": call.request_key,
            "request_hash": call.request_hash,
            "tool": call.tool,
            "call_id": call.call_id,
            "seq": seq,
            "body": body,
            "at_ms": call.at_ms,
        }
        self._connection.insert("answer", row)
