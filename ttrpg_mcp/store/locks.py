"""The lock of one file between the programs of this machine.

It is held for one batch or one checkpoint, never for the life of a process, and the kernel frees it when its holder is
killed. Two lock files make it fair: whoever wants `.lock` takes `.turn` first and keeps it while waiting, so that a
busy server, which needs the turn again for its next batch, cannot starve another.
"""

import os
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ttrpg_mcp.play.errors import StoreBusy
from ttrpg_mcp.recovery.clock import Clock

__all__ = ["LOCK_LIMIT_S", "FileLock"]

LOCK_LIMIT_S = 2.0
_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.020

if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> bool:
        os.lseek(handle, 0, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(handle: int) -> None:
        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)


class FileLock:
    """The lock beside one database file; its two files are opened once and kept until close."""

    def __init__(self, compartment: str, database: Path, clock: Clock) -> None:
        self._compartment = compartment
        self._clock = clock
        self._turn = _open(database.with_suffix(".turn"))
        try:
            self._lock = _open(database.with_suffix(".lock"))
        except BaseException:
            os.close(self._turn)
            raise
        self._is_open = True

    @asynccontextmanager
    async def held(self, limit_s: float = LOCK_LIMIT_S) -> AsyncIterator[None]:
        """Hold the lock inside. Raises StoreBusy when it cannot be had within limit_s."""
        await self._acquire(limit_s)
        try:
            yield
        finally:
            _unlock(self._lock)

    async def _acquire(self, limit_s: float) -> None:
        ends_at = self._clock.monotonic() + limit_s
        await self._take(self._turn, ends_at)
        try:
            await self._take(self._lock, ends_at)
        finally:
            _unlock(self._turn)

    async def _take(self, handle: int, ends_at: float) -> None:
        pause_s = _FIRST_PAUSE_S
        while not _try_lock(handle):
            if self._clock.monotonic() >= ends_at:
                raise StoreBusy(self._compartment, "the operating system's lock is held by another program")
            await self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def close(self) -> None:
        """Give up both files; twice is fine."""
        if self._is_open:
            self._is_open = False
            os.close(self._turn)
            os.close(self._lock)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), stat.S_IRUSR | stat.S_IWUSR)
