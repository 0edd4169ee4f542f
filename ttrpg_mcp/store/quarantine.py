"""Where damaged files go: a folder of their own for each finding, moved as they are and never deleted by us."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ttrpg_mcp.play.ports import Json
from ttrpg_mcp.store.folders import make_folder, sync_folder

__all__ = ["Quarantine", "side_files"]

_TIME = "%Y%m%dT%H%M%S.%fZ"
_REPORT = "report.json"


def side_files(file: Path) -> tuple[Path, ...]:
    """The database and what belongs to it: its log, its index of the log, and a journal of a cut-off start."""
    return (file, *(file.with_name(file.name + suffix) for suffix in ("-wal", "-shm", "-journal")))


class Quarantine:
    """The damaged files of one database. The caller holds the database's lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, file: Path, why: str, at: datetime) -> Path:
        """Move the database with its side files here, whichever of them are there; their folder. Raises OSError.

        When there is nothing left to move, since it was moved when it was found, that is the folder.
        """
        unsettled = self.unsettled()
        if unsettled and not any(path.exists() for path in side_files(file)):
            return unsettled[0]
        folder = self._folder / f"{at.astimezone(UTC).strftime(_TIME)}-{why}"
        make_folder(folder)
        for path in side_files(file):
            if path.exists():
                os.replace(path, folder / path.name)
        sync_folder(folder)
        sync_folder(file.parent)
        return folder

    def take_copies(self, folder: Path, kind: str, paths: Sequence[Path]) -> None:
        """Move second copies that are of no use any more beside the damaged file. Raises OSError."""
        if paths:
            make_folder(folder / kind)
            for path in paths:
                os.replace(path, folder / kind / path.name)
            sync_folder(folder / kind)
            sync_folder(paths[0].parent)

    def unsettled(self) -> Sequence[Path]:
        """The folders of findings that were not followed by a restore to its end, newest first."""
        if not self._folder.is_dir():
            return ()
        folders = (path for path in self._folder.iterdir() if path.is_dir() and not (path / _REPORT).exists())
        return sorted(folders, reverse=True)

    def settle(self, report: Json) -> None:
        """Note in every open finding how it ended. Raises OSError."""
        for folder in self.unsettled():
            (folder / _REPORT).write_text(json.dumps(report, indent=2), "utf-8")
