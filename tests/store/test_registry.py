from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from tests.store.helpers import ENTRY, server_call
from ttrpg_mcp.play.errors import NameTaken
from ttrpg_mcp.play.ports import CampaignEntry, RegistryRecords
from ttrpg_mcp.store.names import name_key
from ttrpg_mcp.store.store import SqliteStore

T = TypeVar("T")


async def ask(store: SqliteStore, question: Callable[[RegistryRecords], T]) -> T:
    return await store.write_server(server_call(), lambda unit: question(unit.registry))


def entry(campaign_id: str, name: str, request_key: str | None = None) -> CampaignEntry:
    return CampaignEntry(campaign_id, name, "creating", 1, request_key)


async def test_a_new_entry_comes_back_whole(empty_store: SqliteStore) -> None:
    added = replace(ENTRY, request_key="k", system="dnd5e")

    await ask(empty_store, lambda registry: registry.begin(added))

    assert (added,) == await ask(empty_store, lambda registry: registry.all())


@pytest.mark.parametrize("wanted", ["lost-mine-abcdef", "Lost Mine", " lost   MINE "])
async def test_a_campaign_is_found_by_id_or_name(store: SqliteStore, wanted: str) -> None:
    found = await ask(store, lambda registry: registry.find(wanted))

    assert found == replace(ENTRY, status="open", head_seq=1, last_opened_at_ms=1_000)


async def test_nothing_is_found_under_another_name(store: SqliteStore) -> None:
    assert None is await ask(store, lambda registry: registry.find("Found Mine"))


async def test_a_taken_name_is_refused_with_a_free_one(store: SqliteStore) -> None:
    await ask(store, lambda registry: registry.begin(entry("two-abcdef", "Lost Mine 2")))

    with pytest.raises(NameTaken) as caught:
        await ask(store, lambda registry: registry.begin(entry("new-abcdef", "LOST  mine")))

    assert "LOST  mine 3" == caught.value.suggestion


async def test_a_repeat_under_the_key_gets_the_entry_of_the_first_time(empty_store: SqliteStore) -> None:
    first = await ask(empty_store, lambda registry: registry.begin(entry("one-abcdef", "Mine", "k")))

    assert first == await ask(empty_store, lambda registry: registry.begin(entry("two-abcdef", "Mine", "k")))


async def test_a_repeat_gets_the_campaign_that_a_start_finished_meanwhile(empty_store: SqliteStore) -> None:
    await ask(empty_store, lambda registry: registry.begin(entry("one-abcdef", "Mine", "k")))
    await ask(empty_store, lambda registry: registry.opened("one-abcdef", at_ms=1, head_seq=1))

    again = await ask(empty_store, lambda registry: registry.begin(entry("two-abcdef", "Mine", "k")))

    assert ("one-abcdef", "open") == (again.campaign_id, again.status)


@pytest.mark.parametrize(("key", "other_key"), [("k", "l"), ("k", None), (None, "k"), (None, None)])
async def test_another_request_for_the_same_name_is_no_repeat(
    empty_store: SqliteStore, key: str | None, other_key: str | None
) -> None:
    await ask(empty_store, lambda registry: registry.begin(entry("one-abcdef", "Mine", key)))

    with pytest.raises(NameTaken):
        await ask(empty_store, lambda registry: registry.begin(entry("two-abcdef", "Mine", other_key)))


@pytest.mark.parametrize("campaign_id", ["", "../x", "Mine", "-mine", "mine-", "a" * 81, "mine\n"])
async def test_an_id_that_could_be_a_path_is_refused(empty_store: SqliteStore, campaign_id: str) -> None:
    with pytest.raises(ValueError, match="not a campaign id"):
        await ask(empty_store, lambda registry: registry.begin(entry(campaign_id, "Mine")))


def test_name_keys_ignore_case_blanks_and_the_encoding_of_accents() -> None:
    assert name_key("Caf\u00e9  NOIR") == name_key(" cafe\u0301 noir ")
