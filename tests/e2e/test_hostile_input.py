"""Expressions that are meant to hurt, each with an innocent call beside it on the same connection."""

import json
from pathlib import Path

import anyio

from tests.e2e.servers import facts_in, refusal_in, stdio_server

HOSTILE = {
    "endless": "1d1!",
    "many dice": "999999999d6",
    "deep": "(" * 3_000,
    "a megabyte of terms": "1+" * 524_288 + "1",
    "a megabyte of digits": "9" * 1_048_576,
    "a megabyte of repeats": "100x " * 200_000,
    "a huge power of repeats": "100x 999999d999999!",
    "nested explosions": "((((1d2!)d2!)d2!)d2!)d2!",
    "letters of all kinds": "1d6\u202e\u0000💀" * 50,
}
MOST_LETTERS = 32_000


async def test_hostile_expressions_are_refused_and_their_neighbours_are_answered(tmp_path: Path) -> None:
    async with stdio_server(tmp_path) as server:
        await server.call("dice_roll", expression="1d6")

        hostile = {name: await server.ask("dice_roll", expression=text) for name, text in HOSTILE.items()}
        neighbour = await server.ask("dice_roll", expression="1d6")
        with anyio.fail_after(20):
            facts = facts_in(await neighbour.arrived())
            errors = {name: refusal_in(await pending.arrived()) for name, pending in hostile.items()}

    assert 2 == facts["roll_number"]
    assert [] == [(name, error["code"]) for name, error in errors.items() if not error["code"].startswith("DICE_")]
    assert [] == [name for name, error in errors.items() if len(json.dumps(error)) > 2_000]


async def test_a_very_large_batch_is_answered_under_the_cap(tmp_path: Path) -> None:
    async with stdio_server(tmp_path) as server:
        answer = await (await server.ask("dice_roll", expression="100x 100d6", request_key="big")).arrived()
        again = await (await server.ask("dice_roll", expression="100x 100d6", request_key="big")).arrived()

    facts = facts_in(answer)
    text = answer["result"]["content"][0]["text"]
    assert 100 == len(facts["totals"])
    assert facts["sum"] == sum(facts["totals"])
    assert facts["totals"] == facts_in(again)["totals"]
    assert len(text) <= MOST_LETTERS
    assert len(json.dumps(facts, ensure_ascii=False, separators=(",", ":"))) <= MOST_LETTERS


async def test_arguments_over_four_mebibytes_are_refused_on_pipes_too(tmp_path: Path) -> None:
    async with stdio_server(tmp_path) as server:
        await server.call("dice_roll", expression="1d6")

        huge = await server.ask("dice_roll", expression="1" * (5 * 1024 * 1024))
        neighbour = await server.call("dice_roll", expression="1d6")
        error = refusal_in(await huge.arrived())

    assert ("LIMIT_REACHED", 2) == (error["code"], neighbour["roll_number"])
