"""Whole copies of a database in a folder beside it, each opened and checked before it counts as one."""

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, TypeAlias

from ttrpg_mcp.store.connection import Connection
from ttrpg_mcp.store.folders import create_file, make_folder, sync_folder
from ttrpg_mcp.store.soundness import head_of, require_sound

__all__ = ["BACKUP_INTERVAL", "Backup", "BackupFolder", "BackupReason"]

BackupReason: TypeAlias = Literal["created", "close", "daily", "migration", "journal", "restored", "asked"]

BACKUP_INTERVAL = timedelta(days=1)
_DAYS_KEPT = 7
_WEEKS_KEPT = 4
_ALWAYS_KEPT = 2  # the newest
_TIME = "%Y%m%dT%H%M%S.%fZ"
_UNFINISHED = ".part"
_ABANDONED_AFTER_S = 3600


@dataclass(frozen=True, slots=True)
class Backup:
    """One copy, as its name tells.

    Attributes:
        seq: The newest change that it has; 0 for the server's own file.
    """

    path: Path
    made_at: datetime
    seq: int
    why: str


class BackupFolder:
    """The backups of one database."""

    def __init__(self, compartment: str, file: Path, folder: Path) -> None:
        self._compartment = compartment
        self._file = file
        self._folder = folder

    def all(self) -> Sequence[Backup]:
        """Every backup, newest first. Raises OSError."""
        if not self._folder.is_dir():
            return ()
        found = (_parsed(path) for path in self._folder.iterdir())
        return sorted((backup for backup in found if backup), key=lambda backup: backup.path.name, reverse=True)

    def make(self, why: BackupReason, at: datetime) -> Backup:
        """Copy the database as it is now, check the copy and bring it to the disk; then drop the backups too many.

        Anybody may read and write meanwhile. Raises sqlite3.Error, OSError and StoreCorrupt; then there is no new one.
        """
        make_folder(self._folder)
        part = self._folder / f"{at.astimezone(UTC).strftime(_TIME)}-{os.getpid()}{_UNFINISHED}"
        try:
            seq = self._copy(part)
            backup = Backup(part.with_name(f"{part.name.split('-')[0]}-{seq:010d}-{why}.db"), at, seq, why)
            part.rename(backup.path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        sync_folder(self._folder)
        self._prune(at)
        return backup

    def _copy(self, part: Path) -> int:
        """Make the copy; the `seq` of its newest change."""
        create_file(part)  # VACUUM INTO would make it readable for all
        with closing(sqlite3.connect(f"{self._file.absolute().as_uri()}?mode=ro", uri=True)) as raw:
            raw.execute("VACUUM INTO ?", (str(part),))
        _sync(part)
        with closing(sqlite3.connect(f"{part.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as raw:
            raw.row_factory = sqlite3.Row
            require_sound(Connection(raw), self._compartment)
            return head_of(Connection(raw), self._compartment)

    def _prune(self, at: datetime) -> None:
        """Delete what the rules of retention do not keep, and what a kill left half made."""
        backups = self.all()
        kept = {backup.path for backup in _kept(backups)}
        for backup in backups:
            if backup.path not in kept:
                backup.path.unlink(missing_ok=True)
        for path in self._folder.glob(f"*{_UNFINISHED}"):
            if at.timestamp() - path.stat().st_mtime > _ABANDONED_AFTER_S:  # else another server is at it
                path.unlink(missing_ok=True)


def _kept(backups: Sequence[Backup]) -> Iterable[Backup]:
    """The newest two, those before migrations, and the newest of each of 7 days and 4 weeks; newest first."""
    yield from backups[:_ALWAYS_KEPT]
    yield from (backup for backup in backups if backup.why == "migration")
    days: dict[object, Backup] = {}
    weeks: dict[object, Backup] = {}
    for backup in backups:
        days.setdefault(backup.made_at.date(), backup)
        weeks.setdefault(backup.made_at.isocalendar()[:2], backup)
    # Counted, not measured from now: a clock that jumps deletes nothing.
    yield from list(days.values())[:_DAYS_KEPT]
    yield from list(weeks.values())[:_WEEKS_KEPT]


def _parsed(path: Path) -> Backup | None:
    """What the name tells, or None for another file."""
    parts = path.stem.split("-")
    if path.suffix != ".db" or len(parts) != 3:
        return None
    try:
        made_at = datetime.strptime(parts[0], _TIME).replace(tzinfo=UTC)
        return Backup(path, made_at, int(parts[1]), parts[2])
    except ValueError:
        return None


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
