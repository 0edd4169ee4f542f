"""status_show: the brief and the health."""

from pathlib import Path

from tests.fakes import client_of, facts_of, text_of


async def test_the_brief_tells_where_the_campaign_stands(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        await client.call_tool("campaign_manage", {"action": "create", "name": "Sea"})
        rolled = facts_of(await client.call_tool("dice_roll", {"expression": "1d20", "label": "Mira"}))
        result = await client.call_tool("status_show", {})

    facts = facts_of(result)
    assert ("Sea", "open", "generic", 1, 2) == tuple(
        facts[key] for key in ("campaign", "status", "system", "rolls", "seq")
    )
    assert [rolled["roll_number"]] == [row["roll_number"] for row in facts["new_rolls"]]
    assert '"Sea" is open; 1 rolls, newest change 2.' == text_of(result).splitlines()[0]


async def test_a_glance_makes_no_campaign(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        facts = facts_of(await client.call_tool("status_show", {}))

    assert {"summary": "There is no campaign yet. The first roll makes one.", "campaigns": 0} == facts


async def test_health_warns_of_what_a_game_master_can_do_something_about(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    async with client_of(tmp_path / "file") as client:
        await client.call_tool("dice_roll", {"expression": "1d6"})
        health = facts_of(await client.call_tool("status_show", {"detail": "health"}))

    assert health["ready"] is False
    assert "It is tried again every second." in health["warnings"][0]
