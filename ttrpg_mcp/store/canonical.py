"""JSON in its one canonical form: sorted keys, no blanks, real letters; equal values give equal text."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["canonical_json"]

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """The value as canonical JSON text. Raises TypeError for what JSON cannot say, ValueError for NaN."""
    return _ENCODER.encode(value)
