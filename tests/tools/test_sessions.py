"""session_manage and history_rewind, through a real client; and the proof of the dice after a session."""

import hashlib
from pathlib import Path
from typing import Any

from mcp import Client

from tests.fakes import client_of, error_of, facts_of, text_of
from ttrpg_mcp.rules.dice import StreamChance


async def session(client: Client, action: str, **arguments: Any) -> dict[str, Any]:
    return facts_of(await client.call_tool("session_manage", {"action": action, **arguments}))


async def test_an_evening_is_started_paused_resumed_and_ended(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        told = [
            await session(client, "start", name="The storm"),
            await session(client, "pause"),
            await session(client, "resume"),
            await session(client, "end", notes="They crossed the bay."),
            await session(client, "start"),
        ]

    assert [(1, "running"), (1, "paused"), (1, "running"), (1, "ended"), (2, "running")] == [
        (facts["session"], facts["status"]) for facts in told
    ]


async def test_what_is_not_its_turn_is_refused_with_the_rule(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        nothing = [
            error_of(await client.call_tool("session_manage", {"action": word})) for word in ("end", "pause", "resume")
        ]
        await session(client, "start")
        again = error_of(await client.call_tool("session_manage", {"action": "start"}))

    assert {"NOT_ALLOWED"} == {error["code"] for error in [*nothing, again]}
    assert "Session 1 has not ended yet." in again["message"]


async def test_a_recap_tells_what_the_log_says(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        await client.call_tool("dice_roll", {"expression": "1d6"})
        await session(client, "start", name="The storm")
        for _ in range(3):
            await client.call_tool("dice_roll", {"expression": "1d6"})
        await session(client, "end", notes="They crossed the bay.")
        recap = await session(client, "recap")

    assert (1, "ended", 3, "They crossed the bay.") == tuple(
        recap[key] for key in ("session", "status", "rolls", "recap")
    )
    assert ['Started session 1, "The storm".'] == [line for line in recap["happened"] if line.startswith("Started")]


async def test_a_change_is_previewed_undone_and_redone(tmp_path: Path) -> None:
    """R07."""
    async with client_of(tmp_path) as client:
        await session(client, "start", name="The storm")
        await session(client, "pause")
        preview = facts_of(await client.call_tool("history_rewind", {}))
        await client.call_tool("history_rewind", {"preview": False})
        undone = await session(client, "recap")
        await client.call_tool("history_rewind", {"action": "redo", "preview": False})
        redone = await session(client, "recap")

    assert (
        True,
        [],
        [{"what": "session", "id": "1", "does": "changes", "fields": {"status": ["paused", "running"]}}],
    ) == (
        preview["preview"],
        preview["conflicts"],
        preview["differences"],
    )
    assert ("running", "paused") == (undone["status"], redone["status"])


async def test_an_undo_that_something_stands_against_is_refused_with_what_it_is(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        started = await session(client, "start", name="The storm")
        await session(client, "pause")
        preview = await client.call_tool("history_rewind", {"target": str(started["seq"])})
        refused = error_of(await client.call_tool("history_rewind", {"target": str(started["seq"]), "preview": False}))
        nothing = error_of(await client.call_tool("history_rewind", {"action": "redo", "preview": False}))

    assert ("CONFLICT", "NOT_FOUND") == (refused["code"], nothing["code"])
    assert facts_of(preview)["conflicts"]
    assert "Paused session 1" in text_of(preview)


async def test_the_dice_of_an_ended_session_can_be_recomputed_by_anybody(tmp_path: Path) -> None:
    """Promise 2: commit before, reveal after, the faces from what was revealed."""
    async with client_of(tmp_path) as client:
        await session(client, "start")
        roll = facts_of(await client.call_tool("dice_roll", {"expression": "8d20"}))
        before = facts_of(await client.call_tool("history_show", {"kind": "proofs"}))
        await session(client, "end")
        after = facts_of(await client.call_tool("history_show", {"kind": "proofs"}))
        next_roll = facts_of(await client.call_tool("dice_roll", {"expression": "1d20"}))

    (hidden,), (revealed,) = before["epochs"], after["epochs"]
    assert "open" not in hidden
    assert hidden["commit"] == revealed["commit"]
    campaign_id = _campaign_id(tmp_path)
    halves = hashlib.sha256(bytes.fromhex(revealed["open"])).digest() + bytes.fromhex(revealed["secret_hash"])
    commitment = hashlib.sha256(b"ttrpg-dice-v1\x00" + campaign_id.encode() + b"\x00" + halves).hexdigest()
    assert revealed["commit"] == commitment
    faces = StreamChance(bytes.fromhex(revealed["open"]), revealed["epoch"], roll["roll_number"]).draw(8, 20)
    assert [die["value"] for die in roll["dice"]] == faces
    assert (True, 2) == (after["chain_holds"], next_roll["epoch"])


def _campaign_id(data: Path) -> str:
    (folder,) = (data / "campaigns").iterdir()
    return folder.name
