"""Refusing impossible options when they are made, and reading options from plain mappings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

__all__ = ["read_options", "require_count", "require_seconds", "require_share"]

T = TypeVar("T")


def require_count(name: str, value: int, *, at_least: int = 1) -> None:
    """Refuse what is not a whole number of at least at_least.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise ValueError(f"{name} must be a whole number of at least {at_least}, not {value!r}")


def require_seconds(name: str, value: float, *, at_least: float = 0.0, above: float | None = None) -> None:
    """Refuse what is not a finite number of at least at_least and, if given, greater than above.

    Raises:
        ValueError: it is not.
    """
    _require_number(name, value)
    if value < at_least or (above is not None and value <= above):
        bound = f"above {above:g}" if above is not None else f"at least {at_least:g}"
        raise ValueError(f"{name} must be {bound}, not {value!r}")


def require_share(name: str, value: float) -> None:
    """Refuse what is not a number above 0 and at most 1.

    Raises:
        ValueError: it is not.
    """
    _require_number(name, value)
    if not 0 < value <= 1:
        raise ValueError(f"{name} must be above 0 and at most 1, not {value!r}")


def read_options(kind: type[T], raw: Mapping[str, Any], plain: Mapping[str, str], in_ms: Mapping[str, str]) -> T:
    """Options of this dataclass out of a mapping.

    Its own field names are taken as they are. Keys of plain are other spellings of a field, and keys of in_ms name
    fields in seconds by their value in milliseconds.

    Raises:
        ValueError: a key is unknown, names a field a second time, or has an impossible value.
    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # T is always a dataclass here
    options: dict[str, Any] = {}
    for key, value in raw.items():
        name = plain.get(key) or in_ms.get(key) or key
        if name not in known:
            raise ValueError(f"unknown option {key!r}")
        if name in options:
            raise ValueError(f"option {key!r} sets {name} a second time")
        options[name] = _seconds(key, value) if key in in_ms else value
    return kind(**options)


def _seconds(key: str, value_ms: float) -> float:
    _require_number(key, value_ms)
    return value_ms / 1000


def _require_number(name: str, value: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, not {value!r}")
