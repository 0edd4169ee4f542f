"""campaign_manage, and which campaign a call means."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.fakes import client_of, error_of, facts_of, text_of


async def test_a_created_campaign_is_the_one_in_use(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        created = facts_of(
            await client.call_tool("campaign_manage", {"action": "create", "name": "  Night   harbour "})
        )
        rolled = facts_of(await client.call_tool("dice_roll", {"expression": "1d6"}))

    assert ("Night harbour", "generic", "open", 0, 1) == tuple(
        created[key] for key in ("campaign", "system", "status", "rolls", "seq")
    )
    assert created["id"].startswith("night-harbour-")
    assert "Night harbour" == rolled["campaign"]


async def test_an_empty_folder_lists_no_campaign_and_makes_none(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        first = facts_of(await client.call_tool("campaign_manage", {"action": "list"}))
        status = facts_of(await client.call_tool("status_show", {}))
        second = facts_of(await client.call_tool("campaign_manage", {"action": "list"}))

    assert [] == first["campaigns"] == second["campaigns"]
    assert 0 == status["campaigns"]


async def test_campaigns_are_listed_by_name(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        for name in ("beta", "Alpha", "Ärger"):
            await client.call_tool("campaign_manage", {"action": "create", "name": name})
        result = await client.call_tool("campaign_manage", {"action": "list"})

    assert ["Alpha", "beta", "Ärger"] == [entry["name"] for entry in facts_of(result)["campaigns"]]
    assert '3 campaigns: "Alpha", "beta", "Ärger".' == text_of(result)


@pytest.mark.parametrize("name", ["night HARBOUR", "Night  Harbour", "Night Harbour"])
async def test_a_name_counts_without_case_and_blanks(tmp_path: Path, name: str) -> None:
    async with client_of(tmp_path) as client:
        await client.call_tool("campaign_manage", {"action": "create", "name": "Night Harbour"})
        await client.call_tool("campaign_manage", {"action": "create", "name": "Elsewhere"})
        taken = error_of(await client.call_tool("campaign_manage", {"action": "create", "name": name}))
        opened = facts_of(await client.call_tool("campaign_manage", {"action": "open", "name": name}))

    assert "NAME_TAKEN" == taken["code"]
    assert "Night Harbour" == opened["campaign"]


async def test_a_misspelt_name_is_answered_with_the_nearest_and_never_created(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        await client.call_tool("campaign_manage", {"action": "create", "name": "Night Harbour"})
        error = error_of(await client.call_tool("dice_roll", {"expression": "1d6", "campaign": "Nigth Harbor"}))
        listed = facts_of(await client.call_tool("campaign_manage", {"action": "list"}))

    assert ("NOT_FOUND", ["Night Harbour"]) == (error["code"], error["suggestions"])
    assert 1 == len(listed["campaigns"])


async def test_several_campaigns_and_none_in_use_is_a_question(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        for name in ("One", "Two"):
            await client.call_tool("campaign_manage", {"action": "create", "name": name})
    with closing(sqlite3.connect(tmp_path / "server.db")) as database, database:
        database.execute("DELETE FROM preference")
    async with client_of(tmp_path) as client:
        error = error_of(await client.call_tool("dice_roll", {"expression": "1d6"}))

    assert ("NAME_AMBIGUOUS", ["One", "Two"]) == (error["code"], error["suggestions"])


async def test_the_only_campaign_needs_no_name_in_a_new_process(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        await client.call_tool("campaign_manage", {"action": "create", "name": "Only"})
    async with client_of(tmp_path) as client:
        rolled = facts_of(await client.call_tool("dice_roll", {"expression": "1d6"}))

    assert "Only" == rolled["campaign"]


async def test_two_windows_on_one_folder_do_not_move_each_other(tmp_path: Path) -> None:
    async with client_of(tmp_path) as north, client_of(tmp_path) as south:
        await north.call_tool("campaign_manage", {"action": "create", "name": "North"})
        await south.call_tool("campaign_manage", {"action": "create", "name": "South"})
        rolled = [facts_of(await window.call_tool("dice_roll", {"expression": "1d6"})) for window in (north, south)]

    assert ["North", "South"] == [facts["campaign"] for facts in rolled]


async def test_create_and_open_need_a_name(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        error = error_of(await client.call_tool("campaign_manage", {"action": "create"}))

    assert ("VALIDATION", "name") == (error["code"], error["fields"][0]["field"])


async def test_a_repeated_creation_is_the_same_campaign(tmp_path: Path) -> None:
    arguments = {"action": "create", "name": "Sea", "request_key": "k"}
    async with client_of(tmp_path) as client:
        first = facts_of(await client.call_tool("campaign_manage", arguments))
    async with client_of(tmp_path) as client:
        second = facts_of(await client.call_tool("campaign_manage", arguments))

    assert second.pop("replayed") is True
    assert first == second


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "CON", "a/b\\c", "x" * 80, "日本語", "'; DROP TABLE registry; --", "{{x}}"]
)
async def test_no_name_becomes_a_path_or_a_statement(tmp_path: Path, name: str) -> None:
    async with client_of(tmp_path / "data") as client:
        created = facts_of(await client.call_tool("campaign_manage", {"action": "create", "name": name}))

    assert name == created["campaign"]
    assert [created["id"]] == os.listdir(tmp_path / "data" / "campaigns")
    assert ["data"] == os.listdir(tmp_path)


async def test_the_campaign_used_last_comes_back_in_a_new_process(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        for name in ("One", "Two"):
            await client.call_tool("campaign_manage", {"action": "create", "name": name})
        await client.call_tool("campaign_manage", {"action": "open", "name": "One"})
    async with client_of(tmp_path) as client:
        rolled = facts_of(await client.call_tool("dice_roll", {"expression": "1d6"}))

    assert "One" == rolled["campaign"]
