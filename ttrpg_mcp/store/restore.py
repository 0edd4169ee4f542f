"""Building a campaign's file anew from what is left: the copy that reaches farthest, and the logs after it.

Nothing of the damaged file is changed: its copies are read, and it is moved aside only when its successor is whole and
on the disk. A kill at any point leaves the old finding or the new file.
"""

import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ttrpg_mcp.play.errors import StoreCorrupt, StoreError
from ttrpg_mcp.store.backups import BackupFolder
from ttrpg_mcp.store.connection import Connection
from ttrpg_mcp.store.folders import create_file, make_folder, sync_folder
from ttrpg_mcp.store.journal import journal_files, read_journal
from ttrpg_mcp.store.migrations import CAMPAIGN_SCHEMA
from ttrpg_mcp.store.quarantine import Quarantine
from ttrpg_mcp.store.replay import Loss, begin_lineage, replay, stop_what_waits
from ttrpg_mcp.store.reports import RestoreReport
from ttrpg_mcp.store.salvage import SavedRows, salvaged
from ttrpg_mcp.store.soundness import head_of, require_sound

__all__ = ["CampaignRestore", "sync_file"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Base:
    """A sound copy to begin with.

    Attributes:
        path: None for an empty file.
        is_itself: It is the damaged file, which is sound as far as it goes.
        reach: How far the saved rows bring it.
    """

    label: str
    path: Path | None
    head: int
    reach: int
    is_itself: bool = False


class CampaignRestore:
    """One restore of one campaign. The caller holds the file's lock and has no connection to it."""

    def __init__(self, campaign_id: str, file: Path, backups: BackupFolder, quarantine: Quarantine) -> None:
        self._campaign_id = campaign_id
        self._file = file
        self._backups = backups
        self._quarantine = quarantine
        self._journal = file.with_name("journal")
        self._work = file.with_name("restoring")
        self._passed_over: list[str] = []
        self._unsound: list[Path] = []

    def run(
        self, found: str, known_seq: int, at: datetime, seed: bytes, before_exchange: Callable[[], None]
    ) -> RestoreReport:
        """Build the file and put it in its place; before_exchange is called when that begins.

        Raises StoreCorrupt when nothing can be built, and OSError; then everything is as it was.
        """
        shutil.rmtree(self._work, ignore_errors=True)
        make_folder(self._work)
        try:
            copies = list(self._copies())
            rows = self._saved_rows(copies)
            report = self._built(copies, rows, RestoreReport(self._campaign_id, found, "", 0), known_seq, (at, seed))
            before_exchange()
            report = self._exchange(report, at)
        finally:
            shutil.rmtree(self._work, ignore_errors=True)
        _logger.warning("%s", " ".join(report.sentences()), extra={"campaign": self._campaign_id})
        return report

    @property
    def _target(self) -> Path:
        return self._work / "campaign.db"

    def _copies(self) -> Iterator[Path]:
        """Copies of the damaged file, and of those of findings not followed up: nobody opens the originals."""
        unsettled = (folder / self._file.name for folder in self._quarantine.unsettled())
        for number, file in enumerate((self._file, *unsettled)):
            if file.is_file() and file.stat().st_size:
                copy = self._work / f"damaged-{number}.db"
                _copy(file, copy)
                yield copy

    def _saved_rows(self, copies: Sequence[Path]) -> SavedRows:
        rows = SavedRows()
        rows.add_batches(read_journal(self._journal))
        for folder in self._quarantine.unsettled():
            rows.add_batches(read_journal(folder / "journal"))
        for copy in copies:
            with suppress(sqlite3.Error), closing(_opened(copy)) as raw:
                rows.add_salvaged(salvaged(Connection(raw), self._campaign_id))
        return rows

    def _bases(self, copies: Sequence[Path], rows: SavedRows) -> list[_Base]:
        """Everything to begin with, what reaches farthest first; of equals the nearest to the damaged file."""
        bases = []
        for copy in copies:
            with suppress(sqlite3.Error, StoreError):
                head = self._head_of(copy)
                label = "the file itself, which is sound as far as it goes"
                bases.append(_Base(label, copy, head, rows.reach(head), is_itself=True))
        for backup in self._backups.all():
            label = f"the backup of {backup.made_at:%Y-%m-%d %H:%M} UTC"
            bases.append(_Base(label, backup.path, backup.seq, rows.reach(backup.seq)))
        bases.append(_Base("the journal alone", None, 0, rows.reach(0)))
        return sorted((base for base in bases if base.reach), key=lambda base: -base.reach)

    def _built(
        self,
        copies: Sequence[Path],
        rows: SavedRows,
        report: RestoreReport,
        known_seq: int,
        chance: tuple[datetime, bytes],
    ) -> RestoreReport:
        """The best file that can be built, in the work folder. Raises StoreCorrupt."""
        bases = self._bases(copies, rows)
        known_seq = max((known_seq, rows.head, *(base.reach for base in bases)))
        for base in bases:
            missing = ((base.reach + 1, known_seq),) if base.reach < known_seq else ()
            draft = replace(report, used=_used(base), kept_seq=base.reach, missing=missing)
            try:
                stopped = self._build(base, rows, draft, chance)
            except (sqlite3.Error, StoreError, ValueError) as error:
                self._pass_over(base, error)
            else:
                return replace(draft, stopped=stopped, passed_over=tuple(self._passed_over))
        reasons = "; ".join(self._passed_over) or "there is neither backup nor journal"
        raise StoreCorrupt(self._campaign_id, f"{report.found}; nothing to restore it from: {reasons}")

    def _pass_over(self, base: _Base, error: Exception) -> None:
        detail = getattr(error, "detail", "") or str(error)
        self._passed_over.append(f"{base.label}: {detail}")
        if base.path is not None and not base.is_itself:
            self._unsound.append(base.path)

    def _build(self, base: _Base, rows: SavedRows, report: RestoreReport, chance: tuple[datetime, bytes]) -> int:
        """Build the file from that base; how many waiting things of it were stopped. Raises what goes wrong."""
        self._target.unlink(missing_ok=True)
        create_file(self._target)
        if base.path is not None:
            _copy(base.path, self._target)
        with closing(_opened(self._target)) as raw:
            connection = Connection(raw)
            connection.one("PRAGMA journal_mode=DELETE")
            if base.path is not None:
                self._require(connection, base.head)
            CAMPAIGN_SCHEMA.migrate(connection, self._campaign_id)
            connection.run("BEGIN IMMEDIATE")
            replay(connection, self._campaign_id, rows, base.head, base.reach)
            stopped = 0 if base.is_itself else stop_what_waits(connection)
            if report.missing:
                loss = Loss(f"{report.missing[0][0]} to {report.missing[0][1]}", seed=chance[1], at=chance[0])
                begin_lineage(connection, self._campaign_id, loss)
            connection.run("COMMIT")
            require_sound(connection, self._campaign_id)
        sync_file(self._target)
        return stopped

    def _require(self, connection: Connection, head: int) -> None:
        require_sound(connection, self._campaign_id)
        if head_of(connection, self._campaign_id) != head:
            raise StoreCorrupt(self._campaign_id, "it has other changes than its name says")

    def _head_of(self, copy: Path) -> int:
        with closing(_opened(copy)) as raw:
            require_sound(Connection(raw), self._campaign_id)
            return head_of(Connection(raw), self._campaign_id)

    def _exchange(self, report: RestoreReport, at: datetime) -> RestoreReport:
        """Move the damaged file away and its successor in."""
        folder = self._quarantine.take(self._file, "damaged" if self._file.exists() else "missing", at)
        report = replace(report, folder=str(folder.relative_to(self._file.parent)))
        self._quarantine.take_copies(folder, "backups", self._unsound)
        if report.missing:
            # What the journal tells after the gap belongs to a story that did not go on.
            self._quarantine.take_copies(folder, "journal", journal_files(self._journal))
        os.replace(self._target, self._file)
        sync_folder(self._file.parent)
        self._quarantine.settle(report.as_json())
        return report


def sync_file(path: Path) -> None:
    """Bring a file that nobody has open to the disk."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _used(base: _Base) -> str:
    added = base.reach - base.head
    return base.label if not added or base.path is None else f"{base.label}, and {added} saved changes after it"


def _copy(source: Path, copy: Path) -> None:
    """Copy a database with its log, which is read into the copy when that is opened."""
    shutil.copyfile(source, copy)
    log = source.with_name(source.name + "-wal")
    if log.is_file():
        shutil.copyfile(log, copy.with_name(copy.name + "-wal"))


def _opened(path: Path) -> sqlite3.Connection:
    raw = sqlite3.connect(path, isolation_level=None)
    raw.row_factory = sqlite3.Row
    return raw
