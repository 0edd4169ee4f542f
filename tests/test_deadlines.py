"""The gate against a storage that does not come back: in time, in our words, and with nothing half done."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
from mcp import Client
from mcp.types import CallToolResult

from tests.fakes import client_of, error_of, facts_of


@contextmanager
def somebody_else_writes(data: Path) -> Iterator[None]:
    """Another program holds the write lock of the only campaign's file."""
    (file,) = data.glob("campaigns/*/campaign.db")
    with closing(sqlite3.connect(file, isolation_level=None)) as foreign:
        foreign.execute("BEGIN IMMEDIATE")
        yield
        foreign.execute("ROLLBACK")


async def test_a_locked_file_ends_in_a_safe_refusal_and_reads_go_on(tmp_path: Path) -> None:
    """R09, R33: the answer comes within the call's own limit, and the key stays free."""
    arguments = {"expression": "1d6", "request_key": "k"}
    async with client_of(tmp_path, interactive_s=0.3) as client:
        await client.call_tool("dice_roll", {"expression": "1d6"})
        with somebody_else_writes(tmp_path), anyio.fail_after(5):
            error = error_of(await client.call_tool("dice_roll", arguments))
            history = facts_of(await client.call_tool("history_show", {}))
        again = facts_of(await _until_it_works(client, arguments))
        rolls = facts_of(await client.call_tool("history_show", {}))["rolls"]

    assert error["code"] in {"MCP_TIMEOUT", "BUSY", "OUTCOME_UNKNOWN"}
    assert error["retryable"] is True
    assert 1 == len(history["rolls"])
    assert 2 == len(rolls)
    assert again["roll_number"] == 2


async def test_health_answers_while_every_file_is_locked(tmp_path: Path) -> None:
    """R42."""
    async with client_of(tmp_path, interactive_s=0.3) as client:
        await client.call_tool("dice_roll", {"expression": "1d6"})
        with somebody_else_writes(tmp_path), anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.call_tool, "dice_roll", {"expression": "1d6"})
                health = facts_of(await client.call_tool("status_show", {"detail": "health"}))

    assert health["ready"] is True


async def test_a_locked_campaign_is_not_felt_in_another(tmp_path: Path) -> None:
    """R05, R35."""
    async with client_of(tmp_path, interactive_s=2) as client:
        await client.call_tool("dice_roll", {"expression": "1d6"})
        with somebody_else_writes(tmp_path), anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(client.call_tool, "dice_roll", {"expression": "1d6", "campaign": "My campaign"})
                await client.call_tool("campaign_manage", {"action": "create", "name": "Other"})
                other = await client.call_tool("dice_roll", {"expression": "1d6", "campaign": "Other"})
                tasks.cancel_scope.cancel()

    assert "Other" == facts_of(other)["campaign"]


async def _until_it_works(client: Client, arguments: dict[str, str]) -> CallToolResult:
    """Repeat a safe refusal, as the refusal advises."""
    with anyio.fail_after(5):
        while (answer := await client.call_tool("dice_roll", arguments)).is_error:
            assert error_of(answer)["retryable"]
    return answer
