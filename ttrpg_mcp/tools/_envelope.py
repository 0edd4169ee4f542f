"""Refusals on the wire, and the cap on every answer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp.types import CallToolResult, TextContent

from ttrpg_mcp.play.ports import Answer

__all__ = ["MOST_LETTERS", "Envelope", "within_cap"]

MOST_LETTERS = 32_000  # 8,000 tokens of four letters
_CUT = "The answer was too long and is cut here; ask for less at once."


@dataclass(frozen=True, slots=True)
class Envelope:
    """A refusal as the client gets it, in text and as facts alike.

    Attributes:
        message: What happened.
        kept: What was kept, or changed.
        advice: What to do next.
        state_changed: None when nobody can say yet.
        fields: Per argument: field, problem, allowed, and position where it helps.
        incident: Number under which the operator finds the details.
    """

    code: str
    category: str
    severity: str
    message: str
    kept: str
    advice: str
    retryable: bool
    retry_after_s: float | None
    state_changed: bool | None
    fields: Sequence[Mapping[str, object]] = ()
    suggestions: Sequence[str] = ()
    request_key: str | None = None
    incident: str | None = None

    def as_data(self) -> dict[str, Any]:
        """The structured form."""
        return {
            "code": self.code,
            "category": self.category,
            "severity": self.severity,
            "message": self.message,
            "retryable": self.retryable,
            "retry_after_s": self.retry_after_s,
            "state_changed": self.state_changed,
            "fields": [dict(entry) for entry in self.fields],
            "suggestions": list(self.suggestions),
            "request_key": self.request_key,
            "incident": self.incident,
        }

    def to_result(self) -> CallToolResult:
        """The tool result with `isError` set."""
        sentence = " ".join(part for part in (self.message, self.kept, self.advice) if part).replace(" \n", "\n")
        return CallToolResult(
            content=[TextContent(type="text", text=f"[{self.code}] {sentence}")],
            structured_content={"error": self.as_data()},
            is_error=True,
        )


def within_cap(answer: Answer) -> Answer:
    """The answer itself, or one that is cut at a row border and says so when it is over 8,000 tokens."""
    if len(answer.text) <= MOST_LETTERS and _letters(answer.facts) <= MOST_LETTERS:
        return answer
    facts: dict[str, Any] = dict(answer.facts)
    while _letters(facts) > MOST_LETTERS - len(_CUT) and (key := _longest_list(facts)):
        facts[key] = facts[key][: len(facts[key]) // 2]
    facts["notices"] = [*facts.get("notices", []), _CUT]
    return Answer(f"{answer.text[: MOST_LETTERS - len(_CUT)]}\n{_CUT}", facts)


def _letters(facts: object) -> int:
    return len(json.dumps(facts, ensure_ascii=False, separators=(",", ":")))


def _longest_list(facts: Mapping[str, Any]) -> str:
    """The list with the most letters; empty when none is left to cut."""
    lists = {key: _letters(value) for key, value in facts.items() if isinstance(value, list) and value}
    return max(lists, key=lambda key: lists[key], default="")
