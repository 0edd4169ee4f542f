"""Where files lie. Folders are 0700 and files 0600; nothing that a user typed becomes a path beyond a checked slug."""

import errno
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CampaignFolder", "DataFolder", "create_file", "is_campaign_id", "make_folder", "sync_folder"]

_CAMPAIGN_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,78}[a-z0-9])?")


def is_campaign_id(text: str) -> bool:
    """Whether it may name a folder: 1 to 80 of a-z, 0-9 and inner hyphens."""
    return _CAMPAIGN_ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class CampaignFolder:
    """The folder of one campaign."""

    path: Path

    @property
    def file(self) -> Path:
        """The campaign's database."""
        return self.path / "campaign.db"


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The folder that holds everything."""

    path: Path

    @property
    def server_file(self) -> Path:
        """The server's own database."""
        return self.path / "server.db"

    @property
    def campaigns(self) -> Path:
        """The folder of the campaigns' folders."""
        return self.path / "campaigns"

    def campaign(self, campaign_id: str) -> CampaignFolder:
        """The folder of a campaign. Raises ValueError for an id that is none of ours."""
        if not is_campaign_id(campaign_id):
            raise ValueError(f"not a campaign id: {campaign_id!r}")
        return CampaignFolder(self.campaigns / campaign_id)

    def make(self) -> None:
        """Make the folders that are not there yet."""
        make_folder(self.path)
        make_folder(self.campaigns)

    def has_campaigns(self) -> bool:
        """Whether a campaign's folder is there, registered or not."""
        return self.campaigns.is_dir() and any(path.is_dir() for path in self.campaigns.iterdir())


def make_folder(path: Path) -> None:
    """Make the folder, and those above it, readable by the owner alone; its name is on disk before this returns."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(mode=stat.S_IRWXU, exist_ok=True)
    sync_folder(path.parent)


def create_file(path: Path) -> bool:
    """Make an empty file, 0600, its name on disk before this returns; False when it was there already.

    SQLite gives its side files the mode of the main file, so the main file has to be there first.
    """
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, stat.S_IRUSR | stat.S_IWUSR)
    except FileExistsError:
        return False
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    sync_folder(path.parent)
    return True


def sync_folder(path: Path) -> None:
    """Bring the names in the folder to the disk. Windows has no such call and needs none."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system without fsync for folders
            raise
    finally:
        os.close(handle)
