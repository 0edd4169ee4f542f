"""Undo and redo: taking back what a call changed, as a new change that is itself in the log.

Nothing is ever rewritten. An undo writes what was there before, a redo what was there after, each only while nothing
else changed the entities since. What was undone does not count as a change since, so undos can follow one another back
to the beginning. Dice are public record and are never undone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ttrpg_mcp.play.errors import NothingToRewind, RewindBlocked
from ttrpg_mcp.play.ports import Call, CallEntry, ChangeEntry, Json, Ports, Receipt, Unit

__all__ = ["Difference", "Rewind", "RewindAction", "Rewound", "rewind_history"]

RewindAction = Literal["undo", "redo"]


@dataclass(frozen=True, slots=True)
class Rewind:
    """What to take back or do again.

    Attributes:
        target: Empty for the newest; else a call id, or a `seq` that the call took.
        preview: Only list the differences.
    """

    action: RewindAction
    target: str = ""
    preview: bool = True


@dataclass(frozen=True, slots=True)
class Difference:
    """One entity, as it is and as it would be; None is "does not exist"."""

    entity: str
    entity_id: str
    now: Json | None
    then: Json | None
    visibility: str


@dataclass(frozen=True, slots=True)
class Rewound:
    """What an undo or redo did, or would do.

    Attributes:
        call: The call that it is about.
        standing: What stands in its way; not empty only in a preview.
    """

    command: Rewind
    call: CallEntry
    differences: tuple[Difference, ...]
    standing: tuple[str, ...]
    receipt: Receipt


async def rewind_history(ports: Ports, call: Call, command: Rewind) -> Rewound:
    """Take a call back, or do it again; with preview only say what that would change.

    Raises NothingToRewind and RewindBlocked; then nothing is changed.
    """
    if command.preview:
        return await ports.store.read(call, lambda unit: _planned(unit, command))

    def story(unit: Unit) -> Rewound:
        plan = _planned(unit, command)
        if plan.standing:
            raise RewindBlocked(command.action, plan.standing)
        unit.changes.mark(command.action, plan.call.call_id)
        write_differences(unit, plan.differences)
        return Rewound(command, plan.call, plan.differences, (), unit.receipt())

    return await ports.store.write(call, story)


def write_differences(unit: Unit, differences: Sequence[Difference]) -> None:
    """Make every entity what it was; what is to go goes first, so that its name is free."""
    for entry in sorted(differences, key=lambda entry: entry.then is not None):
        if entry.then is None:
            unit.entities.delete(entry.entity, entry.entity_id, visibility=entry.visibility)
        else:
            unit.entities.put(entry.entity, entry.entity_id, entry.then, visibility=entry.visibility)


def _planned(unit: Unit, command: Rewind) -> Rewound:
    """The call, the differences and what stands in the way. Raises NothingToRewind."""
    done = _target(unit, command)
    _require_rewindable(command, done, unit.changes.rewound_by(done.call_id))
    differences, standing = [], []
    for key, (first, last) in _first_and_last(unit.changes.of_call(done.call_id)).items():
        found = unit.entities.find(*key)
        then = first.before if command.action == "undo" else last.after
        differences.append(Difference(*key, found.image if found else None, then, last.visibility))
        expected = last if command.action == "undo" else _writer(unit, key, first.seq - 1)
        if _writer(unit, key) != expected:
            standing.append(_standing(unit, key))
    return Rewound(command, done, tuple(differences), tuple(standing), unit.receipt())


def _writer(unit: Unit, key: tuple[str, str], at: int | None = None) -> ChangeEntry | None:
    """The change that made the entity what it was at that `seq` (None: now), undos and redos seen through."""
    change = unit.changes.newest_of(*key, at=at)
    while change is not None:
        by = unit.changes.calls([change.call_id])[change.call_id]
        if by.kind not in {"undo", "redo"} or by.target_call is None:
            return change
        first, last = _first_and_last(unit.changes.of_call(by.target_call))[key]
        if by.kind == "redo":
            return last
        change = unit.changes.newest_of(*key, at=first.seq - 1)
    return None


def _target(unit: Unit, command: Rewind) -> CallEntry:
    """The call that is meant. Raises NothingToRewind."""
    if not command.target:
        newest = unit.changes.undoable() if command.action == "undo" else unit.changes.redoable()
        if newest is None:
            reason = "no call is left that changed anything" if command.action == "undo" else "nothing was undone"
            raise NothingToRewind(command.action, "", reason)
        return newest
    if command.target.isascii() and command.target.isdigit() and len(command.target) < 19:
        found = unit.changes.call_at(int(command.target))
    else:
        found = unit.changes.calls([command.target]).get(command.target)
    if found is None:
        raise NothingToRewind(command.action, command.target, "there is no such call")
    return found


def _require_rewindable(command: Rewind, done: CallEntry, last: CallEntry | None) -> None:
    """Raises NothingToRewind where the call cannot be undone, or is already what is asked for."""
    is_undone = last is not None and last.kind == "undo"
    if not done.undoable:
        raise NothingToRewind(command.action, command.target, f'"{done.summary}" cannot be undone')
    if command.action == "undo" and is_undone:
        raise NothingToRewind("undo", command.target, f'"{done.summary}" is undone already')
    if command.action == "redo" and not is_undone:
        raise NothingToRewind("redo", command.target, f'"{done.summary}" was not undone')


def _first_and_last(changes: Sequence[ChangeEntry]) -> dict[tuple[str, str], tuple[ChangeEntry, ChangeEntry]]:
    """By entity, the first and the last change of a call."""
    found: dict[tuple[str, str], tuple[ChangeEntry, ChangeEntry]] = {}
    for change in changes:
        key = (change.entity, change.entity_id)
        found[key] = (found[key][0] if key in found else change, change)
    return found


def _standing(unit: Unit, key: tuple[str, str]) -> str:
    """The later change, as a phrase."""
    newest = unit.changes.newest_of(*key)
    if newest is None:
        return f"{key[0]} {key[1]} has no history"
    later = unit.changes.calls([newest.call_id])[newest.call_id]
    return f'{key[0]} {key[1]} was changed later by "{later.summary}" (change {newest.seq})'
