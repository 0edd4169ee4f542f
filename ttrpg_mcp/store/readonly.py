"""The read-only mode of one file: the write breaker of that file, decided in one place.

It begins when the disk refuses, and ends with one commit that went through. Reading goes on meanwhile, and whoever
wants to write is refused before anything is tried.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from ttrpg_mcp.play.errors import (
    OutOfMemory,
    ReadOnly,
    ReadOnlyFull,
    SchemaTooNew,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from ttrpg_mcp.play.ports import ReadOnlyHealth
from ttrpg_mcp.store.errors import as_store_error

__all__ = ["FIRST_PAUSE_S", "LONGEST_PAUSE_S", "MOST_FAILURES", "ReadOnlyMode"]

_logger = logging.getLogger(__name__)

MOST_FAILURES = 5  # failed units in a row
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
# Contention, damage, age and want of memory say nothing about whether the disk takes writes.
_NO_ILLNESS = (StoreBusy, StoreCorrupt, SchemaTooNew, OutOfMemory)


@dataclass(slots=True)
class ReadOnlyMode:
    """Whether a file takes writes.

    Attributes:
        safe_seq: Gives the number of the newest change that is known to be saved.
        cause: Why it takes none, or None while it does.
        is_suspect: A COMMIT failed, and nobody knows yet whether it is on disk.
        pause_s: Seconds until the next probe, while it takes none.
    """

    compartment: str
    safe_seq: Callable[[], int]
    cause: StoreError | None = None
    is_suspect: bool = False
    pause_s: float = FIRST_PAUSE_S
    _failures: int = 0

    @property
    def is_on(self) -> bool:
        """Whether writes are refused."""
        return self.cause is not None

    @property
    def failures(self) -> int:
        """Failed units in a row, and failed probes after them."""
        return self._failures

    def note(self, error: BaseException | None) -> bool:
        """Learn from the outcome of a unit; whether it failed because the disk refuses."""
        if not isinstance(error, StoreError):  # refusals of the game reached the file well enough
            self._failures = 0
            return False
        if isinstance(error, _NO_ILLNESS):
            return False
        self._failures += 1
        is_refused = isinstance(error, StoreFull | StoreUnavailable)
        if is_refused or self._failures >= MOST_FAILURES:
            self._begin(error)
        return is_refused

    def suspect(self, error: Exception) -> None:
        """A COMMIT failed."""
        self.is_suspect = True
        self._failures += 1
        self._begin(self._translated(error))

    def probe_failed(self, error: Exception) -> None:
        """A probe failed: the next one comes later."""
        self._failures += 1
        translated = self._translated(error)
        if not isinstance(translated, StoreBusy):
            self.cause = translated
        self.pause_s = min(2 * self.pause_s, LONGEST_PAUSE_S)

    def end(self) -> None:
        """A probe went through."""
        if self.is_on:
            _logger.warning("%s takes writes again", self.compartment, extra={"event": "read_only_ended"})
        self.cause, self.is_suspect, self.pause_s, self._failures = None, False, FIRST_PAUSE_S, 0

    def refusal(self) -> ReadOnly:
        """What a caller who wants to write is told."""
        kind = ReadOnlyFull if isinstance(self.cause, StoreFull) else ReadOnly
        detail = self.cause.detail if self.cause else ""
        return kind(self.compartment, detail, safe_seq=self.safe_seq(), retry_after_s=LONGEST_PAUSE_S)

    def health(self) -> ReadOnlyHealth:
        """The mode as it is shown, while it is on."""
        refusal = self.refusal()
        return ReadOnlyHealth(
            self.compartment, str(refusal), self.is_suspect, refusal.safe_seq, self._failures, refusal.retry_after_s
        )

    def _begin(self, cause: StoreError) -> None:
        if not self.is_on:
            facts = {"event": "read_only_began", "detail": cause.detail}
            _logger.error("%s takes no writes: %s", self.compartment, cause, extra=facts)
        self.cause = cause

    def _translated(self, error: Exception) -> StoreError:
        return as_store_error(self.compartment, error) or StoreUnavailable(self.compartment, str(error))
