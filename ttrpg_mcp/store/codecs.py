"""How an entity of the log becomes rows and comes back: its image is plain JSON and the whole entity.

An image is written through its row: what the row gives back is what is logged, so the log and the tables cannot
disagree about a 1 that is stored as 1.0.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ttrpg_mcp.play.ports import Json, entity_id, entity_key
from ttrpg_mcp.store.canonical import canonical_json
from ttrpg_mcp.store.connection import Row, Value
from ttrpg_mcp.store.names import name_key

__all__ = [
    "FLAG",
    "INTEGER",
    "JSON",
    "LINES",
    "REAL",
    "TEXT",
    "Child",
    "Column",
    "EntityCodec",
    "Kind",
    "Named",
    "Values",
]

Values: TypeAlias = dict[str, Value]

_MOST_INTEGER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of column: from an image's value to the database's and back.

    Attributes:
        encode: Raises ValueError or TypeError for a value of another kind; STRICT tables would convert some in silence.
        is_number_in_key: Whether it is written as a number in an entity's id.
    """

    encode: Callable[[Any], Value]
    decode: Callable[[Any], Any]
    is_number_in_key: bool = False


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("wants text")
    value.encode()  # half of a surrogate pair is no text that can be kept
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("wants a whole number")
    if abs(value) > _MOST_INTEGER:
        raise ValueError("is beyond 64 bits")
    return value


def _real(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError("wants a number")
    if not abs(value) < float("inf"):
        raise ValueError("wants a finite number")
    return float(value) + 0.0  # SQLite has no -0.0


def _flag(value: object) -> int:
    if not isinstance(value, bool):
        raise TypeError("wants true or false")
    return int(value)


def _json(value: Any) -> str:
    text = canonical_json(value)
    text.encode()
    return text


def _lines(value: object) -> str:
    if not isinstance(value, list | tuple) or not all(isinstance(line, str) for line in value):
        raise TypeError("wants a list of texts")
    if not all(line and line == " ".join(line.split()) for line in value):
        raise ValueError("wants texts that are not empty and have single blanks only")
    return _text("\n".join(value))


def _as_it_is(value: Any) -> Any:
    return value


TEXT = Kind(_text, _as_it_is)
INTEGER = Kind(_integer, _as_it_is, is_number_in_key=True)
REAL = Kind(_real, _as_it_is)
FLAG = Kind(_flag, bool)
JSON = Kind(_json, json.loads)
LINES = Kind(_lines, lambda text: text.split("\n") if text else [])


@dataclass(frozen=True, slots=True)
class Column:
    """One column that is part of the image.

    Attributes:
        alias: The field's name in the image, where it is not the column's.
    """

    name: str
    kind: Kind = TEXT
    is_nullable: bool = False
    alias: str = ""

    @property
    def field(self) -> str:
        """The field's name in the image."""
        return self.alias or self.name

    def encode(self, value: Any) -> Value:
        """The value as the database keeps it. Raises ValueError."""
        if value is None and self.is_nullable:
            return None
        try:
            return self.kind.encode(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"the field {self.field} {error}") from error

    def decode(self, value: Value) -> Any:
        """The value as the image has it."""
        return None if value is None else self.kind.decode(value)


@dataclass(frozen=True, slots=True)
class Named:
    """The name of an entity: another column keeps its key, by which names are compared.

    Attributes:
        is_unique: No two entities of the kind may have the same key.
    """

    column: str
    key_column: str
    is_unique: bool = False


@dataclass(frozen=True, slots=True)
class Child:
    """A field of the image that is a list and has rows in a table of its own.

    Attributes:
        owner: The column with the id of the entity.
        columns: The others. A single one makes a list of texts, several a list of objects.
        is_index: The rows are only an index over a field that the entity's own row keeps: its texts as name keys, never
            read back.
    """

    field: str
    table: str
    owner: str
    columns: tuple[str, ...]
    is_index: bool = False

    def rows(self, image: Json) -> list[Values]:
        """The rows of a normal image, without their owner."""
        items = image[self.field]
        if self.is_index:
            return [{self.columns[0]: key} for key in dict.fromkeys(map(name_key, items))]
        return [{self.columns[0]: item} if len(self.columns) == 1 else dict(item) for item in items]

    def items(self, rows: Iterable[Row | Mapping[str, Value]]) -> list[Any]:
        """The field's value: sorted, each once."""
        found = sorted({tuple(_text(row[column]) for column in self.columns) for row in rows})
        return [item[0] if len(item) == 1 else dict(zip(self.columns, item, strict=True)) for item in found]

    def normal(self, items: object) -> list[Any]:
        """The same for a value out of an image. Raises ValueError."""
        if not isinstance(items, list | tuple):
            raise ValueError(f"the field {self.field} wants a list")  # noqa: TRY004 - one class for every bad image
        try:
            return self.items([self._row(item) for item in items])
        except (TypeError, ValueError) as error:
            raise ValueError(f"the field {self.field} {error}") from error

    def _row(self, item: Any) -> Mapping[str, Value]:
        if len(self.columns) == 1:
            return {self.columns[0]: item}
        if not isinstance(item, Mapping) or set(item) != set(self.columns):
            raise ValueError(f"wants objects of {', '.join(self.columns)}")
        return item


@dataclass(frozen=True, slots=True)
class EntityCodec:
    """One kind of entity: where it is kept, and its image there and back.

    Attributes:
        entity: Its name in the log.
        key: The columns of its key after campaign_id.
        columns: The other columns of the image.
        most_bytes: How long an image may be, as canonical JSON.
        is_permanent: The row is made and ends with its file: it can be changed only.
    """

    entity: str
    table: str
    key: tuple[Column, ...]
    columns: tuple[Column, ...]
    most_bytes: int
    named: Named | None = None
    children: tuple[Child, ...] = ()
    is_permanent: bool = False

    def id_of(self, image: Json) -> str:
        """The entity_id that belongs to the image."""
        return entity_id(*(image[column.field] for column in self.key))

    def id_of_row(self, row: Row) -> str:
        """The same for a row."""
        return entity_id(*(row[column.name] for column in self.key))

    def key_values(self, entity_id_text: str) -> Values:
        """The key's columns. Raises ValueError for what is no id of such an entity."""
        parts = entity_key(entity_id_text, len(self.key))
        try:
            values = [int(part) if column.kind.is_number_in_key else part for part, column in self._keyed(parts)]
        except ValueError as error:
            raise ValueError(f"no id of a {self.entity}: {entity_id_text!r}") from error
        if entity_id(*values) != entity_id_text:
            raise ValueError(f"no id of a {self.entity}: {entity_id_text!r}")
        return {column.name: value for value, column in self._keyed(values)}

    def _keyed(self, parts: Sequence[Any]) -> Iterable[tuple[Any, Column]]:
        return zip(parts, self.key, strict=True)

    def image(self, row: Row | Mapping[str, Value], children: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
        """The image of a row and, by field, of its children's."""
        image = {column.field: column.decode(row[column.name]) for column in (*self.key, *self.columns)}
        return image | {child.field: child.items(children.get(child.field, ())) for child in self._read_children}

    def row(self, image: Json) -> Values:
        """The row of an image, without campaign_id, version and what no image has. Raises ValueError."""
        values = {column.name: column.encode(image[column.field]) for column in (*self.key, *self.columns)}
        if self.named is not None:
            values[self.named.key_column] = name_key(str(values[self.named.column]))
        return values

    def normal(self, image: Json, current: Json | None = None) -> dict[str, Any]:
        """The image as it would come back from the tables.

        An image out of the log of an older release may lack a field of this one: then it is null where it may be, else
        as it is in the current image. Raises ValueError for a field that is unknown, missing or of another kind.
        """
        whole = {**dict.fromkeys(self._nullable), **self._kept(image, current), **image}
        self._require_fields(whole)
        children = {child.field: child.normal(whole[child.field]) for child in self._read_children}
        return self.image(self.row(whole), {}) | children

    def _require_fields(self, image: Json) -> None:
        known = {column.field for column in (*self.key, *self.columns)} | {child.field for child in self._read_children}
        if known != set(image):
            different = ", ".join(sorted(known ^ set(image)))
            raise ValueError(f"an image of a {self.entity} misses fields or has unknown ones: {different}")

    def _kept(self, image: Json, current: Json | None) -> Json:
        return {field: value for field, value in (current or {}).items() if field not in {*image, *self._nullable}}

    @property
    def _nullable(self) -> tuple[str, ...]:
        return tuple(column.field for column in self.columns if column.is_nullable)

    @property
    def _read_children(self) -> tuple[Child, ...]:
        return tuple(child for child in self.children if not child.is_index)
