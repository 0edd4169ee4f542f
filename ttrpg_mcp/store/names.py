"""Names as they are compared: case, doubled blanks and the encoding of accents do not matter."""

import unicodedata
from collections.abc import Callable
from itertools import count

__all__ = ["free_name", "name_key"]


def name_key(name: str) -> str:
    """The name in NFC, casefolded, with single blanks.

    >>> name_key("  The  LOST Mine ")
    'the lost mine'
    """
    composed = unicodedata.normalize("NFC", name)
    return unicodedata.normalize("NFC", " ".join(composed.split()).casefold())


def free_name(name: str, is_taken: Callable[[str], bool]) -> str:
    """The name with the lowest number from 2 that nobody has; is_taken gets a name key."""
    numbered = (f"{name} {number}" for number in count(2))
    return next(candidate for candidate in numbered if not is_taken(name_key(candidate)))
