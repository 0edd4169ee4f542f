"""Checkpoints by themselves, every half minute, and the way back from the newest sound one.

A restart needs none of it, since the tables are the state: checkpoints serve rollback and damage.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from math import inf
from typing import Literal

import anyio

from ttrpg_mcp.play.errors import PlayError
from ttrpg_mcp.play.ports import (
    SYSTEM,
    Call,
    ChangeEntry,
    CheckpointDraft,
    CheckpointEntry,
    Json,
    Ports,
    State,
    Unit,
    entity_id,
)

__all__ = [
    "RecoveredSession",
    "SessionPicture",
    "SessionRecovery",
    "SkippedCheckpoint",
    "TurnOrderPicture",
    "picture_of",
    "recover_session",
]

_logger = logging.getLogger(__name__)

_DAY_S = 24 * 60 * 60
_DAY_MS = 1000 * _DAY_S
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE = 500
_CLOSE_LIMIT_S = 1.0
# Two servers' timers and clocks do not tick as one, and our own last checkpoint must not keep us from the next.
_YOUNG = 0.9


@dataclass(frozen=True, slots=True)
class TurnOrderPicture:
    """A running encounter: its image, and those of its combatants, highest initiative first."""

    encounter: Json
    combatants: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class SessionPicture:
    """What a checkpoint tells of the session.

    Attributes:
        session_id: The campaign's id and the number of its newest session; 0 before the first.
        timestamp: ISO 8601 in UTC; empty where the row's number is no time that people have.
        initiative: None when no encounter is running, which is as good as any other state.
        dice_history: Number of the newest roll then: the high-water mark into the log of dice.
        map_state: The images by kind: map, map_row, map_memory, map_part and token.
        fingerprint: sha256 over schema, seq and the hash of every part, in hexadecimal.
    """

    session_id: str
    timestamp: str
    initiative: TurnOrderPicture | None
    characters: tuple[Json, ...]
    notes: tuple[Json, ...]
    dice_history: int
    map_state: Mapping[str, tuple[Json, ...]]
    schema_version: int
    seq: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class SkippedCheckpoint:
    """A checkpoint that was passed over, and why."""

    checkpoint_id: str
    seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class RecoveredSession:
    """The session as the newest sound checkpoint and the changes after it give it.

    Attributes:
        entry: The checkpoint that was used.
        picture: What was in it, without the later changes.
        state: All images, with the later changes.
        seq: Of the newest of those changes, or of the checkpoint.
        skipped: Those passed over for it, newest first.
        turn_order: Whether an encounter was running, and whether it may go on by itself: one that was left more than
            24 hours ago waits for the game master's yes. Never a reason to hide anything.
        remarks: What is odd but harmless, such as a time in the future.
    """

    entry: CheckpointEntry
    picture: SessionPicture
    state: State
    seq: int
    changes_applied: int
    skipped: tuple[SkippedCheckpoint, ...]
    turn_order: Literal["none", "resume", "ask"]
    remarks: tuple[str, ...]


class SessionRecovery:
    """Takes a checkpoint of every open campaign, now and then every autosave_s seconds, one at a time."""

    def __init__(self, ports: Ports, autosave_s: float = 30.0) -> None:
        self._ports = ports
        self._autosave_s = autosave_s
        self._saving = anyio.Lock()
        self._looked_at: dict[str, float] = {}  # when the newest checkpoint of a campaign was last verified
        self._pause = anyio.CancelScope()
        self._is_started = False
        self._is_stopping = False

    def start_checkpointing(self) -> None:
        """Begin, in the background; a second start changes nothing."""
        if not self._is_started:
            self._is_started = True
            self._ports.background.start(self._run)

    async def stop(self) -> None:
        """End the timer after what it is at, and take the last checkpoints. Within a second; safe to repeat."""
        self._is_stopping = True
        self._pause.cancel()
        with self._ports.clock.limit(_CLOSE_LIMIT_S, shield=True):
            await self._save_all(unless_younger_s=0)

    async def save_checkpoint(self, campaign_id: str, *, unless_younger_s: float = 0.0) -> CheckpointEntry | None:
        """A checkpoint of the campaign if it changed since the last one, committed before it returns; else None.

        unless_younger_s: one of that age, made by whichever server, is enough. Raises StoreError.
        """
        call = self._call(campaign_id)

        def look(unit: Unit) -> CheckpointDraft | None:
            if unit.campaign.get().status != "open":
                return None
            return unit.checkpoints.draft("auto", unless_younger_s=unless_younger_s)

        async with self._saving:
            # Packed in a reader's thread, so that the writer, which answers wait for, has only to put it down.
            draft = await self._ports.store.read(call, look)
            if draft is None:
                return None
            keep = partial(_keep, draft=draft, unless_younger_s=unless_younger_s)
            return await self._ports.store.write(call, keep)

    async def recover_session(self, call: Call) -> RecoveredSession | None:
        """As recover_session()."""
        return await recover_session(self._ports, call)

    async def _run(self) -> None:
        while not self._is_stopping:
            await self._save_all(unless_younger_s=_YOUNG * self._autosave_s)
            if not self._is_stopping:
                with anyio.CancelScope() as self._pause:
                    await self._ports.clock.sleep(self._autosave_s)

    async def _save_all(self, *, unless_younger_s: float) -> None:
        for campaign in self._ports.store.health().open_campaigns:
            try:
                await self._verify_newest(campaign.campaign_id)
                await self.save_checkpoint(campaign.campaign_id, unless_younger_s=unless_younger_s)
            except Exception:  # named border: one campaign's trouble stops neither the others nor the timer
                _logger.exception("%s: the checkpoint failed; the next one is tried", campaign.campaign_id)

    async def _verify_newest(self, campaign_id: str) -> None:
        """Once a day, first of all at the first save: an unsound one is marked, so that the next one is made whole."""
        now = self._ports.clock.monotonic()
        if self._is_stopping or now - self._looked_at.get(campaign_id, -inf) < _DAY_S:
            return
        call = self._call(campaign_id)
        unsound = await self._ports.store.read(call, _newest_unsound)
        if unsound:
            _logger.warning("%s: a checkpoint is unsound: %s", campaign_id, unsound)
            await _mark(self._ports, call, unsound)
        self._looked_at[campaign_id] = now

    def _call(self, campaign_id: str) -> Call:
        at_ms = (self._ports.clock.wall() - _EPOCH) // timedelta(milliseconds=1)
        return Call("checkpoint", SYSTEM, campaign_id, "checkpoint", at_ms)


async def recover_session(ports: Ports, call: Call) -> RecoveredSession | None:
    """The session from the newest sound checkpoint and all that came after it; None where there is none.

    The newest is that of the highest `seq`, whatever the clocks said. Unsound ones are passed over with their reason
    and marked. Changes nothing at the table.
    """
    quiet = replace(call, principal=SYSTEM, request_key=None)  # a player's call would miss what it may not see
    recovered, skipped = await ports.store.read(quiet, _walk)
    if skipped:
        await _mark(ports, quiet, skipped)
    return recovered


def picture_of(campaign_id: str, entry: CheckpointEntry, state: State) -> SessionPicture:
    """The founding fields of one checkpoint."""
    kinds = ("map", "map_row", "map_memory", "map_part", "token")
    return SessionPicture(
        session_id=entity_id(campaign_id, entry.session_number or 0),
        timestamp=_timestamp(entry.created_at_ms),
        initiative=_turn_order(state),
        characters=_images(state, "character"),
        notes=_images(state, "note"),
        dice_history=entry.roll_number,
        map_state={kind: _images(state, kind) for kind in kinds},
        schema_version=entry.schema,
        seq=entry.seq,
        fingerprint=entry.manifest_hash,
    )


def _keep(unit: Unit, *, draft: CheckpointDraft, unless_younger_s: float) -> CheckpointEntry | None:
    return unit.checkpoints.keep(draft, unless_younger_s=unless_younger_s)


def _newest_unsound(unit: Unit) -> list[SkippedCheckpoint]:
    """The newest one if it counts as sound and is not, else none."""
    newest = next((entry for entry in unit.checkpoints.all() if entry.status == "valid"), None)
    reason = "" if newest is None else unit.checkpoints.verify(newest.id)
    return [SkippedCheckpoint(newest.id, newest.seq, reason)] if newest is not None and reason else []


def _walk(unit: Unit) -> tuple[RecoveredSession | None, list[SkippedCheckpoint]]:
    """The newest sound one and those passed over for it, all from one picture of the file."""
    skipped: list[SkippedCheckpoint] = []
    for entry in unit.checkpoints.all():
        reason = unit.checkpoints.verify(entry.id)
        if not reason:
            return _recovered(unit, entry, skipped), skipped
        skipped.append(SkippedCheckpoint(entry.id, entry.seq, reason))
    return None, skipped


def _recovered(unit: Unit, entry: CheckpointEntry, skipped: Sequence[SkippedCheckpoint]) -> RecoveredSession:
    then = unit.checkpoints.state(entry.id)
    later = _changes_since(unit, entry.seq)
    state = _folded(then, later)
    left_at_ms = later[0].at_ms if later else entry.created_at_ms
    age_ms = unit.call.at_ms - left_at_ms
    return RecoveredSession(
        entry=entry,
        picture=picture_of(unit.call.campaign_id, entry, then),
        state=state,
        seq=later[0].seq if later else entry.seq,
        changes_applied=len(later),
        skipped=tuple(skipped),
        turn_order="none" if _turn_order(state) is None else "resume" if age_ms <= _DAY_MS else "ask",
        remarks=("Its time lies in the future: a clock was wrong.",) if entry.created_at_ms > unit.call.at_ms else (),
    )


def _changes_since(unit: Unit, seq: int) -> list[ChangeEntry]:
    """Newest first."""
    found: list[ChangeEntry] = []
    while page := unit.changes.page(before=found[-1].seq if found else None, since=seq, limit=_PAGE):
        found.extend(page)
    return found


def _folded(state: State, newest_first: Sequence[ChangeEntry]) -> State:
    """The state with the changes made."""
    images = {entity: dict(rows) for entity, rows in state.items()}
    for change in reversed(newest_first):
        rows = images.setdefault(change.entity, {})
        if change.after is None:
            rows.pop(change.entity_id, None)
        else:
            rows[change.entity_id] = change.after
    return images


async def _mark(ports: Ports, call: Call, skipped: Sequence[SkippedCheckpoint]) -> None:
    """Note the unsound ones, so that nothing is built on them."""

    def story(unit: Unit) -> None:
        sound = {entry.id for entry in unit.checkpoints.all() if entry.status == "valid"}
        for entry in skipped:
            if entry.checkpoint_id in sound:
                unit.checkpoints.invalidate(entry.checkpoint_id, entry.reason)

    try:
        await ports.store.write(call, story)
    except PlayError:
        # A campaign that is paused or cannot be written is the very place where somebody asks for a way back.
        _logger.warning("%s: unsound checkpoints could not be marked", call.campaign_id, exc_info=True)


def _turn_order(state: State) -> TurnOrderPicture | None:
    """The running encounter; the first by id, should there be two."""
    running = [image for image in _images(state, "encounter") if image["status"] == "active"]
    if not running:
        return None
    inside = [image for image in _images(state, "combatant") if image["encounter_id"] == running[0]["id"]]
    return TurnOrderPicture(running[0], tuple(sorted(inside, key=_by_initiative)))


def _by_initiative(combatant: Json) -> tuple[bool, float, int]:
    """Highest first, those without any last."""
    initiative = combatant["initiative"]
    return (initiative is None, -(initiative or 0.0), combatant["position"])


def _images(state: State, entity: str) -> tuple[Json, ...]:
    rows = state.get(entity, {})
    return tuple(rows[key] for key in sorted(rows))


def _timestamp(at_ms: int) -> str:
    try:
        return (_EPOCH + timedelta(milliseconds=at_ms)).isoformat()
    except OverflowError:
        return ""
