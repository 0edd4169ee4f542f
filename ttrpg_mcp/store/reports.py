"""What a restore found, used and kept, as facts and as sentences."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

from ttrpg_mcp.play.ports import Json
from ttrpg_mcp.store.canonical import canonical_json
from ttrpg_mcp.store.connection import Connection
from ttrpg_mcp.store.errors import SERVER_COMPARTMENT

__all__ = ["RestoreReport", "note_restore"]

_NOTE = """
INSERT INTO quarantine (id, campaign_id, folder, reason, report, found_at_ms, resolved_at_ms)
VALUES (:id, :campaign_id, :folder, :reason, :report, :at_ms, :resolved_at_ms) ON CONFLICT (id) DO NOTHING
"""
_NOTIFY = """
INSERT INTO notification
    (id, dedupe_key, severity, code, message, status, alternatives, count, created_at_ms, last_at_ms)
VALUES (:id, :id, 'high', 'STATE_CORRUPTION', :message, :status, '[]', 1, :at_ms, :at_ms) ON CONFLICT (id) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """One restore of one file.

    Attributes:
        compartment: The campaign id, or "server".
        found: What was wrong.
        used: Which copy the file was built from.
        kept_seq: The newest change that is there.
        missing: First and last number of every run of changes that were saved and are lost, in order.
        passed_over: Copies that could not be used, and why.
        folder: Where the damaged file lies; empty when there was none.
        stopped: Messages and running work of the copy that were stopped: they may have gone out since it was made.
    """

    compartment: str
    found: str
    used: str
    kept_seq: int
    missing: tuple[tuple[int, int], ...] = ()
    passed_over: tuple[str, ...] = ()
    folder: str = ""
    stopped: int = 0
    listed: tuple[str, ...] = field(default=())

    @property
    def lost_count(self) -> int:
        """How many acknowledged changes are lost."""
        return sum(last - first + 1 for first, last in self.missing)

    def sentences(self) -> Sequence[str]:
        """The report for people."""
        return tuple(self._sentences())

    def as_json(self) -> Json:
        """The report as plain data."""
        return {**asdict(self), "lost_count": self.lost_count}

    def _sentences(self) -> Iterator[str]:
        yield f"The file was damaged ({self.found}). It was rebuilt from {self.used}."
        if self.compartment == "server":
            yield f"{len(self.listed)} campaigns were found in their folders and are listed again."
        elif self.missing:
            lost = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in self.missing)
            yield f"Everything up to change {self.kept_seq} is there. Lost, {self.lost_count} in all: {lost}."
            yield "It can be read but not changed until the game master accepts that."
        else:
            yield f"Everything up to change {self.kept_seq} is there: 0 acknowledged changes lost."
        if self.folder:
            yield f"The damaged file was kept in {self.folder}."
        if self.passed_over:
            yield f"Copies that could not be used: {'; '.join(self.passed_over)}."
        if self.stopped:
            yield f"{self.stopped} waiting messages or running steps were stopped, since they may be done already."


def note_restore(connection: Connection, report: RestoreReport, at_ms: int) -> None:
    """Note the restore in the server's own file; a loss stays open there."""
    note_id = f"{report.compartment}/{report.folder}"
    connection.run(
        _NOTE,
        id=note_id,
        campaign_id="" if report.compartment == SERVER_COMPARTMENT else report.compartment,
        folder=report.folder,
        reason=report.found,
        report=canonical_json(report.as_json()),
        at_ms=at_ms,
        resolved_at_ms=None if report.missing else at_ms,
    )
    status = "needs_you" if report.missing else "recovered"
    connection.run(_NOTIFY, id=note_id, message=" ".join(report.sentences()), status=status, at_ms=at_ms)
