"""The gate, through a real client in both eras of the protocol."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from tests.fakes import ERAS, CountingIds, client_of, error_of, facts_of, make_server, text_of
from ttrpg_mcp.app import build
from ttrpg_mcp.settings import Settings
from ttrpg_mcp.tools import all_tools

FORBIDDEN_WORDS = ("Traceback", "pydantic", "sqlite", "SELECT", "INSERT", "/ttrpg_mcp", "errors.pydantic.dev", 'File "')


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    """Both eras, one after the other."""
    return str(request.param)


async def test_the_first_die_falls_after_one_call_on_an_empty_folder(tmp_path: Path, era: str) -> None:
    async with client_of(tmp_path / "data", era) as client:
        result = await client.call_tool("dice_roll", {"expression": "1d20+5"})

        facts = facts_of(result)

    assert "My campaign" == facts["campaign"]
    assert facts["total"] == facts["dice"][0]["value"] + 5
    assert ['Started the campaign "My campaign", because there was none.'] == facts["notices"]
    assert "Started the campaign" in text_of(result)


async def test_an_unknown_tool_is_a_tool_error_with_the_nearest_name(tmp_path: Path, era: str) -> None:
    async with client_of(tmp_path, era) as client:
        error = error_of(await client.call_tool("dice_rol", {}))

    assert ("UNKNOWN_TOOL", ["dice_roll"], False) == (error["code"], error["suggestions"], error["state_changed"])


@pytest.mark.parametrize(
    ("arguments", "field", "problem", "allowed"),
    [
        ({"expresion": "1d6"}, "expresion", "is an unknown argument; did you mean `expression`?", "known: expression"),
        ({"expression": "1d6", "table": "x"}, "table", "did you mean `campaign`?", "known: expression"),
        ({}, "expression", "is required", 'example: "4d6kh3+2"'),
        ({"expression": "1d6", "times": 101}, "times", "101 is out of range", "1 to 100"),
        ({"expression": "1d6", "times": "often"}, "times", "should be a whole number, not often", "example: 1"),
        ({"expression": "1d6", "advantage": "advantag"}, "advantage", "is not one of the choices", "none, adv, dis"),
        ({"expression": "1d6", "label": "x" * 81}, "label", "has 81 letters", "at most 80"),
        ({"expression": "1d6", "request_key": "ä"}, "request_key", "letters that are not allowed", "printable ASCII"),
        ({"expression": "1d6", "campaign": "a\u202eb"}, "campaign", "has a control or direction letter", ""),
        ({"expression": ["1d6"]}, "expression", "should be text", "example"),
    ],
)
async def test_wrong_arguments_are_told_in_our_own_words(
    tmp_path: Path, arguments: dict[str, Any], field: str, problem: str, allowed: str
) -> None:
    async with client_of(tmp_path) as client:
        result = await client.call_tool("dice_roll", arguments)

    error = error_of(result)
    told = {entry["field"]: entry for entry in error["fields"]}[field]
    assert "VALIDATION" == error["code"]
    assert problem in told["problem"]
    assert allowed in told["allowed"]
    assert not [word for word in FORBIDDEN_WORDS if word in text_of(result) + json.dumps(error)]


async def test_numbers_that_arrive_as_text_are_taken(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        facts = facts_of(await client.call_tool("dice_roll", {"expression": "1d6", "times": "2", "dc": 3.0}))

    assert 2 == len(facts["rolls"])


@pytest.mark.parametrize("spec", all_tools(), ids=lambda spec: spec.name)
async def test_every_tool_refuses_an_unknown_argument_and_an_unknown_campaign(
    spec: Any, tmp_path: Path, era: str
) -> None:
    """R02, R36: whatever the tool, the caller gets the envelope and nothing of our inside."""
    valid = {
        "dice_roll": {"expression": "1d6"},
        "campaign_manage": {"action": "open"},
        "session_manage": {"action": "recap"},
    }.get(spec.name, {})
    handle = "name" if spec.name == "campaign_manage" else "campaign"
    async with client_of(tmp_path, era) as client:
        unknown = await client.call_tool(spec.name, valid | {"nonsense_here": 1})
        nowhere = await client.call_tool(spec.name, valid | {handle: "No Such Place"})

    assert ["VALIDATION", "NOT_FOUND"] == [error_of(unknown)["code"], error_of(nowhere)["code"]]
    for result in (unknown, nowhere):
        assert text_of(result).startswith(f"[{error_of(result)['code']}] ")
        assert not [word for word in FORBIDDEN_WORDS if word in text_of(result) + json.dumps(result.structured_content)]


async def test_an_error_says_the_same_in_text_and_in_facts(tmp_path: Path, era: str) -> None:
    """R02."""
    async with client_of(tmp_path, era) as client:
        result = await client.call_tool("dice_roll", {"expression": "1d1!"})

    error = error_of(result)
    assert f"[{error['code']}] {error['message']}" in text_of(result)
    wanted = (
        "code category severity message retryable retry_after_s state_changed fields suggestions request_key incident"
    )
    assert set(wanted.split()) == set(error)


async def test_a_repeated_key_is_answered_once_and_says_so(tmp_path: Path, era: str) -> None:
    async with client_of(tmp_path, era) as client:
        arguments = {"expression": "3d6", "request_key": "k1"}
        first = facts_of(await client.call_tool("dice_roll", arguments))
        second = facts_of(await client.call_tool("dice_roll", arguments))
        rolls = facts_of(await client.call_tool("history_show", {}))["rolls"]

    assert second.pop("replayed") is True
    first.pop("notices")
    assert first == second
    assert 1 == len(rolls)


async def test_a_repeat_that_leaves_out_the_campaign_goes_to_the_same_one(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        for name in ("North", "South"):
            await client.call_tool("campaign_manage", {"action": "create", "name": name})
        first = await client.call_tool("dice_roll", {"expression": "1d6", "campaign": "North", "request_key": "k"})
        await client.call_tool("campaign_manage", {"action": "open", "name": "South"})
        second = facts_of(await client.call_tool("dice_roll", {"expression": "1d6", "request_key": "k"}))

    assert ("North", True) == (second["campaign"], second["replayed"])
    assert facts_of(first)["total"] == second["total"]


async def test_a_key_of_another_request_is_refused(tmp_path: Path, era: str) -> None:
    async with client_of(tmp_path, era) as client:
        await client.call_tool("dice_roll", {"expression": "1d6", "request_key": "k"})
        error = error_of(await client.call_tool("dice_roll", {"expression": "1d8", "request_key": "k"}))

    assert "REQUEST_KEY_REUSED" == error["code"]


async def test_a_refused_call_leaves_its_key_free(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        error_of(await client.call_tool("dice_roll", {"expression": "1d", "request_key": "k"}))
        facts = facts_of(await client.call_tool("dice_roll", {"expression": "1d6", "request_key": "k"}))

    assert "replayed" not in facts


async def test_five_and_the_text_five_are_the_same_request(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        await client.call_tool("dice_roll", {"expression": "1d6", "times": 5, "request_key": "k"})
        again = facts_of(await client.call_tool("dice_roll", {"expression": "1d6", "times": "5", "request_key": "k"}))

    assert again["replayed"] is True


async def test_equal_calls_at_once_under_one_key_roll_once(tmp_path: Path) -> None:
    totals = []
    async with client_of(tmp_path) as client:
        await client.call_tool("dice_roll", {"expression": "1d6"})

        async def roll() -> None:
            result = await client.call_tool("dice_roll", {"expression": "1d1000000", "request_key": "same"})
            totals.append(facts_of(result)["total"])

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(roll)
        rolls = facts_of(await client.call_tool("history_show", {}))["rolls"]

    assert 1 == len(set(totals))
    assert 2 == len(rolls)


async def test_arguments_over_four_mebibytes_are_refused(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        error = error_of(await client.call_tool("dice_roll", {"expression": "1" * (4 * 1024 * 1024 + 1)}))

    assert "LIMIT_REACHED" == error["code"]


@pytest.mark.parametrize("expression", ["1d1!", "999999999d6", "(" * 3_000, "1+" * 500_000])
async def test_a_hostile_expression_is_refused(tmp_path: Path, expression: str) -> None:
    async with client_of(tmp_path) as client:
        error = error_of(await client.call_tool("dice_roll", {"expression": expression}))

    assert error["code"].startswith("DICE_")
    assert len(json.dumps(error)) < 2_000


async def test_a_stopping_server_takes_no_new_calls(tmp_path: Path) -> None:
    """R32."""
    server = make_server(tmp_path)
    async with Client(server) as client:
        await server.admission.close(drain_s=0, cancel_s=0)
        error = error_of(await client.call_tool("dice_roll", {"expression": "1d6"}))

    assert ("SHUTTING_DOWN", True, 2.0) == (error["code"], error["retryable"], error["retry_after_s"])


async def test_what_nobody_foresaw_gets_an_incident_and_no_detail(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """R02, R36."""

    class BrokenEntropy:
        def seed(self) -> bytes:
            raise RuntimeError("the secret of /home/gm")

    server = build(Settings(data=tmp_path), entropy=BrokenEntropy(), ids=CountingIds())
    async with Client(server) as client:
        result = await client.call_tool("dice_roll", {"expression": "1d6"})

    error = error_of(result)
    assert ("INTERNAL", "E-TEST") == (error["code"], error["incident"])
    assert "secret" not in text_of(result) + json.dumps(error)
    assert "the secret of /home/gm" in caplog.text


async def test_the_tool_list_is_strict_and_has_no_titles_inside(tmp_path: Path, era: str) -> None:
    async with client_of(tmp_path, era) as client:
        tools = (await client.list_tools()).tools

    assert [spec.name for spec in all_tools()] == [tool.name for tool in tools]
    for tool in tools:
        assert tool.input_schema["additionalProperties"] is False
        assert not [name for name, entry in tool.input_schema["properties"].items() if "title" in entry]
        assert tool.title
        hints = tool.annotations
        assert hints is not None
        assert None not in (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint, hints.open_world_hint)


async def test_families_can_be_left_out(tmp_path: Path) -> None:
    async with client_of(tmp_path, tools=("rules",)) as client:
        tools = (await client.list_tools()).tools

    assert "dice_roll" not in [tool.name for tool in tools]
    assert "campaign_manage" in [tool.name for tool in tools]


async def test_a_repeat_gets_its_answer_while_its_campaign_is_flooded(tmp_path: Path) -> None:
    arguments = {"expression": "3d6", "request_key": "k"}
    async with client_of(tmp_path, campaign_slots=1, campaign_queue=0) as client:
        first = facts_of(await client.call_tool("dice_roll", arguments))
        again: list[dict[str, Any]] = []

        async def repeat() -> None:
            again.append(facts_of(await client.call_tool("dice_roll", arguments)))

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(repeat)

    assert [(first["total"], True)] * 10 == [(facts["total"], facts["replayed"]) for facts in again]


async def test_a_flood_on_one_campaign_is_refused_at_its_end_while_another_answers(tmp_path: Path) -> None:
    """R05: 8 slots and 256 places; the 265th call is refused at once."""
    codes: list[str] = []
    async with client_of(tmp_path) as client:
        for name in ("Flood", "Quiet"):
            await client.call_tool("campaign_manage", {"action": "create", "name": name})

        await client.call_tool("campaign_manage", {"action": "open", "name": "Flood"})

        async def roll() -> None:
            result = await client.call_tool("dice_roll", {"expression": "1d6"})
            codes.append(error_of(result)["code"] if result.is_error else "ok")

        async with anyio.create_task_group() as tasks:
            for _ in range(600):
                tasks.start_soon(roll)
            await anyio.lowlevel.checkpoint()
            with anyio.fail_after(5):
                quiet = await client.call_tool("dice_roll", {"expression": "1d6", "campaign": "Quiet"})
            answered_before_the_flood_ended = len(codes) < 600

    assert not quiet.is_error
    assert answered_before_the_flood_ended
    assert {"ok", "OVERLOADED"} == set(codes)
    assert codes.count("ok") >= 264


async def test_a_key_of_another_process_goes_back_to_its_campaign(tmp_path: Path) -> None:
    """R34: also where another window used another campaign last, and the repeat names none."""
    arguments = {"expression": "1d20", "request_key": "lost"}
    async with client_of(tmp_path) as client:
        for name in ("North", "South"):
            await client.call_tool("campaign_manage", {"action": "create", "name": name})
        first = facts_of(await client.call_tool("dice_roll", arguments | {"campaign": "North"}))
        await client.call_tool("campaign_manage", {"action": "open", "name": "South"})
    async with client_of(tmp_path) as client:
        again = facts_of(await client.call_tool("dice_roll", arguments))

    assert ("North", True, first["total"]) == (again["campaign"], again["replayed"], again["total"])


async def test_a_refusal_that_comes_after_drawing_spends_the_roll(tmp_path: Path) -> None:
    """Promise 2: what an error may tell of the dice is about a roll that nobody can have any more."""
    async with client_of(tmp_path) as client:
        before = facts_of(await client.call_tool("dice_roll", {"expression": "1d6"}))["roll_number"]
        refused = error_of(
            await client.call_tool("dice_roll", {"expression": "950d1+1d1000000!>=2", "request_key": "k"})
        )
        after = facts_of(await client.call_tool("dice_roll", {"expression": "1d6"}))["roll_number"]
        history = facts_of(await client.call_tool("history_show", {}))["rolls"]

    assert "DICE_TOO_MANY" == refused["code"]
    assert after == before + 2
    assert "DICE_TOO_MANY" == history[1]["refused"]


async def test_an_answer_and_its_replay_are_the_same_and_under_the_cap(tmp_path: Path) -> None:
    arguments = {"expression": f"1d6[{'a' * 200}]", "times": 100, "request_key": "k"}
    async with client_of(tmp_path) as client:
        await client.call_tool("campaign_manage", {"action": "create", "name": "Sea"})
        first = await client.call_tool("dice_roll", arguments)
        again = facts_of(await client.call_tool("dice_roll", arguments))

    assert again.pop("replayed") is True
    assert facts_of(first) == again
    assert len(json.dumps(again)) < 33_000


async def test_a_storage_that_can_be_opened_later_is_opened_then(tmp_path: Path) -> None:
    """R42: no restart is needed."""
    blocking = tmp_path / "data"
    blocking.write_bytes(b"")
    async with client_of(blocking) as client:
        refused = error_of(await client.call_tool("dice_roll", {"expression": "1d6"}))
        blocking.unlink()
        with anyio.fail_after(10):
            while (rolled := await client.call_tool("dice_roll", {"expression": "1d6"})).is_error:
                await anyio.lowlevel.checkpoint()

    assert ("DATABASE_UNAVAILABLE", True) == (refused["code"], refused["retryable"])
    assert not rolled.is_error
