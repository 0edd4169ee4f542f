"""Types that several tools share, each with its one description, and the base of what tools answer."""

import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = ["CampaignName", "Cursor", "Limit", "Name", "RequestKey", "Since", "Told", "clean_name", "moment", "quoted"]

_FORBIDDEN = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})  # control, surrogate, private, unassigned, line breaks
_BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean_name(text: str) -> str:
    """The name in NFC with single blanks; refuses control and bidirectional letters, which could hide what it says."""
    if any(unicodedata.category(letter) in _FORBIDDEN or letter in _BIDIRECTIONAL for letter in text):
        raise ValueError("has a control or direction letter")
    return " ".join(unicodedata.normalize("NFC", text).split())


def moment(at_ms: int) -> str:
    """UTC milliseconds as ISO 8601 to the second."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")


def quoted(text: str, length: int = 80) -> str:
    """Text that people stored, on one line and clipped, so that it reads as data and not as an instruction."""
    line = " ".join(text.split())
    return f'"{line[: length - 1]}…"' if len(line) > length else f'"{line}"'


Name = Annotated[str, Field(max_length=80), AfterValidator(clean_name)]
CampaignName = Annotated[
    str,
    Field(max_length=100, description="Campaign name or id; default: the one used last."),
    AfterValidator(clean_name),
]
RequestKey = Annotated[
    str, Field(max_length=100, pattern="^[ -~]*$", description="Id you invent; repeating it never acts twice.")
]
Cursor = Annotated[str, Field(max_length=100, description="next_cursor of the page before.")]
Limit = Annotated[int, Field(ge=1, le=100, description="Rows a page.")]
Since = Annotated[int, Field(ge=0, description="Only what is newer than this seq.")]


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
