"""The rows of the one table, and how they are shown."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Row", "as_data", "show"]


@dataclass(frozen=True, slots=True)
class Row:
    """One measured ratio.

    Attributes:
        what: The subject, and after "/" what it was measured against.
        ratio: Wall time unless `what` says otherwise; nan where it could not be measured, with the reason in `note`.
        cpu: The same ratio in CPU time of the whole process; None where that says nothing.
        target: None for a row that is only printed.
        at_least: The ratio must reach the target instead of staying below it.
    """

    family: str
    what: str
    ratio: float
    target: float | None = None
    cpu: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def verdict(self) -> str:
        """`ok`, `over` (or `under`), or nothing for a row without target."""
        if self.target is None or math.isnan(self.ratio):
            return ""
        if self.at_least:
            return "ok" if self.ratio >= self.target else "under"
        return "ok" if self.ratio <= self.target else "over"


def show(rows: Iterable[Row]) -> None:
    """Print the table."""
    lines = [("", "ratio", "CPU", "target", "", "")]
    family = ""
    for row in rows:
        if row.family != family:
            family = row.family
            lines.append((family, "", "", "", "", ""))
        lines.append((f"  {row.what}", _number(row.ratio), _number(row.cpu), _target(row), row.verdict, row.note))
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    for what, *numbers, verdict, note in lines:
        cells = [text.rjust(width) for text, width in zip(numbers, widths[1:4], strict=True)]
        print("  ".join([what.ljust(widths[0]), *cells, verdict.ljust(widths[4]), note]).rstrip())


def as_data(rows: Sequence[Row]) -> list[dict[str, object]]:
    """The rows for a JSON file."""
    return [
        {
            "family": row.family,
            "what": row.what,
            "ratio": None if math.isnan(row.ratio) else round(row.ratio, 3),
            "cpu": None if row.cpu is None or math.isnan(row.cpu) else round(row.cpu, 3),
            "target": row.target,
            "at_least": row.at_least,
            "verdict": row.verdict,
            "note": row.note,
        }
        for row in rows
    ]


def _number(ratio: float | None) -> str:
    if ratio is None or math.isnan(ratio):
        return "-"
    return f"{ratio:.0f}" if ratio >= 100 else f"{ratio:.2f}"


def _target(row: Row) -> str:
    return "" if row.target is None else f"{'>=' if row.at_least else '<='} {row.target:g}"
