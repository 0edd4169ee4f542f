"""What the tests of the store share: calls, stories, a campaign, and a look into a closed file."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel

from ttrpg_mcp.play.ports import GM, SERVER, Answer, Call, CampaignEntry, Principal, RollDraft, RollEntry, Unit
from ttrpg_mcp.store.store import SqliteStore

CAMPAIGN_ID = "lost-mine-abcdef"
ENTRY = CampaignEntry(CAMPAIGN_ID, "Lost Mine", "creating", 1_000)
SEED = bytes(range(32))


def answer(value: object) -> Answer:
    return Answer(f"You got {value}.", {"summary": f"got {value}"})


def a_call(
    call_id: str = "call",
    *,
    campaign_id: str = CAMPAIGN_ID,
    key: str | None = None,
    request_hash: bytes = b"hash",
    principal: Principal = GM,
    render: Callable[[Any], Answer] = answer,
) -> Call:
    return Call("dice_roll", principal, campaign_id, call_id, 2_000, key, request_hash, render)


def server_call(call_id: str = "call", *, key: str | None = None, request_hash: bytes = b"hash") -> Call:
    return a_call(call_id, campaign_id=SERVER, key=key, request_hash=request_hash)


def draft(total: int) -> RollDraft:
    return RollDraft("d20", "1d20", [(20, total)], str(total), {"total": total})


def roll(unit: Unit) -> RollEntry:
    """A story that rolls a d20 for all to see."""
    stream = unit.rolls.next_stream(SEED)
    return unit.rolls.save(stream, draft(stream.chance.draw(1, 20)[0]))


def secret_roll(unit: Unit) -> RollEntry:
    """A story that rolls a d20 for the game master alone."""
    stream = unit.rolls.next_stream(SEED, visibility="gm")
    return unit.rolls.save(stream, draft(stream.chance.draw(1, 20)[0]))


def nothing(unit: object) -> str:
    """A story that writes nothing."""
    return "nothing"


async def make_campaign(store: SqliteStore, entry: CampaignEntry = ENTRY) -> None:
    """A campaign as the stories of play/ make it."""
    await store.write_server(server_call(), lambda unit: unit.registry.begin(entry))
    call = a_call("create", campaign_id=entry.campaign_id)
    await store.create_campaign(call, entry, lambda unit: unit.campaign.begin(entry, "generic"))
    await store.write_server(
        server_call(), lambda unit: unit.registry.opened(entry.campaign_id, at_ms=1_000, head_seq=1)
    )


def campaign_file(data: Path, campaign_id: str = CAMPAIGN_ID) -> Path:
    return data / "campaigns" / campaign_id / "campaign.db"


def rows(file: Path, sql: str) -> list[dict[str, Any]]:
    """The rows of a file that no store has open."""
    with closing(sqlite3.connect(file)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql)]


async def until(is_true: Callable[[], bool]) -> None:
    """Let other tasks run until it is true."""
    with anyio.fail_after(5):
        while not is_true():
            await anyio.lowlevel.checkpoint()
