"""What happened: rolls and changes, newest first, page by page."""

from collections.abc import Mapping
from dataclasses import dataclass

from ttrpg_mcp.play.errors import BadCursor
from ttrpg_mcp.play.ports import Call, CallEntry, ChangeEntry, EpochEntry, Ports, Receipt, RollEntry, Unit

__all__ = ["ChangePage", "Page", "Proofs", "RollPage", "show_changes", "show_proofs", "show_rolls"]


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list to show.

    Attributes:
        cursor: Empty for the newest; else the number in front of which the page begins.
        since: Only what has a greater `seq`.
        limit: 1 to 100 rows.
    """

    cursor: str = ""
    since: int = 0
    limit: int = 20

    @property
    def before(self) -> int | None:
        """The cursor as a number. Raises BadCursor."""
        if not self.cursor:
            return None
        if not (self.cursor.isascii() and self.cursor.isdigit() and len(self.cursor) < 19):
            raise BadCursor(self.cursor)
        return int(self.cursor)


@dataclass(frozen=True, slots=True)
class RollPage:
    """Rolls, newest first; next_cursor is empty on the last page."""

    rolls: tuple[RollEntry, ...]
    next_cursor: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class ChangePage:
    """Changes, newest first, and the calls behind them by call id."""

    changes: tuple[ChangeEntry, ...]
    calls: Mapping[str, CallEntry]
    next_cursor: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Proofs:
    """What proves the dice: every epoch, and whether the hash chain over all rolls holds.

    Attributes:
        first_broken: Number of the first roll out of its place in the chain; None when it holds.
    """

    epochs: tuple[EpochEntry, ...]
    rolls: int
    first_broken: int | None
    receipt: Receipt


async def show_proofs(ports: Ports, call: Call) -> Proofs:
    """The epochs with their commitments and what is revealed, and the chain checked from its beginning."""

    def look(unit: Unit) -> Proofs:
        rolls = unit.campaign.get().head_roll
        return Proofs(tuple(unit.rolls.epochs()), rolls, unit.rolls.first_broken(), unit.receipt())

    return await ports.store.read(call, look)


async def show_rolls(ports: Ports, call: Call, page: Page) -> RollPage:
    """A page of the roll log."""
    before = page.before

    def look(unit: Unit) -> RollPage:
        found = unit.rolls.page(before=before, since=page.since, limit=page.limit + 1)
        shown = tuple(found[: page.limit])
        return RollPage(shown, str(shown[-1].number) if len(found) > len(shown) else "", unit.receipt())

    return await ports.store.read(call, look)


async def show_changes(ports: Ports, call: Call, page: Page) -> ChangePage:
    """A page of the change log."""
    before = page.before

    def look(unit: Unit) -> ChangePage:
        found = unit.changes.page(before=before, since=page.since, limit=page.limit + 1)
        shown = tuple(found[: page.limit])
        cursor = str(shown[-1].seq) if len(found) > len(shown) else ""
        return ChangePage(shown, unit.changes.calls([entry.call_id for entry in shown]), cursor, unit.receipt())

    return await ports.store.read(call, look)
