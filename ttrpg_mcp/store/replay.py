"""Bringing an older copy of a campaign's file forward with rows of its logs, in one transaction."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ttrpg_mcp.play.errors import NotNow
from ttrpg_mcp.play.ports import SYSTEM, Call, Receipt, Unit
from ttrpg_mcp.rules.dice import commitment
from ttrpg_mcp.store.campaigns import find_campaign, insert_campaign
from ttrpg_mcp.store.connection import Connection, Value
from ttrpg_mcp.store.entity_codecs import codec_of
from ttrpg_mcp.store.salvage import SavedRows
from ttrpg_mcp.store.unit import CampaignUnit

__all__ = ["LOST", "Loss", "accept_loss", "begin_lineage", "replay", "stop_what_waits"]

LOST = "A damaged file was rebuilt, and changes are lost"  # how the reason of such a pause begins

_HEADS = """
UPDATE campaign SET head_seq = :head_seq, head_roll = :head_roll, clean = 0 WHERE campaign_id = :campaign_id
"""
_AUDIENCE = """
INSERT INTO audience (campaign_id, audience, seq) VALUES (:campaign_id, :audience, :seq)
ON CONFLICT (campaign_id, audience) DO UPDATE SET seq = max(seq, excluded.seq)
"""
_LINEAGE = "UPDATE campaign SET lineage = :lineage WHERE campaign_id = :campaign_id"
_HAS_ANSWER = "SELECT 1 FROM answer WHERE campaign_id = :campaign_id AND principal = :principal AND key = :key"
_HAS_EPOCH = "SELECT 1 FROM roll_epoch WHERE campaign_id = :campaign_id AND epoch = :epoch"
_LAST_ROLL = "SELECT epoch, row_hash FROM roll WHERE campaign_id = :campaign_id ORDER BY number DESC LIMIT 1"
_LAST_EPOCH = "SELECT coalesce(max(epoch), 0) AS epoch FROM roll_epoch WHERE campaign_id = :campaign_id"
_STOP = (
    "UPDATE outbox SET status = 'dead', error = :error WHERE status IN ('waiting', 'sending')",
    "UPDATE saga SET status = 'stuck', error = :error WHERE status IN ('running', 'compensating')",
)
_INDEX_NOTES = "INSERT INTO note_fts (note_fts) VALUES ('rebuild')"


@dataclass(frozen=True, slots=True)
class Loss:
    """What begins when saved changes are gone for good.

    Attributes:
        sentence: Which are gone.
        seed: Of the next epoch of rolls: with the old one the lost rolls would be rolled again.
    """

    sentence: str
    seed: bytes
    at: datetime


def replay(connection: Connection, campaign_id: str, rows: SavedRows, head: int, reach: int) -> None:
    """Add what the copy, which ends with `head`, lacks up to `reach`; the caller's transaction is open."""
    _fold(connection, campaign_id, rows, head, reach)
    found = find_campaign(connection, campaign_id)
    head_roll = found.head_roll if found else 0
    for roll in rows.between("roll", head, reach):
        connection.insert("roll", roll)
        head_roll = max(head_roll, int(roll["number"] or 0))
    for epoch in rows.between("roll_epoch", 0, head_roll, column="first_roll"):
        _insert_unless(connection, _HAS_EPOCH, "roll_epoch", epoch)
    for table in ("roll_mark", "posting"):
        for row in rows.between(table, head, reach):
            connection.insert(table, row)
    for call in rows.between("call_log", head, reach, column="seq_last"):
        connection.insert("call_log", call)
        for audience, seq in json.loads(str(call["audience_seq"])).items():
            connection.run(_AUDIENCE, campaign_id=campaign_id, audience=audience, seq=seq)
    for answer in rows.between("answer", -1, reach):
        _insert_unless(connection, _HAS_ANSWER, "answer", answer)
    connection.run(_HEADS, campaign_id=campaign_id, head_seq=reach, head_roll=head_roll)
    connection.run(_INDEX_NOTES)


def stop_what_waits(connection: Connection) -> int:
    """End messages and sagas of an older copy, which may have gone on since: nothing goes out twice. Their number."""
    error = json.dumps({"reason": "restored from a copy that is older than the damaged file"})
    return sum(connection.run(sql, error=error) for sql in _STOP)


def begin_lineage(connection: Connection, campaign_id: str, loss: Loss) -> None:
    """Let nobody take the campaign for the one whose changes are gone: another lineage, other dice, and a pause."""
    stamp = loss.at.strftime("%Y%m%d%H%M%S")
    connection.run(_LINEAGE, campaign_id=campaign_id, lineage=f"{campaign_id}.{stamp}")
    _begin_epoch(connection, campaign_id, loss)
    at_ms = int(loss.at.timestamp() * 1000)
    call = Call("recovery_manage", SYSTEM, campaign_id, f"restore-{stamp}", at_ms)
    unit = CampaignUnit(connection, call, campaign_id)
    image = unit.entities.get("campaign", campaign_id)
    if image is not None and image["status"] == "open":
        paused = {**image, "status": "paused", "status_reason": f"{LOST}: {loss.sentence}"}
        unit.entities.put("campaign", campaign_id, paused, visibility="players")
    unit.finish(f"{LOST}: {loss.sentence}")


def accept_loss(unit: Unit) -> Receipt:
    """The story of a game master who goes on without the lost changes. Raises NotNow when there are none."""
    campaign = unit.campaign.get()
    if campaign.status != "paused" or not campaign.status_reason.startswith(LOST):
        raise NotNow(f'The campaign "{campaign.name}" does not wait for you to accept a restore.')
    image = unit.entities.get("campaign", campaign.id) or {}
    unit.entities.put("campaign", campaign.id, {**image, "status": "open", "status_reason": None}, visibility="players")
    return unit.receipt()


def _fold(connection: Connection, campaign_id: str, rows: SavedRows, head: int, reach: int) -> None:
    """Put the changes back, and every entity into the state that they end in."""
    call = Call("recovery_manage", SYSTEM, campaign_id, "replay", 0)
    entities = CampaignUnit(connection, call, campaign_id).entities
    for change in rows.between("changes", head, reach):
        connection.insert("changes", change)
        entity, entity_id, seq = str(change["entity"]), str(change["entity_id"]), int(change["seq"] or 0)
        image = None if change["after"] is None else json.loads(str(change["after"]))
        if entity == "campaign" and find_campaign(connection, campaign_id) is None:
            insert_campaign(connection, codec_of(entity).normal(image or {}), seq)
        else:
            entities.restore(entity, entity_id, image, seq)


def _begin_epoch(connection: Connection, campaign_id: str, loss: Loss) -> None:
    last_epoch = connection.one(_LAST_EPOCH, campaign_id=campaign_id)
    last_roll = connection.one(_LAST_ROLL, campaign_id=campaign_id)
    campaign = find_campaign(connection, campaign_id)
    row: dict[str, Value] = {
        "campaign_id": campaign_id,
        "epoch": (last_epoch["epoch"] if last_epoch else 0) + 1,
        "commit_hash": bytes.fromhex(commitment(campaign_id, loss.seed)),
        "seed": loss.seed,
        "client_seed": "",
        "first_roll": (campaign.head_roll if campaign else 0) + 1,
        "opened_at_ms": int(loss.at.timestamp() * 1000),
        "prev_hash": last_roll["row_hash"] if last_roll else b"",
    }
    connection.insert("roll_epoch", row)


def _insert_unless(connection: Connection, has: str, table: str, row: Mapping[str, Value]) -> None:
    """Insert the row unless the copy has it already."""
    key = {name: row[name] for name in ("campaign_id", "principal", "key", "epoch") if f":{name}" in has}
    if connection.one(has, **key) is None:
        connection.insert(table, row)
