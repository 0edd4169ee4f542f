"""The rows of the acceptance table that need the suite or the Inspector. Each yields what it found, line by line."""

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.inspector import InspectorFailed, Load, Target, call_tool, list_tools, load
from tests.conformance.kit import Kit
from tests.conformance.processes import FIXTURE, PRODUCT, ServerFailed, faults_met, serving, taking_locks
from tests.conformance.suite import REQUIRED, SuiteRun, baseline_entries, run_suite

__all__ = ["ROWS", "Bench", "Finding", "findings_of"]

LOAD_S = 3
ERAS = ("legacy", "modern")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table."""

    row: str
    what: str
    result: str
    is_good: bool


@dataclass(frozen=True, slots=True)
class Bench:
    """What every row needs: the programs, and an empty folder."""

    kit: Kit
    folder: Path


def fixture_row(bench: Bench) -> Iterator[Finding]:
    """A: everything that the suite requires, behind our gate, without a baseline."""
    with serving(bench.folder / "a", *FIXTURE) as address:
        yield from _complete(bench, "A", "fixture", address)


def product_row(bench: Bench) -> Iterator[Finding]:
    """B: the product fails what the baseline names, and nothing else."""
    with serving(bench.folder / "b", *PRODUCT) as address:
        yield from _with_baseline(bench, "B", "product", address)


def fault_row(bench: Bench) -> Iterator[Finding]:
    """C: the same while a foreign program takes the campaigns' locks and one store attempt in twenty fails."""
    yield from _faulty_fixture(bench)
    yield from _faulty_product(bench)


def inspector_row(bench: Bench) -> Iterator[Finding]:
    """D: another client, both transports, both eras: the same tools."""
    lists: dict[str, str] = {}
    with serving(bench.folder / "d", *PRODUCT) as address:
        for target in _targets(address, bench.folder / "d-stdio"):
            tools = list_tools(bench.kit, target)
            call_tool(bench.kit, target, "dice_roll", {"expression": "2d6"})
            lists[target.name] = json.dumps(tools, sort_keys=True)
            yield Finding("D", f"Inspector, {target.name}", f"{len(tools)} tools, one call", is_good=len(tools) > 0)
    distinct = len(set(lists.values()))
    yield Finding("D", "tool lists, keys sorted", "equal" if distinct == 1 else f"{distinct} differ", distinct == 1)


def load_row(bench: Bench) -> Iterator[Finding]:
    """E: ten at once. Errors fail; the ratios are shown, and the benchmarks judge them."""
    speeds: dict[str, float] = {}
    with serving(bench.folder / "e", *PRODUCT) as address:
        for target in _targets(address, bench.folder / "e-stdio"):
            call_tool(bench.kit, target, "dice_roll", {"expression": "1d20"})
            told = load(bench.kit, target, "status_show", {}, LOAD_S)
            speeds[target.name] = told.calls_a_second
            yield _loaded("E", f"status_show, {target.name}", told)
    yield _ratio(speeds, "HTTP modern", 1.5)
    yield _ratio(speeds, "stdio legacy", 4.0)


def _complete(bench: Bench, row: str, what: str, address: str) -> Iterator[Finding]:
    for revision, required in REQUIRED.items():
        run = run_suite(bench.kit, address, revision, with_baseline=False)
        is_good = run.code == 0 and len(run.scenarios) == required
        yield _judged(row, f"{what}, {revision}", run, run.told, is_good=is_good)


def _with_baseline(bench: Bench, row: str, what: str, address: str) -> Iterator[Finding]:
    seen: set[str] = set()
    for revision in REQUIRED:
        run = run_suite(bench.kit, address, revision, with_baseline=True)
        seen |= run.expected
        told = f"{len(run.expected)} failures, as the baseline says" if run.code == 0 else "not as the baseline says"
        yield _judged(row, f"{what}, {revision}", run, told, is_good=run.code == 0)
    unused = sorted(baseline_entries() - seen)
    told = f"never failed: {', '.join(unused)}" if unused else f"{len(seen)} entries, none stale"
    yield Finding(row, f"{what}, baseline", told, is_good=not unused)


def _judged(row: str, what: str, run: SuiteRun, told: str, *, is_good: bool) -> Finding:
    if not is_good:
        print(run.summary)
    return Finding(row, what, told, is_good)


def _faulty_fixture(bench: Bench) -> Iterator[Finding]:
    data = bench.folder / "c-fixture"
    with serving(data, *FIXTURE, "--faults") as address, taking_locks(data) as locks:
        yield from _complete(bench, "C", "fixture with faults", address)
        yield _met("fixture", data, locks())


def _faulty_product(bench: Bench) -> Iterator[Finding]:
    """Few scenarios of the product touch its store, so it also has to save rolls while the faults go on."""
    data = bench.folder / "c-product"
    with serving(data, *FIXTURE, "--product", "--faults") as address, taking_locks(data) as locks:
        yield from _with_baseline(bench, "C", "product with faults", address)
        told = load(bench.kit, Target("modern", address), "dice_roll", {"expression": "1d20"}, LOAD_S)
        yield _loaded("C", "product with faults, rolls", told)
        yield _met("product", data, locks())


def _met(what: str, data: Path, locks: int) -> Finding:
    """Without this line, faults that never came would look like faults that were borne."""
    faults = faults_met(data)
    return Finding("C", f"{what}, faults met", f"{faults} refused attempts, {locks} locks", faults > 0 and locks > 0)


def _targets(address: str, data: Path) -> list[Target]:
    return [Target(era, address) for era in ERAS] + [Target(era, data=data) for era in ERAS]


def _loaded(row: str, what: str, told: Load) -> Finding:
    result = f"{told.calls_a_second:,.0f} calls/s, {told.failed} of {told.calls:,} failed"
    return Finding(row, what, result, is_good=told.failed == 0 and told.calls > 0)


def _ratio(speeds: Mapping[str, float], name: str, target: float) -> Finding:
    ratio = speeds[name] / speeds["HTTP legacy"]
    return Finding(
        "E", f"{name} : HTTP legacy", f"{ratio:.1f} x (target {target:g} x, not required here)", is_good=True
    )


ROWS: Mapping[str, Callable[[Bench], Iterator[Finding]]] = {
    "A": fixture_row,
    "B": product_row,
    "C": fault_row,
    "D": inspector_row,
    "E": load_row,
}


def findings_of(row: str, bench: Bench) -> Iterator[Finding]:
    """The row's findings; a row that cannot be run is one that failed."""
    try:
        yield from ROWS[row](bench)
    except (InspectorFailed, ServerFailed, OSError, subprocess.SubprocessError) as error:
        yield Finding(row, "could not be run", str(error), is_good=False)
