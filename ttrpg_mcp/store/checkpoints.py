"""Checkpoints: pictures of the whole campaign inside its own file, made of parts that they share.

They serve rollback and damage, never a restart: the tables are the state. Taking one moves no `seq`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ttrpg_mcp.play.errors import CheckpointUnsound, NameTaken, NotFound
from ttrpg_mcp.play.ports import (
    Call,
    CheckpointDraft,
    CheckpointEntry,
    CheckpointKind,
    PackedPart,
    State,
    StateDifference,
    entity_key,
)
from ttrpg_mcp.store.blobs import BlobDamaged, BlobTable, packed
from ttrpg_mcp.store.canonical import canonical_json
from ttrpg_mcp.store.codecs import Values
from ttrpg_mcp.store.connection import Connection, Row
from ttrpg_mcp.store.counters import Counters
from ttrpg_mcp.store.entities import EntityTable
from ttrpg_mcp.store.entity_codecs import CODECS, codec_of
from ttrpg_mcp.store.migrations import CAMPAIGN_SCHEMA
from ttrpg_mcp.store.names import free_name, name_key
from ttrpg_mcp.store.parts import (
    BALANCE,
    LEDGER,
    Contents,
    PartReader,
    decoded,
    encoded,
    part_of,
    piece_name,
    whole_name,
)
from ttrpg_mcp.store.retention import MOST_BLOB_BYTES, next_to_go, superseded

__all__ = ["CheckpointTable", "manifest_hash", "state_differences"]

_WHOLE = frozenset({"named", "safety"})  # encoded anew as a whole, so that they rest on no earlier one

# Newest first; of one `seq` there may be c7, c7-2, ... c7-10.
_ALL = "SELECT * FROM checkpoint WHERE campaign_id = :campaign_id ORDER BY seq DESC, length(id) DESC, id DESC"
_FIND = "SELECT * FROM checkpoint WHERE campaign_id = :campaign_id AND id = :id"
_FIND_BY_NAME = "SELECT * FROM checkpoint WHERE campaign_id = :campaign_id AND name_key = :name_key"
_PARTS = "SELECT part, hash FROM checkpoint_part WHERE campaign_id = :campaign_id AND checkpoint_id = :id"
_CHANGED = "SELECT DISTINCT entity, entity_id FROM changes WHERE campaign_id = :campaign_id AND seq > :since"
_IS_POSTED = "SELECT 1 FROM posting WHERE campaign_id = :campaign_id AND seq > :since LIMIT 1"
_NEWEST_SESSION = "SELECT MAX(number) AS number FROM session WHERE campaign_id = :campaign_id"
_INVALIDATE = """
UPDATE checkpoint SET status = 'invalid', status_reason = :reason WHERE campaign_id = :campaign_id AND id = :id
"""
_DELETE = """
DELETE FROM checkpoint WHERE campaign_id = :campaign_id AND id IN (SELECT value FROM json_each(:ids))
"""
_DELETE_PARTS = """
DELETE FROM checkpoint_part
WHERE campaign_id = :campaign_id AND checkpoint_id IN (SELECT value FROM json_each(:ids))
"""


def manifest_hash(schema: int, seq: int, parts: Mapping[str, bytes]) -> bytes:
    """The fingerprint of a state: sha256 over schema, seq and the sorted list of parts with their hashes."""
    listed = [[part, parts[part].hex()] for part in sorted(parts)]
    return hashlib.sha256(b"ttrpg-checkpoint-v1" + canonical_json([schema, seq, listed]).encode()).digest()


def state_differences(now: State, then: State) -> list[StateDifference]:
    """What differs between two states, by kind in the order of the codecs, then by id."""
    found = []
    for entity in CODECS:
        here, there = now.get(entity, {}), then.get(entity, {})
        for key in sorted({*here, *there}):
            pair = (here.get(key), there.get(key))
            # As text: in Python True equals 1, and 1 equals 1.0.
            if canonical_json([pair[0]]) != canonical_json([pair[1]]):
                found.append(StateDifference(entity, key, *pair))
    return found


class CheckpointTable:
    """The CheckpointRecords of a unit."""

    __slots__ = ("_blobs", "_call", "_campaign_id", "_connection", "_counters", "_entities", "_reader")

    def __init__(
        self, connection: Connection, call: Call, campaign_id: str, counters: Counters, entities: EntityTable
    ) -> None:
        self._connection = connection
        self._call = call
        self._campaign_id = campaign_id
        self._counters = counters
        self._entities = entities
        self._blobs = BlobTable(connection)
        self._reader = PartReader(connection, campaign_id, entities)

    def save(self, kind: CheckpointKind, name: str = "") -> CheckpointEntry:
        """A checkpoint of everything so far, this transaction's own changes included; then old ones are let go.

        Where auto, turn or session would only repeat the newest one, that one is returned and nothing is written.
        Raises NameTaken.
        """
        draft = self.draft(kind, name)
        saved = self._equal(kind, self.all(), self._counters.head_seq) if draft is None else self.keep(draft)
        if saved is None:
            raise RuntimeError("a checkpoint was neither there nor saved")
        return saved

    def draft(self, kind: CheckpointKind, name: str = "", *, unless_younger_s: float = 0.0) -> CheckpointDraft | None:
        """The picture, still to be kept; None when there is nothing to save.

        unless_younger_s: an auto one of that age, made by whichever server, is enough.
        """
        if (kind == "named") != bool(name):
            raise ValueError("a named checkpoint has a name, and no other one has")
        entries = self.all()
        if self._is_enough(kind, entries, self._counters.head_seq, unless_younger_s):
            return None
        base = None if kind in _WHOLE else self._base(entries)
        parts, blobs = self._encoded(base)
        return CheckpointDraft(
            kind=kind,
            name=name,
            seq=self._counters.head_seq,
            session_number=self._session_number(),
            roll_number=self._counters.head_roll,
            base_id=None if base is None else base.id,
            parts=parts,
            blobs=blobs,
        )

    def keep(self, draft: CheckpointDraft, *, unless_younger_s: float = 0.0) -> CheckpointEntry | None:
        """Write the picture down, and let old ones go. Raises NameTaken.

        None when it is not needed any more, or when the checkpoint that it shares parts with was let go.
        """
        entries = self.all()
        if self._is_enough(draft.kind, entries, draft.seq, unless_younger_s):
            return None
        if draft.base_id is not None and not any(_is_sound(entry, draft.base_id) for entry in entries):
            return None
        self._require_free_name(draft.name)
        saved = self._planned(draft, _free_id(draft.seq, entries))
        # Old rows go before new ones come, which then move into their pages: half as many bytes reach the disk. Blobs
        # go when the new list of parts says which of them are still shared.
        self._delete_rows(superseded([saved, *entries], self._call.at_ms))
        saved = self._insert(saved, draft)
        self._make_room()
        return saved

    def all(self) -> Sequence[CheckpointEntry]:
        """Every checkpoint, newest first by `seq`, invalid ones included."""
        return tuple(_entry(row) for row in self._connection.all(_ALL, campaign_id=self._campaign_id))

    def find(self, name_or_id: str) -> CheckpointEntry | None:
        """The checkpoint of that id or of that name."""
        row = self._connection.one(_FIND, campaign_id=self._campaign_id, id=name_or_id)
        row = row or self._connection.one(_FIND_BY_NAME, campaign_id=self._campaign_id, name_key=name_key(name_or_id))
        return None if row is None else _entry(row)

    def verify(self, checkpoint_id: str) -> str:
        """Why the checkpoint cannot be used; empty when it is sound. Raises NotFound.

        Neither the lack of a turn order nor a time in the future makes one unsound.
        """
        try:
            self._load(self._require(checkpoint_id))
        except CheckpointUnsound as unsound:
            return unsound.reason
        return ""

    def invalidate(self, checkpoint_id: str, reason: str) -> None:
        """Mark it as unsound; it stays, and is passed over from now on. Raises NotFound."""
        entry = self._require(checkpoint_id)
        self._connection.run(_INVALIDATE, campaign_id=self._campaign_id, id=entry.id, reason=reason)

    def delete(self, checkpoint_id: str) -> None:
        """Let it go, whatever its kind. Raises NotFound."""
        self._delete(self._require(checkpoint_id).id)

    def state(self, checkpoint_id: str) -> State:
        """Everything in it, each image as the tables would give it back. Raises NotFound, and CheckpointUnsound."""
        contents = self._load(self._require(checkpoint_id))
        return {entity: contents.get(entity, {}) for entity in CODECS}

    def balances(self, checkpoint_id: str) -> Mapping[tuple[str, str, str], int]:
        """The ledger in it: amounts by account, kind and what. Raises NotFound, and CheckpointUnsound."""
        balances = self._load(self._require(checkpoint_id)).get(BALANCE, {})
        keys = {key: entity_key(key, 3) for key in balances}
        return {(keys[key][0], keys[key][1], keys[key][2]): amount for key, amount in balances.items()}

    def differences(self, checkpoint_id: str) -> Sequence[StateDifference]:
        """What a rollback to it would change, by kind and id. Raises NotFound, and CheckpointUnsound."""
        now = {entity: {found.entity_id: found.image for found in self._entities.all(entity)} for entity in CODECS}
        return state_differences(now, self.state(checkpoint_id))

    def _is_enough(
        self, kind: CheckpointKind, entries: Sequence[CheckpointEntry], seq: int, unless_younger_s: float
    ) -> bool:
        """Whether what is there already makes a checkpoint of that `seq` superfluous."""
        if self._equal(kind, entries, seq) is not None:
            return True
        newest = next((entry for entry in entries if entry.kind == "auto" and entry.status == "valid"), None)
        # A time in the future says that some clock was wrong, not that one was just made.
        return (
            kind == "auto"
            and newest is not None
            and 0 <= self._call.at_ms - newest.created_at_ms < 1000 * unless_younger_s
        )

    def _equal(self, kind: CheckpointKind, entries: Sequence[CheckpointEntry], seq: int) -> CheckpointEntry | None:
        """A sound one at least as new that serves as well, or None."""
        if kind in _WHOLE:
            return None
        for entry in entries:
            # Beyond the head there is only what a restore left behind.
            is_there = entry.status == "valid" and seq <= entry.seq <= self._counters.head_seq
            if is_there and (kind != "session" or entry.kind == "session"):
                return entry
        return None

    def _base(self, entries: Sequence[CheckpointEntry]) -> CheckpointEntry | None:
        """The checkpoint to share parts with; None makes a whole one.

        Only the newest: where that one is unsound, older ones may share what is wrong with it.
        """
        newest = entries[0] if entries else None
        if newest is None or newest.status != "valid" or newest.schema != CAMPAIGN_SCHEMA.latest:
            return None
        return newest if newest.seq <= self._counters.head_seq else None

    def _encoded(self, base: CheckpointEntry | None) -> tuple[dict[str, bytes], Sequence[PackedPart]]:
        """The hash of every part by its name, and those that are new since the base."""
        if base is None:
            changed, shared = self._reader.all(), {}
        else:
            names = self._changed_since(base.seq)
            changed = self._reader.some(names)
            shared = {name: hash_ for name, hash_ in self._parts(base.id).items() if whole_name(name) not in names}
        fresh = {
            piece_name(part, index): packed(piece)
            for part, contents in changed.items()
            for index, piece in enumerate(encoded(contents))
        }
        return shared | {name: part.hash for name, part in fresh.items()}, tuple(fresh.values())

    def _changed_since(self, seq: int) -> set[str]:
        """The names of the parts in which anything changed."""
        rows = self._connection.all(_CHANGED, campaign_id=self._campaign_id, since=seq)
        names = {part_of(row["entity"], row["entity_id"]) for row in rows}
        is_posted = self._connection.one(_IS_POSTED, campaign_id=self._campaign_id, since=seq) is not None
        return names | {LEDGER} if is_posted else names

    def _session_number(self) -> int | None:
        row = self._connection.one(_NEWEST_SESSION, campaign_id=self._campaign_id)
        return None if row is None else row["number"]

    def _planned(self, draft: CheckpointDraft, checkpoint_id: str) -> CheckpointEntry:
        """The entry of the checkpoint that is about to be written."""
        return CheckpointEntry(
            id=checkpoint_id,
            name=draft.name,
            kind=draft.kind,
            seq=draft.seq,
            schema=CAMPAIGN_SCHEMA.latest,
            session_number=draft.session_number,
            roll_number=draft.roll_number,
            manifest_hash=manifest_hash(CAMPAIGN_SCHEMA.latest, draft.seq, draft.parts).hex(),
            status="valid",
            status_reason="",
            bytes_new=0,
            created_at_ms=self._call.at_ms,
            created_by=str(self._call.principal),
        )

    def _insert(self, entry: CheckpointEntry, draft: CheckpointDraft) -> CheckpointEntry:
        """Write the entry, its parts and their blobs; the entry with the number of bytes that the blobs added."""
        owner: Values = {"campaign_id": self._campaign_id, "checkpoint_id": entry.id}
        for part in sorted(draft.parts):
            self._connection.insert("checkpoint_part", {**owner, "part": part, "hash": draft.parts[part]})
        self._blobs.delete_unused()
        saved = replace(entry, bytes_new=sum(self._blobs.put(part) for part in draft.blobs))
        self._connection.insert("checkpoint", {"campaign_id": self._campaign_id, **_row(saved)})
        return saved

    def _make_room(self) -> None:
        while self._blobs.total_bytes() > MOST_BLOB_BYTES and (oldest := next_to_go(self.all())) is not None:
            self._delete(oldest)

    def _delete(self, checkpoint_id: str) -> None:
        self._delete_rows([checkpoint_id])
        self._blobs.delete_unused()

    def _delete_rows(self, ids: Sequence[str]) -> None:
        for statement in (_DELETE_PARTS, _DELETE) if ids else ():
            self._connection.run(statement, campaign_id=self._campaign_id, ids=canonical_json(list(ids)))

    def _require(self, checkpoint_id: str) -> CheckpointEntry:
        """The checkpoint. Raises NotFound."""
        row = self._connection.one(_FIND, campaign_id=self._campaign_id, id=checkpoint_id)
        if row is None:
            raise NotFound("checkpoint", checkpoint_id)
        return _entry(row)

    def _require_free_name(self, name: str) -> None:
        if name and self._is_taken(name):
            raise NameTaken("checkpoint", name, free_name(name, self._is_taken))

    def _is_taken(self, name: str) -> bool:
        return self.find(name) is not None

    def _parts(self, checkpoint_id: str) -> dict[str, bytes]:
        rows = self._connection.all(_PARTS, campaign_id=self._campaign_id, id=checkpoint_id)
        return {row["part"]: row["hash"] for row in rows}

    def _load(self, entry: CheckpointEntry) -> Contents:
        """Everything in it, checked. Raises CheckpointUnsound."""
        if entry.status != "valid":
            raise CheckpointUnsound(entry.id, entry.status_reason)
        if entry.schema > CAMPAIGN_SCHEMA.latest:
            raise CheckpointUnsound(entry.id, f"a newer release wrote it (schema {entry.schema})")
        parts = self._parts(entry.id)
        if manifest_hash(entry.schema, entry.seq, parts).hex() != entry.manifest_hash:
            raise CheckpointUnsound(entry.id, "its list of parts is not the one that was saved")
        contents: Contents = {}
        for part in sorted(parts):
            self._add(contents, entry, part, parts[part])
        if not contents.get("campaign"):
            raise CheckpointUnsound(entry.id, "it has no campaign")
        return contents

    def _add(self, contents: Contents, entry: CheckpointEntry, part: str, content_hash: bytes) -> None:
        """Add what lies in the part. Raises CheckpointUnsound."""
        try:
            for entity, rows in decoded(self._blobs.get(content_hash)).items():
                known = contents.setdefault(entity, {})
                if entity == BALANCE:
                    known |= rows
                else:
                    known |= {key: self._image(entry, entity, key, image) for key, image in rows.items()}
        except BlobDamaged as error:
            raise CheckpointUnsound(entry.id, f"its part {part} {error}") from error
        except (TypeError, ValueError) as error:
            raise CheckpointUnsound(entry.id, f"its part {part} cannot be read: {error}") from error

    def _image(self, entry: CheckpointEntry, entity: str, key: str, image: Mapping[str, object]) -> dict[str, object]:
        """The image as the tables would give it back. Raises ValueError."""
        codec = codec_of(entity)
        # An older release's image may lack a field of this one; then it is as it is now.
        current = self._entities.get(entity, key) if entry.schema < CAMPAIGN_SCHEMA.latest else None
        normal = codec.normal(image, current)
        if codec.id_of(normal) != key:
            raise ValueError(f"the image of {key!r} belongs to another {entity}")
        return normal


def _is_sound(entry: CheckpointEntry, checkpoint_id: str) -> bool:
    return entry.id == checkpoint_id and entry.status == "valid"


def _free_id(seq: int, entries: Sequence[CheckpointEntry]) -> str:
    """c and the `seq`, and a number from the second of the same `seq` on."""
    numbers = [int(entry.id.partition("-")[2] or 1) for entry in entries if entry.seq == seq]
    return f"c{seq}-{max(numbers) + 1}" if numbers else f"c{seq}"


def _entry(row: Row) -> CheckpointEntry:
    return CheckpointEntry(
        id=row["id"],
        name=row["name"] or "",
        kind=row["kind"],
        seq=row["seq"],
        schema=row["schema"],
        session_number=row["session_number"],
        roll_number=row["roll_number"],
        manifest_hash=row["manifest_hash"].hex(),
        status=row["status"],
        status_reason=row["status_reason"] or "",
        bytes_new=row["bytes_new"],
        created_at_ms=row["created_at_ms"],
        created_by=row["created_by"],
    )


def _row(entry: CheckpointEntry) -> Values:
    return {
        "id": entry.id,
        "name": entry.name or None,
        "name_key": name_key(entry.name) or None,
        "kind": entry.kind,
        "seq": entry.seq,
        "schema": entry.schema,
        "session_number": entry.session_number,
        "roll_number": entry.roll_number,
        "manifest_hash": bytes.fromhex(entry.manifest_hash),
        "status": entry.status,
        "status_reason": entry.status_reason or None,
        "bytes_new": entry.bytes_new,
        "created_at_ms": entry.created_at_ms,
        "created_by": entry.created_by,
    }
