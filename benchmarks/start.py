"""Cold start to an answered tools/list over stdio, and the memory afterwards."""

import compileall
import math
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.peers import StdioLink, bare_command, our_command, start
from benchmarks.table import Row
from benchmarks.timing import Burst, Cost, least, rounds
from benchmarks.wire import ERAS, Era

__all__ = ["measure"]

_ROOT = Path(__file__).parent.parent
_SETTLED_S = 0.5


async def measure(folder: Path, *, quick: bool) -> list[Row]:
    """Each start is a new process; ours finds a data folder with one campaign, as nearly every start does."""
    for package in ("ttrpg_mcp", "benchmarks"):
        compileall.compile_dir(_ROOT / package, quiet=2)
    rows = []
    for era in ERAS:
        data = _used_folder(folder)
        subjects: dict[str, Burst] = {
            "ours": lambda data=data, era=era: _start(our_command(data), era),  # type: ignore[misc]
            "bare": lambda era=era: _start(bare_command(), era),  # type: ignore[misc]
        }
        costs = await rounds(3 if quick else 9, subjects)
        wall, cpu = least(costs, "ours", "bare")
        rows += [
            Row("start", f"tools/list answered, {era}: wall / bare", wall, 1.25),
            Row("start", f"tools/list answered, {era}: CPU / bare", cpu, 1.25),
        ]
    return [*rows, _memory(folder, 2 if quick else 3)]


def _used_folder(folder: Path) -> Path:
    data = Path(tempfile.mkdtemp(dir=folder))
    with start(our_command(data)) as process:
        link = StdioLink(process, "2026-07-28")
        link.call("dice_roll", {"expression": "1d20+5"})
    return data


async def _start(command: list[str], era: Era) -> Cost:
    """One start; killed at the answer, so that the CPU time is that of the start alone."""
    began = time.perf_counter()
    with start(command) as process:
        link = StdioLink(process, era)
        link.open()
        if not link.ask("tools/list")["tools"]:
            raise RuntimeError("a server without tools")
        wall = time.perf_counter() - began
        return Cost(wall, link.cpu_s())


def _memory(folder: Path, count: int) -> Row:
    data = _used_folder(folder)
    pairs = []
    for _ in range(count):
        ours = _resident(our_command(data), lambda link: link.call("status_show", {}))
        bare = _resident(bare_command(), lambda link: link.call("echo", {"text": "here"}))
        pairs.append(ours / bare)
    value = statistics.median(pairs)
    note = "" if not math.isnan(value) else "not told by this system"
    return Row("start", "resident memory after the first answered call / bare", value, 1.5, note=note)


def _resident(command: list[str], first_call: Callable[[StdioLink], object]) -> float:
    """KiB; nan where /proc does not tell."""
    with start(command) as process:
        link = StdioLink(process, "2026-07-28")
        first_call(link)
        time.sleep(_SETTLED_S)
        if sys.platform != "linux":
            return math.nan
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
    return float(found[1]) if found else math.nan
