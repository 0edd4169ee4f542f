"""Everything that is kept beside one database to make up for its loss: journal, backups, and what was set aside."""

import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ttrpg_mcp.play.errors import StoreCorrupt
from ttrpg_mcp.store.backups import BACKUP_INTERVAL, Backup, BackupFolder, BackupReason
from ttrpg_mcp.store.connection import Connection
from ttrpg_mcp.store.damage import KnownHead, is_without_campaign, look_into
from ttrpg_mcp.store.folders import create_file
from ttrpg_mcp.store.identity import was_cut_off
from ttrpg_mcp.store.journal import MOST_JOURNAL_BYTES, Journal
from ttrpg_mcp.store.locks import FileLock
from ttrpg_mcp.store.migrations import CAMPAIGN_SCHEMA, Schema
from ttrpg_mcp.store.quarantine import Quarantine
from ttrpg_mcp.store.reports import RestoreReport
from ttrpg_mcp.store.restore import CampaignRestore
from ttrpg_mcp.store.server_restore import ServerRestore

__all__ = ["Keeping", "Opening", "Prepared"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opening:
    """How a file is to be opened.

    Attributes:
        is_new: The file may be made, and what an earlier attempt at that left may be completed.
        known: How far the campaign had come, as the registry says.
        at: The time of day, for names.
        seed: 32 bytes, used when a restore has to begin another epoch of rolls.
    """

    at: datetime
    seed: bytes
    is_new: bool = False
    known: tuple[KnownHead, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file that may be opened.

    Attributes:
        at: The time of day when it was prepared.
        is_new: It holds nothing yet, so there is nothing to copy before its tables are made.
        report: None unless it was restored.
    """

    at: datetime
    is_new: bool = False
    was_clean: bool = True
    report: RestoreReport | None = None


class Keeping:
    """What is kept beside one database. The server's own file has no journal."""

    def __init__(self, compartment: str, file: Path, schema: Schema) -> None:
        self._compartment = compartment
        self._file = file
        self._schema = schema
        self._quarantine = Quarantine(file.with_name("quarantine"))
        self.backups = BackupFolder(compartment, file, file.with_name("backups"))
        self.journal = Journal(compartment, file.with_name("journal")) if schema is CAMPAIGN_SCHEMA else None
        self._newest: Backup | None = None

    def prepare(self, opening: Opening, lock: FileLock) -> Prepared:
        """Make the file, or make sure that it is sound, or restore it; the caller holds the lock.

        Raises StoreCorrupt, SchemaTooNew and OSError.
        """
        journal_head = self._journal_head()
        self._newest = next(iter(self.backups.all()), None)
        may_make = opening.is_new and not journal_head and self._newest is None
        if may_make and self._make():
            return Prepared(opening.at, is_new=True)
        known = (*opening.known, KnownHead(journal_head), KnownHead(self._newest.seq if self._newest else 0))
        try:
            found = look_into(self._file, self._schema, self._compartment, known)
        except StoreCorrupt as damage:
            _logger.exception("%s is damaged", self._file.name, extra={"compartment": self._compartment})
            report = self._restored(damage.detail, max(head.seq for head in known), opening, lock)
            return Prepared(opening.at, report=report)
        self._quarantine.settle({"settled_by": "a file that is sound", "head_seq": found.head_seq})
        return Prepared(opening.at, was_clean=found.was_clean)

    def _make(self) -> bool:
        """Make the file, or go on with one whose making was cut off before its first row."""
        if create_file(self._file) or was_cut_off(self._file):
            return True
        return self._schema is CAMPAIGN_SCHEMA and is_without_campaign(self._file, self._compartment)

    def top_up(self, connection: Connection) -> None:
        """Bring the journal up to the tables; the caller holds the lock."""
        if self.journal is not None:
            self.journal.top_up(connection, self._second_seq())

    def back_up(self, why: BackupReason, at: datetime) -> Backup:
        """Make a backup, and let the journal begin a new file. Raises sqlite3.Error, OSError and StoreCorrupt."""
        backup = self._newest = self.backups.make(why, at)
        if self.journal is not None:
            self.journal.begin_file()
            self.journal.prune(self._second_seq())
        return backup

    def _second_seq(self) -> int:
        """What the newest backup but one has: the journal tells the rest, so that any one of the two is enough."""
        return next((backup.seq for backup in self.backups.all()[1:2]), 0)

    def backup_due(self, head_seq: int, at: datetime) -> BackupReason | None:
        """Why a backup is due, if it is; from memory."""
        if self._newest is None:
            return "created"
        if self.journal is not None and self.journal.size > MOST_JOURNAL_BYTES:
            return "journal"
        has_changed = self.journal is None or head_seq > self._newest.seq
        return "daily" if has_changed and at - self._newest.made_at >= BACKUP_INTERVAL else None

    def is_backed_up(self, head_seq: int) -> bool:
        """Whether the newest backup has everything."""
        return self._newest is not None and self._newest.seq >= head_seq

    def set_aside(self, at: datetime, lock: FileLock) -> None:
        """Move away a file that was found damaged in use, so that closing it changes nothing more; under the lock.

        The next opening finds it missing and restores it, with this one as a source. Raises OSError.
        """
        lock.start_generation()
        self._quarantine.take(self._file, "damaged", at)

    def _journal_head(self) -> int:
        if self.journal is None:
            return 0
        self.journal.cut_torn_line()
        return self.journal.head()

    def _restored(self, found: str, known_seq: int, opening: Opening, lock: FileLock) -> RestoreReport:
        if self._schema is CAMPAIGN_SCHEMA:
            restore = CampaignRestore(self._compartment, self._file, self.backups, self._quarantine)
            report = restore.run(found, known_seq, opening.at, opening.seed, lock.start_generation)
        else:
            server = ServerRestore(self._file, self.backups, self._quarantine)
            report = server.run(found, opening.at, lock.start_generation)
        self._newest = None  # the next backup is due at once
        return report
