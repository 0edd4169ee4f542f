"""Run the rows and print what came out: `python -m tests.conformance [ROW ...]`. Ends with 1 when a line fails."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.conformance.kit import Kit, KitMissing, install
from tests.conformance.rows import ROWS, Bench, Finding, findings_of

__all__ = ["main"]


def main() -> int:
    """Run the chosen rows, all of them by default; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description="The protocol's conformance rows.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"some of {' '.join(ROWS)}; all when none is named")
    chosen: list[str] = parser.parse_args().rows or list(ROWS)
    if unknown := [row for row in chosen if row not in ROWS]:
        parser.error(f"there is no row {unknown[0]}; the rows are {', '.join(ROWS)}")
    try:
        kit = install()
    except KitMissing as error:
        print(error, file=sys.stderr)
        return 1
    return _run(kit, chosen)


def _run(kit: Kit, rows: Sequence[str]) -> int:
    began_at = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as folder:
        findings = [_shown(finding) for row in rows for finding in findings_of(row, Bench(kit, Path(folder)))]
    failed = sum(1 for finding in findings if not finding.is_good)
    print(f"{len(findings) - failed} of {len(findings)} hold; {time.monotonic() - began_at:.0f} s")
    return 1 if failed else 0


def _shown(finding: Finding) -> Finding:
    """Print the line at once, since a row may take half a minute."""
    print(f"{'ok  ' if finding.is_good else 'FAIL'} {finding.row}  {finding.what:<40} {finding.result}", flush=True)
    return finding


if __name__ == "__main__":
    sys.exit(main())
