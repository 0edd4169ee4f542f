"""What is at the table, each kind of entity by its codec: read as whole images, written together with the log."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from ttrpg_mcp.play.errors import NameTaken, TooLarge, VersionConflict
from ttrpg_mcp.play.ports import EntityRecord, Json
from ttrpg_mcp.store.canonical import canonical_json
from ttrpg_mcp.store.changes import ChangeTable
from ttrpg_mcp.store.codecs import Child, EntityCodec, Values
from ttrpg_mcp.store.connection import Connection, Row
from ttrpg_mcp.store.entity_codecs import CODECS, codec_of
from ttrpg_mcp.store.names import free_name, name_key

__all__ = ["EntityTable"]


class EntityTable:
    """The EntityRecords of a unit."""

    __slots__ = ("_campaign_id", "_changes", "_connection")

    def __init__(self, connection: Connection, campaign_id: str, changes: ChangeTable) -> None:
        self._connection = connection
        self._campaign_id = campaign_id
        self._changes = changes

    def kinds(self) -> Sequence[str]:
        """The names of all kinds of entity, always in the same order."""
        return tuple(CODECS)

    def get(self, entity: str, entity_id: str) -> Json | None:
        """The image, or None."""
        found = self.find(entity, entity_id)
        return None if found is None else found.image

    def find(self, entity: str, entity_id: str) -> EntityRecord | None:
        """The image with its version, or None."""
        codec = codec_of(entity)
        row = self._connection.one(_find_sql(codec), **self._where(codec, entity_id))
        if row is None:
            return None
        children = {child.field: self._children(child, entity_id) for child in codec.children if not child.is_index}
        return EntityRecord(entity_id, codec.image(row, children), row["version"])

    def all(self, entity: str, *within: str | int) -> Iterator[EntityRecord]:
        """Every entity of the kind by its key; `within` are the first parts of the key, such as the encounter's id."""
        codec = codec_of(entity)
        columns = [column.name for column in codec.key[: len(within)]]
        values: Values = {"campaign_id": self._campaign_id, **dict(zip(columns, within, strict=True))}
        # Fetched at once, so that the caller may write, or take the iterator out of the transaction.
        rows = self._connection.all(_all_sql(codec, len(within)), **values)
        children = self._all_children(codec) if rows else {}
        return (self._record(codec, row, children) for row in rows)

    def put(
        self, entity: str, entity_id: str, image: Json, *, visibility: str, expect_version: int | None = None
    ) -> int:
        """Make the entity, or change it as a whole, and log that; its version is returned.

        An image equal to the current one writes nothing. Raises VersionConflict, NameTaken, TooLarge, and ValueError
        for what is no image of that entity.
        """
        codec = codec_of(entity)
        found = self._expected(entity, entity_id, expect_version)
        before = None if found is None else found.image
        after = codec.normal(image, before)
        if codec.id_of(after) != entity_id:
            raise ValueError(f"the image belongs to {codec.id_of(after)!r}, not to {entity_id!r}")
        if found is not None and canonical_json(after) == canonical_json(found.image):
            return found.version
        self._require_size(codec, after)
        self._require_free_name(codec, entity_id, after)
        if found is None:
            self._require_not_permanent(codec)
        version = self._changes.append(entity, entity_id, before=before, after=after, visibility=visibility)
        self._write(codec, entity_id, after, version, is_new=found is None)
        return version

    def delete(self, entity: str, entity_id: str, *, visibility: str, expect_version: int | None = None) -> int | None:
        """Delete the entity and log that; the change's `seq`, or None when there was nothing.

        Raises VersionConflict, and ValueError for the campaign itself.
        """
        codec = codec_of(entity)
        self._require_not_permanent(codec)
        found = self._expected(entity, entity_id, expect_version)
        if found is None:
            return None
        seq = self._changes.append(entity, entity_id, before=found.image, after=None, visibility=visibility)
        for child in codec.children:
            self._clear(child, entity_id)
        self._require_one(self._connection.run(_delete_sql(codec), **self._where(codec, entity_id)))
        return seq

    def _record(
        self, codec: EntityCodec, row: Row, children: Mapping[str, Mapping[str, Sequence[Row]]]
    ) -> EntityRecord:
        """`children` are those of all entities, by field and owner."""
        entity_id = codec.id_of_row(row)
        own = {field: by_owner.get(entity_id, ()) for field, by_owner in children.items()}
        return EntityRecord(entity_id, codec.image(row, own), row["version"])

    def _where(self, codec: EntityCodec, entity_id: str) -> Values:
        return {"campaign_id": self._campaign_id} | codec.key_values(entity_id)

    def _expected(self, entity: str, entity_id: str, expect_version: int | None) -> EntityRecord | None:
        """The entity as it is now. Raises VersionConflict when it has another version; 0 is that of none."""
        found = self.find(entity, entity_id)
        version, image = (0, None) if found is None else (found.version, found.image)
        if expect_version is not None and expect_version != version:
            raise VersionConflict(entity, entity_id, expected=expect_version, version=version, image=image)
        return found

    def _write(self, codec: EntityCodec, entity_id: str, image: Json, version: int, *, is_new: bool) -> None:
        row: Values = {"campaign_id": self._campaign_id, **codec.row(image), "version": version}
        if is_new:
            self._connection.insert(codec.table, row)
        else:
            self._require_one(self._connection.run(_update_sql(codec), **row))
        for child in codec.children:
            if not is_new:
                self._clear(child, entity_id)
            for values in child.rows(image):
                owned = {"campaign_id": self._campaign_id, child.owner: entity_id, **values}
                self._connection.insert(child.table, owned)

    def _children(self, child: Child, owner: str) -> Sequence[Row]:
        return self._connection.all(_children_sql(child), campaign_id=self._campaign_id, owner=owner)

    def _all_children(self, codec: EntityCodec) -> Mapping[str, Mapping[str, Sequence[Row]]]:
        """By field and owner, in one statement a field."""
        found: dict[str, dict[str, list[Row]]] = {}
        for child in codec.children:
            if not child.is_index:
                by_owner = found.setdefault(child.field, {})
                for row in self._connection.all(_all_children_sql(child), campaign_id=self._campaign_id):
                    by_owner.setdefault(row[child.owner], []).append(row)
        return found

    def _clear(self, child: Child, owner: str) -> None:
        self._connection.run(_clear_sql(child), campaign_id=self._campaign_id, owner=owner)

    def _require_size(self, codec: EntityCodec, image: Json) -> None:
        size = len(canonical_json(image).encode())
        if size > codec.most_bytes:
            raise TooLarge(codec.entity.replace("_", " "), size, codec.most_bytes)

    def _require_free_name(self, codec: EntityCodec, entity_id: str, image: Json) -> None:
        if codec.named is None or not codec.named.is_unique:
            return
        name = image[codec.named.column]
        if self._owner(codec, name_key(name)) not in {None, entity_id}:
            kind = codec.entity.replace("_", " ")
            raise NameTaken(kind, name, free_name(name, lambda key: self._owner(codec, key) is not None))

    def _owner(self, codec: EntityCodec, key: str) -> str | None:
        row = self._connection.one(_by_name_sql(codec), campaign_id=self._campaign_id, name_key=key)
        return None if row is None else str(row[codec.key[0].name])

    def _require_not_permanent(self, codec: EntityCodec) -> None:
        if codec.is_permanent:
            raise ValueError(f"the {codec.entity} is made and ends with its file")

    def _require_one(self, touched: int) -> None:
        if touched != 1:
            raise RuntimeError(f"a write that found its row touched {touched}")


# All names below are ours, out of the codecs; values are bound. A campaign's key is the campaign_id itself.
def _is_it(codec: EntityCodec, depth: int) -> str:
    columns = dict.fromkeys(("campaign_id", *(column.name for column in codec.key[:depth])))
    return " AND ".join(f"{column} = :{column}" for column in columns)


@cache
def _find_sql(codec: EntityCodec) -> str:
    return f"SELECT * FROM {codec.table} WHERE {_is_it(codec, len(codec.key))}"  # noqa: S608 - see above


@cache
def _all_sql(codec: EntityCodec, depth: int) -> str:
    order = ", ".join(column.name for column in codec.key)
    return f"SELECT * FROM {codec.table} WHERE {_is_it(codec, depth)} ORDER BY {order}"  # noqa: S608 - see above


@cache
def _update_sql(codec: EntityCodec) -> str:
    named = () if codec.named is None else (codec.named.key_column,)
    columns = (*(column.name for column in codec.columns), *named, "version")
    changed = ", ".join(f"{column} = :{column}" for column in columns)
    return f"UPDATE {codec.table} SET {changed} WHERE {_is_it(codec, len(codec.key))}"  # noqa: S608 - see above


@cache
def _delete_sql(codec: EntityCodec) -> str:
    return f"DELETE FROM {codec.table} WHERE {_is_it(codec, len(codec.key))}"  # noqa: S608 - see above


@cache
def _by_name_sql(codec: EntityCodec) -> str:
    if codec.named is None:
        raise ValueError(f"a {codec.entity} has no name")
    columns = f"campaign_id = :campaign_id AND {codec.named.key_column} = :name_key"
    return f"SELECT {codec.key[0].name} FROM {codec.table} WHERE {columns}"  # noqa: S608 - see above


@cache
def _children_sql(child: Child) -> str:
    owned = f"campaign_id = :campaign_id AND {child.owner} = :owner"
    return f"SELECT * FROM {child.table} WHERE {owned}"  # noqa: S608 - see above


@cache
def _all_children_sql(child: Child) -> str:
    return f"SELECT * FROM {child.table} WHERE campaign_id = :campaign_id"  # noqa: S608 - see above


@cache
def _clear_sql(child: Child) -> str:
    owned = f"campaign_id = :campaign_id AND {child.owner} = :owner"
    return f"DELETE FROM {child.table} WHERE {owned}"  # noqa: S608 - see above
