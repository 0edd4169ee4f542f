"""One run of the conformance suite against a server, and what it found."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.kit import Kit

__all__ = ["REQUIRED", "SuiteRun", "baseline_entries", "run_suite"]

REQUIRED = {"2026-07-28": 37, "2025-11-25": 30}
"""Server scenarios that each revision of the protocol requires; frozen at its release."""

BASELINE = Path(__file__).with_name("baseline.yml")
LIMIT_S = 300

_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_SCENARIO = re.compile(r"^[✓✗] (\S+): (\d+) passed, (\d+) failed", re.MULTILINE)
_UNSCORED = re.compile(r"^  [✓✗] (\S+) \(", re.MULTILINE)
_EXPECTED = re.compile(r"^  ~ (\S+)", re.MULTILINE)
_ENTRY = re.compile(r"^  - (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """What the suite said.

    Attributes:
        code: Its exit code.
        scenarios: Of the required ones: name, checks passed, checks failed.
        expected: Baseline entries that failed, as they should.
        summary: Its own last words.
    """

    code: int
    scenarios: tuple[tuple[str, int, int], ...]
    expected: frozenset[str]
    summary: str

    @property
    def told(self) -> str:
        """Both counts in one line."""
        clean = sum(1 for _, _, failed in self.scenarios if failed == 0)
        passed = sum(entry[1] for entry in self.scenarios)
        checks = passed + sum(entry[2] for entry in self.scenarios)
        return f"{clean} of {len(self.scenarios)} scenarios, {passed} of {checks} checks"


def run_suite(kit: Kit, address: str, revision: str, *, with_baseline: bool) -> SuiteRun:
    """Run what this revision of the protocol requires of a server."""
    command = [str(kit.suite), "server", "--url", address, "--requirements", revision]
    if with_baseline:
        command += ["--expected-failures", str(BASELINE)]
    done = subprocess.run(
        command, env=kit.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        timeout=LIMIT_S,
    )  # fmt: skip
    output = _COLOR.sub("", done.stdout)
    summary = output.partition("=== SUMMARY ===")[2]
    unscored = _unscored(revision, summary)
    scenarios = tuple(
        (name, int(passed), int(failed)) for name, passed, failed in _SCENARIO.findall(summary) if name not in unscored
    )
    return SuiteRun(done.returncode, scenarios, frozenset(_EXPECTED.findall(summary)), summary or output)


def _unscored(revision: str, summary: str) -> frozenset[str]:
    return frozenset(_UNSCORED.findall(summary.partition(f"Not scored for {revision}")[2]))


def baseline_entries() -> frozenset[str]:
    """Every entry of the baseline file."""
    return frozenset(_ENTRY.findall(BASELINE.read_text(encoding="utf-8")))
