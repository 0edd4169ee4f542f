"""Every entity of the log, once: its table, its key and its fields."""

from collections.abc import Mapping
from types import MappingProxyType

from ttrpg_mcp.store.changes import MOST_CHANGE_BYTES
from ttrpg_mcp.store.codecs import FLAG, INTEGER, JSON, LINES, REAL, TEXT, Child, Column, EntityCodec, Named

__all__ = ["CODECS", "MOST_IMAGE_BYTES", "MOST_NOTE_BYTES", "codec_of"]

# A change has two images. An entity longer than half of it could be made, and then never changed again.
MOST_IMAGE_BYTES = MOST_CHANGE_BYTES // 2
MOST_NOTE_BYTES = 64 * 1024

_DATA = Column("data", JSON)

_CODECS = (
    # Not in the image: the counters, and what tells of the file rather than of the campaign (clean, commit_epoch,
    # lineage, app_version).
    EntityCodec(
        "campaign",
        "campaign",
        key=(Column("campaign_id", alias="id"),),
        columns=(
            Column("name"),
            Column("system"),
            Column("status"),
            Column("status_reason", TEXT, is_nullable=True),
            Column("settings", JSON),
            Column("created_at_ms", INTEGER),
        ),
        most_bytes=MOST_IMAGE_BYTES,
        named=Named("name", "name_key"),
        is_permanent=True,
    ),
    # Not in the image: last_seen_at_ms, which is not logged.
    EntityCodec(
        "member",
        "member",
        key=(Column("principal"),),
        columns=(
            Column("role"),
            Column("display_name"),
            Column("character_ids", JSON),
            Column("turn_policy"),
            _DATA,
        ),
        most_bytes=MOST_IMAGE_BYTES,
    ),
    EntityCodec(
        "session",
        "session",
        key=(Column("number", INTEGER),),
        columns=(
            Column("title"),
            Column("status"),
            Column("started_at_ms", INTEGER),
            Column("ended_at_ms", INTEGER, is_nullable=True),
            Column("first_seq", INTEGER),
            Column("last_seq", INTEGER, is_nullable=True),
            Column("recap"),
            Column("player_recap"),
            _DATA,
        ),
        most_bytes=MOST_IMAGE_BYTES,
    ),
    EntityCodec(
        "character",
        "character",
        key=(Column("id"),),
        columns=(
            Column("name"),
            Column("kind"),
            Column("owner", TEXT, is_nullable=True),
            Column("status"),
            Column("saga_id", TEXT, is_nullable=True),
            _DATA,
            Column("created_at_ms", INTEGER),
        ),
        most_bytes=MOST_IMAGE_BYTES,
        named=Named("name", "name_key", is_unique=True),
    ),
    EntityCodec(
        "encounter",
        "encounter",
        key=(Column("id"),),
        columns=(
            Column("name"),
            Column("status"),
            Column("session_number", INTEGER, is_nullable=True),
            Column("map_id", TEXT, is_nullable=True),
            Column("round_number", INTEGER),
            Column("turn_index", INTEGER),
            _DATA,
        ),
        most_bytes=MOST_IMAGE_BYTES,
    ),
    EntityCodec(
        "combatant",
        "combatant",
        key=(Column("encounter_id"), Column("id")),
        columns=(
            Column("character_id", TEXT, is_nullable=True),
            Column("name"),
            Column("side"),
            Column("position", INTEGER),
            Column("initiative", REAL, is_nullable=True),
            Column("hidden", FLAG),
            _DATA,
        ),
        most_bytes=MOST_IMAGE_BYTES,
        named=Named("name", "name_key"),
    ),
    # Not in the image: note_number, which belongs to the search index.
    EntityCodec(
        "note",
        "note",
        key=(Column("id"),),
        columns=(
            Column("title"),
            Column("kind"),
            Column("body"),
            Column("secret"),
            Column("tags", LINES),
            Column("visibility"),
            Column("session_number", INTEGER, is_nullable=True),
            Column("pinned", FLAG),
            _DATA,
            Column("created_at_ms", INTEGER),
            Column("updated_at_ms", INTEGER),
        ),
        most_bytes=MOST_NOTE_BYTES,
        named=Named("title", "title_key", is_unique=True),
        children=(
            Child("tags", "note_tag", "note_id", ("tag_key",), is_index=True),
            Child("readers", "note_reader", "note_id", ("principal",)),
            Child("links", "note_link", "from_note", ("to_kind", "to_id", "label")),
        ),
    ),
    EntityCodec(
        "map",
        "map",
        key=(Column("id"),),
        columns=(Column("name"), Column("grid"), Column("width", INTEGER), Column("height", INTEGER), _DATA),
        most_bytes=MOST_IMAGE_BYTES,
        named=Named("name", "name_key"),
    ),
    EntityCodec(
        "map_row",
        "map_row",
        key=(Column("map_id"), Column("row", INTEGER)),
        columns=(Column("cells"), Column("elevation", JSON, is_nullable=True)),
        most_bytes=MOST_IMAGE_BYTES,
    ),
    EntityCodec(
        "map_memory",
        "map_memory",
        key=(Column("map_id"), Column("audience"), Column("row", INTEGER)),
        columns=(Column("cells"), Column("edges")),
        most_bytes=MOST_IMAGE_BYTES,
    ),
    EntityCodec(
        "map_part",
        "map_part",
        key=(Column("map_id"), Column("id")),
        columns=(Column("kind"), _DATA),
        most_bytes=MOST_IMAGE_BYTES,
    ),
    EntityCodec(
        "token",
        "token",
        key=(Column("map_id"), Column("id")),
        columns=(
            Column("labels", JSON),
            Column("character_id", TEXT, is_nullable=True),
            Column("combatant_id", TEXT, is_nullable=True),
            Column("x", INTEGER),
            Column("y", INTEGER),
            Column("side"),
            Column("hidden", FLAG),
            _DATA,
        ),
        most_bytes=MOST_IMAGE_BYTES,
    ),
    EntityCodec(
        "random_table",
        "random_table",
        key=(Column("id"),),
        columns=(
            Column("name"),
            Column("kind"),
            Column("character_id", TEXT, is_nullable=True),
            Column("expression"),
            Column("entries", JSON),
            Column("drawn", JSON),
            Column("source"),
            Column("licence"),
            _DATA,
        ),
        most_bytes=MOST_IMAGE_BYTES,
        named=Named("name", "name_key", is_unique=True),
    ),
)

CODECS: Mapping[str, EntityCodec] = MappingProxyType({codec.entity: codec for codec in _CODECS})


def codec_of(entity: str) -> EntityCodec:
    """The codec of a kind of entity. Raises ValueError for one that the log does not know."""
    try:
        return CODECS[entity]
    except KeyError:
        raise ValueError(f"no kind of entity: {entity!r}") from None
