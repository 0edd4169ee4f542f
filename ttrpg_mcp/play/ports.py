"""What the stories of play/ need from outside, as Protocols, and the values that cross those ports.

Everything here is frozen. Times are UTC milliseconds and are shown, never used for order; order is `seq`, the number
of a campaign's newest change or roll.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from ttrpg_mcp.recovery.clock import Clock
from ttrpg_mcp.rules.dice import Chance

__all__ = [
    "GM",
    "SERVER",
    "SYSTEM",
    "Answer",
    "Background",
    "Call",
    "CallEntry",
    "Campaign",
    "CampaignEntry",
    "CampaignRecords",
    "ChangeEntry",
    "ChangeRecords",
    "CompartmentHealth",
    "EntityRecord",
    "EntityRecords",
    "Entropy",
    "EpochEntry",
    "Health",
    "Ids",
    "Json",
    "Ports",
    "PreferenceRecords",
    "Principal",
    "Receipt",
    "RegistryRecords",
    "RollDraft",
    "RollEntry",
    "RollRecords",
    "RollStream",
    "ServerUnit",
    "Store",
    "StoreHealth",
    "StoredAnswer",
    "Unit",
    "entity_id",
    "entity_key",
]

T = TypeVar("T")
Json = Mapping[str, Any]

SERVER = ""  # the campaign id of calls that act on no campaign


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: the game master, a player by name, a spectator, or this server itself."""

    role: Literal["gm", "player", "spectator", "system"]
    name: str = ""

    def __str__(self) -> str:
        return f"{self.role}:{self.name}" if self.name else self.role


GM = Principal("gm")
SYSTEM = Principal("system")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool says: one to five lines to read aloud, and the same as facts (`summary` first)."""

    text: str
    facts: Json


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer kept under its request key, with the hash of the request that earned it."""

    tool: str
    request_hash: bytes
    answer: Answer


def _no_renderer(value: object) -> Answer:
    """Stand in for a renderer where a call makes no answer of its own."""
    return Answer("", {"summary": "", "value": str(value)})


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call, made by the gate: who, where, when, and under which key.

    Attributes:
        campaign_id: SERVER for calls that act on no campaign.
        at_ms: UTC milliseconds when the gate admitted it.
        request_key: None when the caller gave none.
        request_hash: sha256 of tool, campaign id and validated arguments without the key.
        render: Pure; from the story's value to the answer, so that the answer is stored in the same transaction.
    """

    tool: str
    principal: Principal
    campaign_id: str
    call_id: str
    at_ms: int
    request_key: str | None = None
    request_hash: bytes = b""
    render: Callable[[Any], Answer] = _no_renderer


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a writing call leaves behind: the campaign's name and the `seq` of its newest change."""

    campaign: str
    seq: int


@dataclass(frozen=True, slots=True)
class Campaign:
    """The one row of a campaign file.

    Attributes:
        head_seq: Number of the newest change or roll; 0 in a new file.
        head_roll: Number of the newest roll; 0 in a new file.
        version: `seq` of the change that wrote this row.
    """

    id: str
    name: str
    system: str
    status: Literal["open", "paused", "archived"]
    status_reason: str
    settings: Json
    head_seq: int
    head_roll: int
    created_at_ms: int
    version: int


@dataclass(frozen=True, slots=True)
class CampaignEntry:
    """A campaign as the server's registry lists it.

    Attributes:
        head_seq: As last reported, for the list; the campaign's own file has the last word.
        system: Of a campaign that is still being made, so that a start can finish it; as above.
    """

    campaign_id: str
    name: str
    status: Literal["creating", "open", "paused", "archived"]
    created_at_ms: int
    request_key: str | None = None
    head_seq: int = 0
    last_opened_at_ms: int | None = None
    system: str = "generic"


@dataclass(frozen=True, slots=True)
class RollStream:
    """The audited chance of one roll: its number, its place in the log and the epoch it draws from.

    Attributes:
        commit: The epoch's commitment, 32 bytes.
    """

    number: int
    seq: int
    epoch: int
    commit: bytes
    chance: Chance


@dataclass(frozen=True, slots=True)
class RollDraft:
    """A finished roll on its way into the log.

    Attributes:
        faces: (sides, face) of every die in draw order; sides is a number or "F".
        total: As text, since it may be a fraction.
        result: The roll as data, enough to show it again.
    """

    expression: str
    canonical: str
    faces: Sequence[tuple[int | str, int]]
    total: str
    result: Json
    label: str = ""


@dataclass(frozen=True, slots=True)
class RollEntry:
    """A row of the roll log."""

    number: int
    seq: int
    epoch: int
    at_ms: int
    principal: str
    expression: str
    canonical: str
    total: str
    result: Json


@dataclass(frozen=True, slots=True)
class EpochEntry:
    """The life of one seed.

    Attributes:
        commit: The commitment, 32 bytes, told with the first roll.
        open_half: What the open rolls are drawn from, 32 bytes; None until it is revealed.
        secret_hash: SHA-256 of the other half, which with the open one proves the commitment; None likewise.
    """

    epoch: int
    commit: bytes
    first_roll: int
    client_seed: str
    opened_at_ms: int
    open_half: bytes | None = None
    secret_hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class ChangeEntry:
    """A row of the change log: the whole entity before and after; None is "did not exist"."""

    seq: int
    call_id: str
    at_ms: int
    entity: str
    entity_id: str
    before: Json | None
    after: Json | None
    visibility: str = "players"


@dataclass(frozen=True, slots=True)
class CallEntry:
    """A writing call as the log keeps it: who used which tool, and its one-line summary.

    Attributes:
        kind: do, undo, redo, rollback, repair, import or system.
        target_call: The call that an undo or redo is about.
        undoable: Whether history can be taken back behind it.
    """

    call_id: str
    seq_first: int
    seq_last: int
    at_ms: int
    principal: str
    tool: str
    summary: str
    kind: str = "do"
    target_call: str | None = None
    undoable: bool = False


class EntityRecord(NamedTuple):
    """One entity of the log as it is now.

    Attributes:
        version: `seq` of the change that wrote it.
    """

    entity_id: str
    image: Json
    version: int


def entity_id(*parts: str | int) -> str:
    """The id under which the log knows the entity with that key.

    >>> entity_id("crypt", "player:Anna", 12)
    'crypt/player:Anna/12'
    """
    if len(parts) == 1:
        return str(parts[0])
    return "/".join(str(part).replace("%", "%25").replace("/", "%2F") for part in parts)


def entity_key(text: str, count: int) -> tuple[str, ...]:
    """The `count` parts of an entity's id, as text. Raises ValueError for another number of parts.

    >>> entity_key("crypt/player:Anna/12", 3)
    ('crypt', 'player:Anna', '12')
    """
    if count == 1:
        return (text,)
    parts = tuple(part.replace("%2F", "/").replace("%25", "%") for part in text.split("/"))
    if len(parts) != count:
        raise ValueError(f"not {count} parts: {text!r}")
    return parts


class CampaignRecords(Protocol):
    """The campaign's own row."""

    def get(self) -> Campaign:
        """The row as it is now."""
        ...

    def begin(self, entry: CampaignEntry, system: str) -> Campaign:
        """Write the first row of a new file and log the change; the row that is there already is returned as it is."""
        ...


class RollRecords(Protocol):
    """The roll log, append only."""

    def next_stream(self, seed: bytes, *, visibility: str = "players") -> RollStream:
        """Take the next roll number and `seq`; open an epoch with `seed` (32 bytes) when none is open."""
        ...

    def save(self, stream: RollStream, draft: RollDraft) -> RollEntry:
        """Append the roll to the log and to its hash chain."""
        ...

    def page(self, *, before: int | None, since: int, limit: int) -> Sequence[RollEntry]:
        """Newest first; numbers below `before` (None: from the newest), `seq` above `since`, at most `limit`."""
        ...

    def between(self, first: int, last: int | None) -> tuple[int, RollEntry | None]:
        """How many rolls have a `seq` from first to last (None: up to now), and the newest of them."""
        ...

    def close_epoch(self) -> None:
        """Reveal the open epoch's open half; the next roll opens a new one. Nothing where none is open."""
        ...

    def epochs(self) -> Sequence[EpochEntry]:
        """Every epoch, oldest first, with what is revealed of it."""
        ...

    def first_broken(self) -> int | None:
        """The number of the first roll whose place in the hash chain is wrong, or None."""
        ...


class ChangeRecords(Protocol):
    """The change log, append only."""

    def page(self, *, before: int | None, since: int, limit: int) -> Sequence[ChangeEntry]:
        """Newest first; `seq` below `before` (None: from the newest) and above `since`, at most `limit`."""
        ...

    def calls(self, call_ids: Sequence[str]) -> Mapping[str, CallEntry]:
        """The calls behind those changes, by call id."""
        ...

    def call_at(self, seq: int) -> CallEntry | None:
        """The call that took that `seq`, or None."""
        ...

    def undoable(self) -> CallEntry | None:
        """The newest call that can be undone and is not, or None."""
        ...

    def redoable(self) -> CallEntry | None:
        """The call whose undo is the newest that stands, or None."""
        ...

    def calls_between(self, first: int, last: int | None, *, limit: int) -> Sequence[CallEntry]:
        """The newest calls that changed an entity, with a `seq` from first to last (None: up to now), oldest first."""
        ...

    def rewound_by(self, call_id: str) -> CallEntry | None:
        """The newest undo or redo of that call, or None."""
        ...

    def of_call(self, call_id: str) -> Sequence[ChangeEntry]:
        """What that call changed, in order."""
        ...

    def newest_of(self, entity: str, entity_id: str, *, at: int | None = None) -> ChangeEntry | None:
        """The newest change of that entity, up to the `seq` at where given, or None."""
        ...

    def mark(self, kind: str, target_call: str | None = None) -> None:
        """Log this transaction's call as an undo or redo of that call, or as a rollback."""
        ...


class EntityRecords(Protocol):
    """Everything that the change log knows, as whole images: the campaign's settings, members, characters, notes, ...

    An image is plain JSON and has every field of its kind; `entity_id()` makes the id from the parts of the key.
    """

    def kinds(self) -> Sequence[str]:
        """The names of all kinds of entity, always in the same order."""
        ...

    def get(self, entity: str, entity_id: str) -> Json | None:
        """The image, or None."""
        ...

    def find(self, entity: str, entity_id: str) -> EntityRecord | None:
        """The image with its version, or None."""
        ...

    def all(self, entity: str, *within: str | int) -> Iterator[EntityRecord]:
        """Every entity of the kind by its key; `within` are the first parts of the key, such as the encounter's id."""
        ...

    def put(
        self, entity: str, entity_id: str, image: Json, *, visibility: str, expect_version: int | None = None
    ) -> int:
        """Make the entity, or change it as a whole, and log that; its version is returned.

        An image equal to the current one writes nothing. `visibility` names the audience that may know of the change:
        gm, players or player:NAME. An expected version of 0 says that there is none yet. Raises VersionConflict,
        NameTaken, TooLarge, and ValueError for what is no image of that entity.
        """
        ...

    def delete(self, entity: str, entity_id: str, *, visibility: str, expect_version: int | None = None) -> int | None:
        """Delete the entity and log that; the change's `seq`, or None when there was nothing.

        Raises VersionConflict, and ValueError for the campaign itself.
        """
        ...


class Unit(Protocol):
    """What a story sees of one transaction on a campaign; everything in it is synchronous.

    A story may run again from its start, so it has no effect outside the unit, and reads neither clock nor chance.
    """

    @property
    def call(self) -> Call:
        """The call that this transaction serves."""
        ...

    @property
    def campaign(self) -> CampaignRecords:
        """The campaign's own row."""
        ...

    @property
    def rolls(self) -> RollRecords:
        """The roll log."""
        ...

    @property
    def changes(self) -> ChangeRecords:
        """The change log."""
        ...

    @property
    def entities(self) -> EntityRecords:
        """Everything that the change log knows."""
        ...

    def receipt(self) -> Receipt:
        """The campaign's name and its newest `seq`, this transaction's own included."""
        ...

    def recent_keys(self, limit: int) -> Sequence[str]:
        """The request keys of this principal that were answered here, newest first."""
        ...


class RegistryRecords(Protocol):
    """The server's list of campaigns."""

    def all(self) -> Sequence[CampaignEntry]:
        """Every campaign, by name."""
        ...

    def find(self, name_or_id: str) -> CampaignEntry | None:
        """The campaign of that id or of that name; case, accents' encoding and doubled blanks do not matter."""
        ...

    def begin(self, entry: CampaignEntry) -> CampaignEntry:
        """Add a campaign whose file is still to be made; a repeat gets the entry of the first time.

        A repeat is the same id, or the same name under the same request key; a start may have finished it meanwhile.
        Raises NameTaken.
        """
        ...

    def opened(self, campaign_id: str, *, at_ms: int, head_seq: int) -> None:
        """Note that the campaign's file is there and was opened."""
        ...


class PreferenceRecords(Protocol):
    """Which campaign a principal used last."""

    def of(self, principal: Principal) -> str | None:
        """The campaign id, or None."""
        ...

    def put(self, principal: Principal, campaign_id: str, at_ms: int) -> None:
        """Remember it."""
        ...


class ServerUnit(Protocol):
    """What a story sees of one transaction on the server's own file."""

    @property
    def registry(self) -> RegistryRecords:
        """The list of campaigns."""
        ...

    @property
    def preferences(self) -> PreferenceRecords:
        """Which campaign a principal used last."""
        ...


@dataclass(frozen=True, slots=True)
class CompartmentHealth:
    """One open file as the server sees it from memory, without touching the disk."""

    campaign_id: str
    queued: int
    head_seq: int


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """The storage as the server sees it from memory.

    Attributes:
        sqlite_version: As the library reports itself.
        warnings: Sentences for the game master; empty when all is well.
    """

    is_ready: bool
    sqlite_version: str
    open_campaigns: tuple[CompartmentHealth, ...] = ()
    warnings: tuple[str, ...] = field(default=())


class Store(Protocol):
    """The storage. A write is committed on disk before it returns.

    All methods raise StoreError and its kind; writes also AlreadyAnswered, RequestKeyReused and CampaignPaused.
    """

    async def write(self, call: Call, story: Callable[[Unit], T]) -> T:
        """Run the story in one transaction on the call's campaign; log it and keep its answer in the same one."""
        ...

    async def read(self, call: Call, story: Callable[[Unit], T]) -> T:
        """Run the story on one consistent picture of the call's campaign."""
        ...

    async def write_server(self, call: Call, story: Callable[[ServerUnit], T]) -> T:
        """Run the story in one transaction on the server's own file; keep its answer in the same one."""
        ...

    async def read_server(self, call: Call, story: Callable[[ServerUnit], T]) -> T:
        """Run the story on one consistent picture of the server's own file."""
        ...

    async def create_campaign(self, call: Call, entry: CampaignEntry, story: Callable[[Unit], T]) -> T:
        """Make the campaign's file where there is none yet, then run the story as its first write.

        The only way a campaign file comes into being; safe to repeat after a crash at any point. Keeps no answer in the
        campaign's file: the call that notes the campaign as opened in the server's file does that.
        """
        ...

    async def ready(self) -> None:
        """Return when the storage is open. Raises StoreError when it could not be opened."""
        ...

    async def stored_answer(self, call: Call) -> StoredAnswer | None:
        """The answer kept under the call's request key, or None. Raises RequestKeyReused."""
        ...

    def health(self) -> StoreHealth:
        """From memory only."""
        ...


class Entropy(Protocol):
    """Where seeds come from."""

    def seed(self) -> bytes:
        """32 unpredictable bytes."""
        ...


class Ids(Protocol):
    """Where identifiers come from."""

    def call_id(self) -> str:
        """A new identifier for one call; sorts by time."""
        ...

    def letters(self, count: int) -> str:
        """`count` random letters of a-z."""
        ...

    def incident(self) -> str:
        """A short number under which an unforeseen failure is logged, such as E-7K2F."""
        ...


class Health(Protocol):
    """What the running server knows of itself, from memory only."""

    def report(self) -> Json:
        """JSON-ready facts: version, uptime, readiness, storage, breakers, queues."""
        ...


class Background(Protocol):
    """Work that follows an answer, outside its path."""

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        """Begin it and return at once; its failure is logged and changes nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything that a story may touch; built by app.py."""

    store: Store
    clock: Clock
    entropy: Entropy
    ids: Ids
    health: Health
    background: Background
