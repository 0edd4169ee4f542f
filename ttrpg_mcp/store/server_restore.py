"""Building the server's own file anew: from its newest sound backup, and from the folders of the campaigns."""

import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

from ttrpg_mcp.play.errors import StoreCorrupt, StoreError
from ttrpg_mcp.store.backups import BackupFolder
from ttrpg_mcp.store.connection import Connection, Row
from ttrpg_mcp.store.errors import SERVER_COMPARTMENT
from ttrpg_mcp.store.folders import create_file, is_campaign_id, make_folder, sync_folder
from ttrpg_mcp.store.migrations import SERVER_SCHEMA
from ttrpg_mcp.store.quarantine import Quarantine
from ttrpg_mcp.store.registry import list_again
from ttrpg_mcp.store.reports import RestoreReport
from ttrpg_mcp.store.restore import sync_file
from ttrpg_mcp.store.soundness import require_sound

__all__ = ["ServerRestore"]

_logger = logging.getLogger(__name__)

_CAMPAIGN = """
SELECT campaign_id, name, system, status, lineage, head_seq, created_at_ms FROM campaign
WHERE campaign_id = :campaign_id
"""


class ServerRestore:
    """One restore of the server's file. The caller holds its lock and has no connection to it."""

    def __init__(self, file: Path, backups: BackupFolder, quarantine: Quarantine) -> None:
        self._file = file
        self._backups = backups
        self._quarantine = quarantine
        self._work = file.with_name("restoring")
        self._passed_over: list[str] = []

    def run(self, found: str, at: datetime, before_exchange: Callable[[], None]) -> RestoreReport:
        """Build the file and put it in its place; before_exchange is called when that begins.

        Raises StoreCorrupt when there is nothing to build it from, and OSError; then everything is as it was.
        """
        shutil.rmtree(self._work, ignore_errors=True)
        make_folder(self._work)
        try:
            used = self._begin()
            listed = self._list_campaigns()
            if not listed and not self._backups.all():
                # Somebody else's file, perhaps: an empty one of ours in its place would help nobody.
                raise StoreCorrupt(SERVER_COMPARTMENT, f"{found}; there is neither a backup nor a campaign")
            sync_file(self._target)
            before_exchange()
            folder = self._quarantine.take(self._file, "damaged" if self._file.exists() else "missing", at)
            os.replace(self._target, self._file)
            sync_folder(self._file.parent)
        finally:
            shutil.rmtree(self._work, ignore_errors=True)
        report = RestoreReport(
            SERVER_COMPARTMENT,
            found,
            used,
            0,
            passed_over=tuple(self._passed_over),
            folder=str(folder.relative_to(self._file.parent)),
            listed=tuple(listed),
        )
        self._quarantine.settle(report.as_json())
        _logger.warning("%s", " ".join(report.sentences()))
        return report

    @property
    def _target(self) -> Path:
        return self._work / "server.db"

    def _begin(self) -> str:
        """Put the newest sound backup into the work folder, or an empty file; which one it was."""
        for backup in self._backups.all():
            self._target.unlink(missing_ok=True)
            create_file(self._target)
            shutil.copyfile(backup.path, self._target)
            try:
                self._bring_up_to_date()
            except (sqlite3.Error, StoreError) as error:
                self._passed_over.append(f"{backup.path.name}: {getattr(error, 'detail', '') or error}")
            else:
                return f"the backup of {backup.made_at:%Y-%m-%d %H:%M} UTC"
        self._target.unlink(missing_ok=True)
        create_file(self._target)
        self._bring_up_to_date()
        return "the campaigns' folders alone"

    def _bring_up_to_date(self) -> None:
        with closing(_opened(self._target)) as raw:
            raw.execute("PRAGMA journal_mode=DELETE")
            require_sound(Connection(raw), SERVER_COMPARTMENT)
            SERVER_SCHEMA.migrate(Connection(raw), SERVER_COMPARTMENT)

    def _list_campaigns(self) -> list[str]:
        """List every campaign that has a folder; their ids."""
        with closing(_opened(self._target)) as raw:
            connection = Connection(raw)
            connection.run("BEGIN IMMEDIATE")
            ids = [row["campaign_id"] for row in self._campaigns() if list_again(connection, row)]
            connection.run("COMMIT")
        return ids

    def _campaigns(self) -> Iterator[Row]:
        """The own row of every campaign, out of its file, or else out of one of its backups."""
        folder = self._file.with_name("campaigns")
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.is_dir() and is_campaign_id(path.name):
                row = _own_row(path)
                if row is None:
                    _logger.error("the folder %s holds nothing that tells its campaign", path.name)
                else:
                    yield row


def _own_row(folder: Path) -> Row | None:
    backups = sorted((folder / "backups").glob("*.db"), reverse=True)
    for file in (folder / "campaign.db", *backups):
        if file.is_file() and file.stat().st_size:
            with suppress(sqlite3.Error), closing(_opened(file, mode="ro")) as raw:
                row = Connection(raw).one(_CAMPAIGN, campaign_id=folder.name)
                if row is not None:
                    return row
    return None


def _opened(path: Path, mode: str = "rw") -> sqlite3.Connection:
    raw = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)
    raw.row_factory = sqlite3.Row
    return raw
