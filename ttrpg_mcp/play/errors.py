"""Errors that cross a port: what a story of play/ may raise or catch.

PlayError
├── NameTaken             somebody has that name already
├── NameAmbiguous         two or more things have that name
├── NotFound              nothing has that name
├── CampaignPaused        the campaign takes no writes until the game master says so
├── RequestKeyReused      the key belongs to another request
├── NothingToRewind       there is no such call to undo or redo
├── RewindBlocked         later changes stand in the way
├── NotNow                a rule of the table stands against it
├── BadCursor             the cursor of a list is not one of ours
├── TooLarge              more bytes than one record may have; nothing was saved
└── StoreError
    ├── StoreBusy         a lock was held by another for too long; nothing happened
    ├── StoreFull         no room on the disk
    ├── OutOfMemory       no memory
    ├── StoreUnavailable  the file cannot be read or written now
    ├── StoreCorrupt      the file is damaged, missing or not ours
    ├── SchemaTooNew      the file was written by a newer release
    ├── StoreInterrupted  the statement ran into our own deadline
    ├── ReadOnly          the file takes no writes for the moment; nothing was tried
    │   └── ReadOnlyFull  the same, because there is no room
    ├── NotSaved          a write began and is surely not on disk
    └── OutcomeUnknown    a write began and nobody can say yet whether it is on disk

AlreadyAnswered stands apart: it is no failure but the stored answer of an earlier, equal request.
"""

from collections.abc import Sequence

from ttrpg_mcp.play.ports import Json, StoredAnswer

__all__ = [
    "AlreadyAnswered",
    "BadCursor",
    "CampaignPaused",
    "NameAmbiguous",
    "NameTaken",
    "NotFound",
    "NotNow",
    "NotSaved",
    "NothingToRewind",
    "OutOfMemory",
    "OutcomeUnknown",
    "PlayError",
    "ReadOnly",
    "ReadOnlyFull",
    "RequestKeyReused",
    "RewindBlocked",
    "SchemaTooNew",
    "StoreBusy",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreInterrupted",
    "StoreUnavailable",
    "TooLarge",
    "VersionConflict",
]


class PlayError(Exception):
    """A story cannot do what was asked."""


class NameTaken(PlayError):
    """Somebody has that name already."""

    def __init__(self, kind: str, name: str, suggestion: str) -> None:
        super().__init__(f'There is already a {kind} named "{name}".')
        self.kind = kind
        self.name = name
        self.suggestion = suggestion  # a free name, or what to do instead


class NameAmbiguous(PlayError):
    """Two or more things have that name, or none was named where several are possible."""

    def __init__(self, kind: str, name: str, matches: Sequence[str]) -> None:
        sentence = f'"{name}" is the name of {len(matches)} {kind}s.' if name else f"Several {kind}s are possible."
        super().__init__(f"{sentence} Name one of: {', '.join(matches)}.")
        self.kind = kind
        self.name = name
        self.matches = tuple(matches)


class NotFound(PlayError):
    """Nothing has that name."""

    def __init__(self, kind: str, name: str, near: Sequence[str] = ()) -> None:
        hint = f" Nearest: {', '.join(near)}." if near else ""
        super().__init__(f'There is no {kind} named "{name}".{hint}')
        self.kind = kind
        self.name = name
        self.near = tuple(near)


class CampaignPaused(PlayError):
    """The campaign takes no writes until the game master says so."""

    def __init__(self, name: str, status: str, reason: str) -> None:
        because = f" ({reason})" if reason else ""
        super().__init__(f'The campaign "{name}" is {status}{because}: it can be read but not changed.')
        self.name = name
        self.status = status
        self.reason = reason


class RequestKeyReused(PlayError):
    """The request key was used before, for another request."""

    def __init__(self, key: str, tool: str) -> None:
        super().__init__(f'The request_key "{key}" already belongs to another call of {tool}.')
        self.key = key
        self.tool = tool


class NothingToRewind(PlayError):
    """There is no call to undo or redo, or the one that is named cannot be."""

    def __init__(self, action: str, target: str, reason: str) -> None:
        super().__init__(f"Nothing to {action}{f' at {target}' if target else ''}: {reason}.")
        self.action = action
        self.target = target
        self.reason = reason


class RewindBlocked(PlayError):
    """Later changes stand in the way of an undo or redo.

    Attributes:
        standing: What stands in the way, as phrases; at most ten are said.
    """

    def __init__(self, action: str, standing: Sequence[str]) -> None:
        more = f" and {len(standing) - 10} more" if len(standing) > 10 else ""
        super().__init__(f"Cannot {action} that: {'; '.join(standing[:10])}{more}.")
        self.action = action
        self.standing = tuple(standing)


class NotNow(PlayError):
    """A rule of the table stands against it; the sentence names the rule."""


class BadCursor(PlayError, ValueError):
    """The cursor of a list is not one of ours."""

    def __init__(self, cursor: str) -> None:
        super().__init__("That cursor is not from a list of this server.")
        self.cursor = cursor


class TooLarge(PlayError, ValueError):
    """More bytes than one record may have; nothing was saved."""

    def __init__(self, kind: str, size: int, limit: int) -> None:
        super().__init__(f"The {kind} would be {size:,} bytes long; at most {limit:,} are kept.")
        self.kind = kind
        self.size = size  # bytes
        self.limit = limit


class VersionConflict(PlayError):
    """Somebody else changed it since the caller looked; nothing was saved."""

    def __init__(self, entity: str, entity_id: str, *, expected: int, version: int, image: Json | None) -> None:
        now = f"it has version {version} now" if image is not None else "it is not there any more"
        now = now if expected else f"it is there already, with version {version}"
        kind = entity.replace("_", " ")
        super().__init__(f'The {kind} "{entity_id}" was changed meanwhile: not version {expected}, {now}.')
        self.entity = entity
        self.entity_id = entity_id
        self.expected = expected  # 0: it was not to be there
        self.version = version  # 0: it is not there
        self.image = image  # the newest; None when it is not there


class StoreError(PlayError):
    """The storage cannot do what was asked.

    Attributes:
        compartment: The campaign id, or "server" for the server's own file.
    """

    what_happened = "The storage failed."

    def __init__(self, compartment: str, detail: str = "") -> None:
        file = "server's own file" if compartment in {"", "server"} else "campaign's file"
        super().__init__(self.what_happened.format(file=file))
        self.compartment = compartment
        self.detail = detail  # for the operator's log only


class StoreBusy(StoreError):
    """A lock was held by another program for too long; nothing happened, so a repeat is always safe."""

    what_happened = "Another program is using the {file}."
    nothing_happened = True


class StoreFull(StoreError):
    """No room on the disk."""

    what_happened = "There is no room left to save."


class OutOfMemory(StoreError):
    """No memory; that says nothing about the file."""

    what_happened = "There is no memory left for this call."


class StoreUnavailable(StoreError):
    """The file cannot be read or written now."""

    what_happened = "The {file} cannot be read or written now."


class StoreCorrupt(StoreError):
    """The file is damaged, missing or not ours; it was left as it is."""

    what_happened = "The {file} is damaged, missing or not one of this server's."


class SchemaTooNew(StoreError):
    """The file was written by a newer release of this program."""

    what_happened = "The {file} was written by a newer release of this program."


class StoreInterrupted(StoreError):
    """The statement ran into our own deadline."""

    what_happened = "The storage took too long."


class ReadOnly(StoreError):
    """The file takes no writes for the moment, because an earlier one failed; nothing was tried.

    Attributes:
        safe_seq: Number of the newest change that is known to be saved; 0 where changes have no number.
    """

    what_happened = "The campaign can be read but not changed for the moment, because its file cannot be written."

    def __init__(self, compartment: str, detail: str = "", *, safe_seq: int = 0, retry_after_s: float = 1.0) -> None:
        super().__init__(compartment, detail)
        self.safe_seq = safe_seq
        self.retry_after_s = retry_after_s


class ReadOnlyFull(ReadOnly):
    """The same, because there is no room."""

    what_happened = "The campaign can be read but not changed for the moment, because the disk is full."


class NotSaved(StoreError):
    """A write began, its commit failed, and a later look found that it is surely not on disk."""

    what_happened = "The disk refused the write, and it was not saved."
    nothing_happened = True


class OutcomeUnknown(StoreError):
    """A write began, and nobody can say yet whether it is on disk; the same request key settles it."""

    what_happened = "The write began, but whether it reached the disk is not known."


class AlreadyAnswered(Exception):
    """An equal request was answered before; here is that answer."""

    def __init__(self, answer: StoredAnswer) -> None:
        super().__init__("this request was answered before")
        self.answer = answer
