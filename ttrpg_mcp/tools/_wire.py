"""Types that several tools share, each with its one description, and the base of what tools answer."""

import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = [
    "CampaignName",
    "Cursor",
    "Limit",
    "Name",
    "RequestKey",
    "Since",
    "Told",
    "clean_name",
    "moment",
    "one_line",
    "quoted",
]

_FORBIDDEN = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})  # control, surrogate, private, unassigned, line breaks
_BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean_name(text: str) -> str:
    """The name in NFC with single blanks; refuses control and bidirectional letters, which could hide what it says."""
    if any(_is_hidden(letter) for letter in text):
        raise ValueError("has a control or direction letter")
    return " ".join(unicodedata.normalize("NFC", text).split())


def _is_hidden(letter: str) -> bool:
    """Whether a letter does something else than being seen: it could hide or turn what a text says."""
    return unicodedata.category(letter) in _FORBIDDEN or letter in _BIDIRECTIONAL


def moment(at_ms: int) -> str:
    """UTC milliseconds as ISO 8601 to the second."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")


def one_line(text: str) -> str:
    """The text on one line, with blanks in place of letters that could hide or turn what it says."""
    return " ".join("".join(" " if _is_hidden(letter) else letter for letter in text).split())


def quoted(text: str, length: int = 80) -> str:
    """Text that people stored, on one line and clipped, so that it reads as data and not as an instruction."""
    line = one_line(text)
    return f'"{line[: length - 1]}…"' if len(line) > length else f'"{line}"'


Name = Annotated[str, Field(max_length=80), AfterValidator(clean_name)]
CampaignName = Annotated[
    str,
    Field(max_length=100, description="Campaign name or id; default: the one used last."),
    AfterValidator(clean_name),
]
RequestKey = Annotated[
    str,
    Field(
        max_length=100, pattern="^[ -~]*$", description="Id you invent; repeated in its campaign, it never acts twice."
    ),
]
Cursor = Annotated[str, Field(max_length=100, description="next_cursor of the page before.")]
Limit = Annotated[int, Field(ge=1, le=100, description="Rows a page.")]
Since = Annotated[int, Field(ge=0, le=2**63 - 1, description="Only what is newer than this seq.")]


class Told(BaseModel):
    """What every tool's answer may hold beside its own facts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    summary: str = Field(description="The answer in plain words.")
    campaign: str | None = Field(None, description="Campaign that the call acted on.")
    seq: int | None = Field(None, description="Number of the campaign's newest change.")
    notices: list[str] | None = Field(None, description="What the game master should know.")
    replayed: bool | None = Field(None, description="True: the stored answer of an earlier, equal call.")
    next_cursor: str | None = Field(None, description="Pass as cursor for the next page.")


Facts = dict[str, Any]
