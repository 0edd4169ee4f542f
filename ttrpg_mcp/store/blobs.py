"""Bytes under the hash of their content: what many checkpoints share is kept once."""

import hashlib
import zlib

from ttrpg_mcp.play.ports import PackedPart
from ttrpg_mcp.store.connection import Connection

__all__ = ["BlobDamaged", "BlobTable", "packed"]

_CODEC = "zlib"
_LEVEL = 1  # a tenth of the time of the default for a few percent more bytes

# A body that differs under the same hash is rotten, or from another release of zlib: the new one heals it.
_PUT = """
INSERT INTO blob (hash, codec, size, body) VALUES (:hash, :codec, :size, :body)
ON CONFLICT (hash) DO UPDATE SET codec = excluded.codec, size = excluded.size, body = excluded.body
WHERE codec <> excluded.codec OR size <> excluded.size OR body <> excluded.body
"""
_FIND = "SELECT codec, size, body FROM blob WHERE hash = :hash"
_TOTAL = "SELECT COALESCE(SUM(length(body)), 0) AS bytes FROM blob"
_DELETE_UNUSED = "DELETE FROM blob WHERE hash NOT IN (SELECT hash FROM checkpoint_part)"


class BlobDamaged(ValueError):
    """The bytes are missing, or are not those that were put there."""


def packed(content: bytes) -> PackedPart:
    """The content under its hash, compressed."""
    return PackedPart(hashlib.sha256(content).digest(), _CODEC, len(content), zlib.compress(content, _LEVEL))


class BlobTable:
    """The blobs of a campaign's file."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, part: PackedPart) -> int:
        """Keep it, unless it is there; how many bytes were written."""
        written = self._connection.run(_PUT, hash=part.hash, codec=part.codec, size=part.size, body=part.body)
        return len(part.body) if written else 0

    def get(self, content_hash: bytes) -> bytes:
        """The content, compared with its hash. Raises BlobDamaged."""
        row = self._connection.one(_FIND, hash=content_hash)
        if row is None:
            raise BlobDamaged("is missing")
        return _unpacked(PackedPart(content_hash, row["codec"], row["size"], row["body"]))

    def total_bytes(self) -> int:
        """How much room all of them take, compressed."""
        row = self._connection.one(_TOTAL)
        return 0 if row is None else int(row["bytes"])

    def delete_unused(self) -> None:
        """Let go of what no checkpoint has."""
        self._connection.run(_DELETE_UNUSED)


def _unpacked(part: PackedPart) -> bytes:
    if part.codec != _CODEC:
        raise BlobDamaged(f"is packed in an unknown way, {part.codec!r}")
    reader = zlib.decompressobj()
    try:
        # Never more than was put there: rotten bytes could unpack to any length.
        content = reader.decompress(part.body, part.size + 1)
    except zlib.error as error:
        raise BlobDamaged("cannot be unpacked") from error
    if len(content) != part.size or not reader.eof:
        raise BlobDamaged("has another length than it had")
    if hashlib.sha256(content).digest() != part.hash:
        raise BlobDamaged("does not match its hash")
    return content
