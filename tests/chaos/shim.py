"""The disk that fails on command, as the tests see it: compiled once, armed and read through a shared file."""

import atexit
import errno
import mmap
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum, IntFlag
from functools import cache
from pathlib import Path
from typing import Self

__all__ = ["Calls", "Disk", "Mode", "failing_disk", "missing"]

_LAYOUT = struct.Struct("=iiii6q64s")
_SOURCE = Path(__file__).with_name("shim.c")


class Mode(IntEnum):
    """What happens to a call; the numbers are those of shim.c."""

    OFF = 0
    FAIL = 1
    SHORT = 2
    """Half of the bytes are written, and that is what the program is told; only for writes."""
    KILL = 3
    """The process dies before the call is made."""
    TEAR = 4
    """Half of the bytes are written, and the process dies; only for writes."""


class Calls(IntFlag):
    """Which calls the fault is for."""

    WRITES = 1
    SYNCS = 2


class Disk:
    """The shared control file.

    Attributes:
        environment: What a process needs to stand on this disk.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "control"
        path.write_bytes(bytes(_LAYOUT.size))
        with path.open("r+b") as handle:
            self._memory = mmap.mmap(handle.fileno(), _LAYOUT.size)
        self.environment = {"LD_PRELOAD": str(_library()), "CHAOS_CONTROL": str(path)}

    def watch(self, suffixes: str) -> Self:
        """Count the calls on files whose names end so; suffixes are separated by commas."""
        self._write(Mode.OFF, 0, Calls(0), 1, 0, suffixes)
        return self

    def arm(
        self,
        mode: Mode,
        calls: Calls,
        suffixes: str,
        *,
        error: int = errno.EIO,
        first: int = 1,
        count: int = 0,
    ) -> None:
        """From now on the first-th matching call fails, and so do the next ones: count in all, 0 for ever."""
        self._write(mode, error, calls, first, count, suffixes)

    def lift(self) -> None:
        """The disk is well again; the counters stay."""
        self._memory[0:4] = struct.pack("=i", Mode.OFF)

    @property
    def fired(self) -> int:
        """How many calls the fault touched since it was armed."""
        return self._read(7)

    @property
    def writes(self) -> int:
        """Writes to the watched files."""
        return self._read(8)

    @property
    def syncs(self) -> int:
        """Syncs of the watched files."""
        return self._read(9)

    def _write(self, mode: Mode, error: int, calls: Calls, first: int, count: int, suffixes: str) -> None:
        self._memory[0:4] = struct.pack("=i", Mode.OFF)  # while the rest is changed
        whole = _LAYOUT.pack(mode, error, calls, 0, first, count, 0, 0, self.writes, self.syncs, suffixes.encode())
        self._memory[4:] = whole[4:]
        self._memory[0:4] = whole[:4]

    def _read(self, index: int) -> int:
        return int(_LAYOUT.unpack(self._memory[:])[index])

    def close(self) -> None:
        """Let go of the file."""
        self._memory.close()


@contextmanager
def failing_disk(folder: Path) -> Iterator[Disk]:
    """A disk that works until it is told to fail."""
    folder.mkdir(parents=True, exist_ok=True)
    disk = Disk(folder)
    try:
        yield disk
    finally:
        disk.close()


def missing() -> str:
    """Why there can be no such disk here; empty when there can."""
    if sys.platform != "linux":
        return "the shim is loaded by Linux's dynamic linker"
    if _compiler() is None:
        return "no C compiler (cc) is here"
    return "" if _is_interposed() else "this SQLite does not call the C library through the dynamic linker"


def _compiler() -> str | None:
    return shutil.which("cc")


@cache
def _library() -> Path:
    compiler = _compiler()
    assert compiler is not None
    folder = tempfile.mkdtemp(prefix="chaos-shim-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    library = Path(folder) / "shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-Wall", "-o", library, _SOURCE, "-ldl"], check=True)
    return library


_SYNCED = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("PRAGMA synchronous=FULL")
connection.execute("CREATE TABLE one (one)")
connection.commit()
"""


@cache
def _is_interposed() -> bool:
    """Whether a commit of SQLite is seen at all; a library that is linked in statically would pass by."""
    with tempfile.TemporaryDirectory() as name, failing_disk(Path(name)) as disk:
        disk.watch("probe.db")
        line = [sys.executable, "-c", _SYNCED, str(Path(name) / "probe.db")]
        subprocess.run(line, check=True, env=disk.environment)
        return disk.syncs > 0
