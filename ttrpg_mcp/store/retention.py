"""Which checkpoints stay: many of the last minutes, few of long ago, and every one that somebody asked for."""

from collections.abc import Iterable, Iterator, Sequence

from ttrpg_mcp.play.ports import CheckpointEntry

__all__ = ["MOST_BLOB_BYTES", "next_to_go", "superseded"]

MOST_BLOB_BYTES = 64 * 1024 * 1024  # of one campaign, compressed

_MINUTE_MS = 60_000
_DAY_MS = 24 * 60 * _MINUTE_MS
_ALL_MS = 10 * _MINUTE_MS  # so long all automatic ones stay
_SLOT_MS = 10 * _MINUTE_MS  # then one of each of these, for a day
_DAILY_MS = 30 * _DAY_MS  # then one of each day
_FEWEST_SOUND = 3
_MOST_SAFETY = 20
_AUTOMATIC = frozenset({"auto", "turn"})


def superseded(entries: Sequence[CheckpointEntry], now_ms: int) -> list[str]:
    """The ids that can be let go. `entries`: all checkpoints, newest first by `seq`.

    Unsound ones stay until somebody looks at them; those of sessions and named ones until they are deleted. A time in
    the future counts as now, so a clock that was wrong for a while costs nothing.
    """
    sound = [entry for entry in entries if entry.status == "valid"]
    safety = [entry for entry in sound if entry.kind == "safety"]
    stay = {entry.id for entry in (*sound[:_FEWEST_SOUND], *safety[:_MOST_SAFETY])}
    stay |= {entry.id for entry in sound if entry.kind in {"named", "session"}}
    stay |= {entry.id for entry in _in_tiers((entry for entry in sound if entry.kind in _AUTOMATIC), now_ms)}
    return [entry.id for entry in sound if entry.id not in stay]


def next_to_go(entries: Sequence[CheckpointEntry]) -> str | None:
    """The id that goes first where room is short: the oldest automatic one, else the oldest safety one, or none."""
    sound = [entry for entry in entries if entry.status == "valid"][_FEWEST_SOUND:]
    automatic = [entry.id for entry in sound if entry.kind in _AUTOMATIC]
    safety = [entry.id for entry in sound if entry.kind == "safety"]
    return next(reversed(automatic or safety), None)


def _in_tiers(entries: Iterable[CheckpointEntry], now_ms: int) -> Iterator[CheckpointEntry]:
    """The newest of every slot of time."""
    filled: set[tuple[int, int]] = set()
    for entry in entries:
        age_ms = now_ms - entry.created_at_ms
        if age_ms <= _ALL_MS:
            yield entry
        elif age_ms <= _DAILY_MS:
            length_ms = _SLOT_MS if age_ms <= _DAY_MS else _DAY_MS
            slot = (length_ms, entry.created_at_ms // length_ms)
            if slot not in filled:
                filled.add(slot)
                yield entry
