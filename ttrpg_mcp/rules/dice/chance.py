"""Where faces come from: a port, and its adapters that need nothing but arithmetic.

The stream is exact, so that a stand-alone checker can reproduce it. Integers are big-endian, texts UTF-8, 00 is one
byte, `|` joins bytes:

    open   = SHA-256("ttrpg-dice-open" 00 seed)      secret = SHA-256("ttrpg-dice-secret" 00 seed)
    commit = SHA-256("ttrpg-dice-v1" 00 campaign_id 00 SHA-256(open) SHA-256(secret))
    key    = open or secret (32) | epoch (4) | roll number (8) | SHA-256(client seed) (32)
    stream = SHAKE-256(key)
"""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Protocol

from ttrpg_mcp.rules.dice.errors import ChanceExhausted, FaceImpossible

__all__ = ["Chance", "FixedChance", "SampleChance", "StreamChance", "Uniform", "commitment", "open_half", "secret_half"]

_FIRST_BYTES: Final = 64


class Chance(Protocol):
    """A source of faces."""

    def draw(self, count: int, faces: int) -> list[int]:
        """Count faces, each 1..faces, in the order in which they were drawn."""
        ...


class FixedChance:
    """Gives the listed faces, in their order: for tests and for dice that were rolled by hand."""

    def __init__(self, faces: Iterable[int]) -> None:
        self._faces = tuple(faces)
        self._given = 0

    @property
    def left(self) -> int:
        """How many of the listed faces were not drawn yet."""
        return len(self._faces) - self._given

    def draw(self, count: int, faces: int) -> list[int]:
        """The next count faces of the list.

        Raises:
            ChanceExhausted: fewer are left.
            FaceImpossible: one of them is not on this die.
        """
        if count > self.left:
            raise ChanceExhausted(len(self._faces))
        drawn = list(self._faces[self._given : self._given + count])
        for face in drawn:
            if not 1 <= face <= faces:
                raise FaceImpossible(face, faces)
        self._given += count
        return drawn


class Uniform(Protocol):
    """What SampleChance needs of a generator such as `random.Random`."""

    def random(self) -> float:
        """A number in [0, 1)."""
        ...


class SampleChance:
    """Faces from an ordinary generator: for estimates and benchmarks, never for a roll that counts."""

    def __init__(self, uniform: Uniform) -> None:
        self._random = uniform.random

    def draw(self, count: int, faces: int) -> list[int]:
        """Count faces; the bias is below faces / 2**53."""
        random = self._random
        return [int(random() * faces) + 1 for _ in range(count)]


class StreamChance:
    """The audited faces of one roll.

    Built from what makes its key: seed_half is open_half or secret_half of the epoch's seed, epoch is below 2**32,
    roll_number below 2**64, and client_seed is what the players added.
    """

    def __init__(self, seed_half: bytes, epoch: int, roll_number: int, client_seed: str = "") -> None:
        numbers = epoch.to_bytes(4, "big") + roll_number.to_bytes(8, "big")
        self._stream = hashlib.shake_256(seed_half + numbers + _sha256(client_seed.encode()))
        self._bytes = b""
        self._taken = 0

    def draw(self, count: int, faces: int) -> list[int]:
        """Count faces without bias: a value beyond the last whole multiple of faces is thrown away."""
        if faces == 1:
            return [1] * count
        width, limit = _width_and_limit(faces)
        drawn: list[int] = []
        while missing := count - len(drawn):
            drawn += [value % faces + 1 for value in self._values(missing, width) if value < limit]
        return drawn

    def _values(self, count: int, width: int) -> Iterable[int]:
        taken = self._take(count * width)
        if width == 1:
            return taken
        return (int.from_bytes(taken[at : at + width], "big") for at in range(0, len(taken), width))

    def _take(self, count: int) -> bytes:
        start, end = self._taken, self._taken + count
        if end > len(self._bytes):
            # The function answers with a prefix of its stream, so more bytes begin with the earlier ones.
            size = max(_FIRST_BYTES, len(self._bytes))
            while size < end:
                size *= 2
            self._bytes = self._stream.digest(size)
        self._taken = end
        return self._bytes[start:end]


def open_half(seed: bytes) -> bytes:
    """The key of the rolls that everybody sees: 32 bytes."""
    return _sha256(b"ttrpg-dice-open\0" + seed)


def secret_half(seed: bytes) -> bytes:
    """The key of the GM's secret rolls: 32 bytes. Neither half tells anything of the other."""
    return _sha256(b"ttrpg-dice-secret\0" + seed)


def commitment(campaign_id: str, seed: bytes) -> str:
    """What binds a campaign to a seed before its first roll and does not tell it: 64 hexadecimal digits."""
    halves = _sha256(open_half(seed)) + _sha256(secret_half(seed))
    return _sha256(b"ttrpg-dice-v1\0" + campaign_id.encode() + b"\0" + halves).hex()


@lru_cache(maxsize=256)
def _width_and_limit(faces: int) -> tuple[int, int]:
    """Bytes a face takes, and the first value that is thrown away."""
    width = 1 if faces <= 256 else 2 if faces <= 65_536 else 4
    values = 256**width
    return width, values - values % faces


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
