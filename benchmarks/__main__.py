"""`python -m benchmarks`: one table of ratios, all measured in this run."""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import anyio

from benchmarks import calls, dice, policies, start, store
from benchmarks.table import Row, as_data, show

_Family = Callable[[Path, bool], Awaitable[list[Row]]]

_FAMILIES: Mapping[str, _Family] = {
    "start": lambda folder, quick: start.measure(folder, quick=quick),
    "calls": lambda folder, quick: calls.measure(folder, quick=quick),
    "store": lambda folder, quick: store.measure(folder, quick=quick),
    "policies": lambda _, quick: policies.measure(quick=quick),
    "dice": lambda _, quick: dice.measure(quick=quick),
}


def main() -> None:
    """Measure, print, and write the file that was asked for."""
    options = _options()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ttrpg-mcp-bench-", dir=options.folder) as folder:
        rows = anyio.run(_measure, Path(folder), options.only or list(_FAMILIES), options.quick)
    show(rows)
    load = f", load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors" if hasattr(os, "getloadavg") else ""
    print(f"\nPython {platform.python_version()}, {time.monotonic() - began:.0f} s{load}")
    if options.json:
        options.json.write_text(json.dumps(as_data(rows), indent=1) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", choices=[[], *_FAMILIES], metavar="family", help=", ".join(_FAMILIES))
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows there")
    parser.add_argument("--folder", type=Path, help="where to write while measuring: a real disk, not one in memory")
    return parser.parse_args()


async def _measure(folder: Path, names: list[str], quick: bool) -> list[Row]:
    return [row for name in names for row in await _FAMILIES[name](folder, quick)]


if __name__ == "__main__":
    main()
