"""One transaction as a story sees it, and what the store adds to it: checks before, log and answer after."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from ttrpg_mcp.play.ports import Answer, Call, Receipt
from ttrpg_mcp.store.answers import AnswerTable
from ttrpg_mcp.store.campaigns import CampaignTable, find_campaign
from ttrpg_mcp.store.changes import CallLog, ChangeTable
from ttrpg_mcp.store.connection import Connection
from ttrpg_mcp.store.counters import Counters
from ttrpg_mcp.store.entities import EntityTable
from ttrpg_mcp.store.registry import PreferenceTable, RegistryTable
from ttrpg_mcp.store.rolls import RollTable

__all__ = ["CampaignUnit", "RegistryUnit", "run_creation", "run_server_write", "run_write"]

T = TypeVar("T")


class CampaignUnit:
    """The Unit of a campaign's file."""

    def __init__(self, connection: Connection, call: Call, campaign_id: str) -> None:
        found = find_campaign(connection, campaign_id)
        self._connection = connection
        self._campaign_id = campaign_id
        self.call = call
        self.counters = Counters(found.head_seq if found else 0, found.head_roll if found else 0)
        self.changes = ChangeTable(connection, campaign_id, call, self.counters)
        self.campaign = CampaignTable(connection, campaign_id, self.counters, self.changes)
        self.entities = EntityTable(connection, campaign_id, self.changes)
        self.rolls = RollTable(connection, campaign_id, call, self.counters)
        self.answers = AnswerTable(connection, campaign_id)

    def receipt(self) -> Receipt:
        """The campaign's name and its newest `seq`, this transaction's own included."""
        campaign = self.campaign.get()
        return Receipt(campaign.name, campaign.head_seq)

    def recent_keys(self, limit: int) -> Sequence[str]:
        """The request keys of this principal that were answered here, newest first."""
        return self.answers.recent_keys(self.call, limit)

    def finish(self, summary: str) -> None:
        """Log the call if it wrote anything, and write the counters back."""
        if self.rolls.has_unsaved:
            raise RuntimeError("a story took a stream of dice and did not save its roll")
        seq_first = self.counters.seq_first
        if seq_first is not None:
            CallLog(self._connection, self._campaign_id).append(
                self.call, seq_first, self.counters, self.changes, summary
            )
            self.campaign.save_heads()


class RegistryUnit:
    """The ServerUnit of the server's own file."""

    def __init__(self, connection: Connection) -> None:
        self.registry = RegistryTable(connection)
        self.preferences = PreferenceTable(connection)


def run_write(connection: Connection, call: Call, story: Callable[[CampaignUnit], T]) -> tuple[T, int]:
    """The story's value and the campaign's newest `seq`, all inside the transaction that is open.

    A known key comes first: a repeat is answered even by a campaign that is paused since. Raises AlreadyAnswered,
    RequestKeyReused, CampaignPaused, TooLarge, and what the story raises; the caller rolls back.
    """
    unit = CampaignUnit(connection, call, call.campaign_id)
    unit.answers.require_new(call)
    unit.campaign.require_open()
    value = story(unit)
    if unit.counters.seq_first is not None or call.request_key is not None:
        answer = call.render(value)
        unit.finish(_summary(answer))
        if call.request_key is not None:
            unit.answers.put(call, answer, unit.counters.head_seq)
    return value, unit.counters.head_seq


def run_creation(
    connection: Connection, call: Call, campaign_id: str, story: Callable[[CampaignUnit], T]
) -> tuple[T, int]:
    """The same for the first write of a new file, or its repeat: no answer is kept, the server's file has it."""
    unit = CampaignUnit(connection, call, campaign_id)
    value = story(unit)
    unit.finish(f'Created the campaign "{unit.campaign.get().name}".')
    return value, unit.counters.head_seq


def run_server_write(connection: Connection, call: Call, story: Callable[[RegistryUnit], T]) -> T:
    """The story's value, all inside the transaction that is open. Raises as run_write."""
    answers = AnswerTable(connection, None)
    answers.require_new(call)
    value = story(RegistryUnit(connection))
    if call.request_key is not None:
        answers.put(call, call.render(value), 0)
    return value


def _summary(answer: Answer) -> str:
    """The answer in one line, for the log."""
    summary = answer.facts.get("summary")
    return str(summary) if summary else next(iter(answer.text.splitlines()), "")
