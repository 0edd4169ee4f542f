"""A first session: roll, lose an answer, make a mistake, look back."""

import sys
import tempfile
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = StdioServerParameters(command=sys.executable, args=["-m", "ttrpg_mcp", "serve", "--data", folder])
        async with Client(server) as client:
            await first_roll(client)
            await lost_answer(client)
            await mistake(client)
        async with Client(server) as client:
            await look_back(client)


async def first_roll(client: Client) -> None:
    answer = await client.call_tool("dice_roll", {"expression": "1d20+5", "label": "Mira looks around", "dc": 12})

    facts = facts_of(answer)
    assert facts["total"] == facts["dice"][0]["value"] + 5
    assert facts["check"]["met"] == (facts["total"] >= 12)
    assert facts["campaign"] == "My campaign"
    print(text_of(answer))


async def lost_answer(client: Client) -> None:
    attack = {"expression": "2d6+3 [slashing]", "label": "Brom strikes", "request_key": "brom-strikes-1"}
    first = facts_of(await client.call_tool("dice_roll", attack))
    again = facts_of(await client.call_tool("dice_roll", attack))

    assert again["replayed"]
    assert (first["roll_number"], first["total"]) == (again["roll_number"], again["total"])
    print(f"Asked twice, rolled once: {again['summary']}")


async def mistake(client: Client) -> None:
    answer = await client.call_tool("dice_roll", {"expression": "4d6kx3"})

    assert answer.is_error
    assert "[DICE_SYNTAX]" in text_of(answer)
    assert "Did you mean 4d6kh3?" in text_of(answer)
    print(text_of(answer))


async def look_back(client: Client) -> None:
    answer = await client.call_tool("history_show", {"kind": "rolls"})

    assert [row["label"] for row in facts_of(answer)["rolls"]] == ["Brom strikes", "Mira looks around"]
    print(text_of(answer))


def facts_of(answer: CallToolResult) -> dict[str, Any]:
    assert not answer.is_error, text_of(answer)
    return dict(answer.structured_content or {})


def text_of(answer: CallToolResult) -> str:
    return "\n".join(block.text for block in answer.content if isinstance(block, TextContent))


if __name__ == "__main__":
    anyio.run(main)
