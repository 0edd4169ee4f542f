"""What goes over the pipes of a real server, and what may come in."""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.types import JSONRPCError, JSONRPCResponse, jsonrpc_message_adapter

from tests.e2e.ledger import read_log
from tests.e2e.servers import (
    ERAS,
    campaign_file,
    command,
    environment,
    facts_in,
    initialize,
    left_unclean,
    request,
    stdio_server,
)

NOISE = [
    b"",
    b"   ",
    b"hello, server",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"{}",
    b'{"jsonrpc": "1.0", "id": 1, "method": "ping"}',
    b'{"jsonrpc": "2.0", "id": {}, "method": "ping"}',
    b"\xff\xfe\x00 bad UTF-8 \x80\xc3\x28",
    b"[" * 100_000,
    b'{"a":' * 20_000,
    b"\x00" * 1_000,
    b"x" * 2_000_000,
]
STRAYS = [
    b'{"jsonrpc": "2.0", "method": "no/such/notification"}',
    b'{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": ["no", {"id": 1}]}}',
    b'{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {}}',
    b'{"jsonrpc": "2.0", "method": "notifications/cancelled"}',
    b'{"jsonrpc": "2.0", "id": 990, "result": {}}',
    b'{"jsonrpc": "2.0", "id": 991, "method": "no/such/request"}',
    b'{"jsonrpc": "2.0", "id": 992, "method": "tools/call", "params": {"name": 5}}',
    b'{"jsonrpc": "2.0", "id": 993, "method": "tools/call", "params": []}',
    b'{"jsonrpc": "2.0", "id": 994, "method": "ping", "params": {"\xff": "\xed\xa0\x80"}}',
]


@pytest.mark.parametrize("era", ERAS)
async def test_requests_followed_by_the_end_of_input_are_all_answered(tmp_path: Path, era: str) -> None:
    """R32, R34: as `printf ... | ttrpg-mcp` does; the very first call makes a campaign on the way."""
    rolls = [
        request(number, "tools/call", {"name": "dice_roll", "arguments": {"expression": "1d6"}}, era=era)
        for number in range(1, 41)
    ]
    messages = rolls if era != "legacy" else [*initialize(), *rolls]
    text = "".join(json.dumps(message) + "\n" for message in messages)

    with anyio.fail_after(20):
        done = await anyio.run_process(command(tmp_path), input=text.encode(), env=environment())

    answers = {answer["id"]: answer for answer in map(json.loads, done.stdout.splitlines())}
    answers.pop(0, None)
    assert set(range(1, 41)) == set(answers)
    assert set(range(1, 41)) == {facts_in(answer)["roll_number"] for answer in answers.values()}
    assert 40 == read_log(campaign_file(tmp_path)).head_roll
    assert [] == left_unclean(tmp_path)


async def test_an_empty_input_ends_with_0_and_without_a_word_on_stdout(tmp_path: Path) -> None:
    """R32."""
    with anyio.fail_after(20):
        done = await anyio.run_process(command(tmp_path), input=b"", env=environment())

    assert (0, b"") == (done.returncode, done.stdout)


@pytest.mark.skipif(sys.platform == "win32", reason="sh and tee are needed to watch the pipe")
@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_every_line_on_stdout_of_a_whole_session_is_json_rpc(tmp_path: Path, mode: Any) -> None:
    """Even at the log level debug, with refusals and an incident's worth of traffic."""
    record = tmp_path / "stdout.txt"
    server = shlex.join(command(tmp_path / "data", "--log-level", "debug"))
    line = f"{server} 2>{shlex.quote(str(tmp_path / 'stderr.txt'))} | tee {shlex.quote(str(record))}"

    with anyio.fail_after(30):
        async with Client(StdioServerParameters(command="sh", args=["-c", line]), mode=mode) as client:
            tools = (await client.list_tools()).tools
            results = [
                await client.call_tool("dice_roll", {"expression": "4d6kh3", "times": 6, "request_key": "k"}),
                await client.call_tool("dice_roll", {"expression": "4d6kh3", "times": 6, "request_key": "k"}),
                await client.call_tool("status_show", {"detail": "health"}),
                await client.call_tool("history_show", {}),
                await client.call_tool("campaign_manage", {"action": "create", "name": "Ünïcödé 🎲"}),
            ]
            refused = [
                await client.call_tool("dice_roll", {"expression": "1d1!"}),
                await client.call_tool("no_such_tool", {}),
                await client.call_tool("dice_roll", {}),
            ]

    messages = [jsonrpc_message_adapter.validate_json(line) for line in record.read_bytes().splitlines()]
    assert len(tools) >= 4
    assert [False] * 5 + [True] * 3 == [bool(result.is_error) for result in (*results[:4], *results[4:], *refused)]
    assert len(messages) >= 9
    assert {JSONRPCResponse} == {type(message) for message in messages if not isinstance(message, JSONRPCError)}
    assert [] == [line for line in (tmp_path / "stderr.txt").read_text().splitlines() if not line.startswith("{")]


async def test_garbage_on_stdin_is_survived_and_never_echoed_as_anything_but_json_rpc(tmp_path: Path) -> None:
    """Noise before the first request does not settle the era of the connection either."""
    async with stdio_server(tmp_path) as server:
        for line in NOISE:
            await server.write(line + b"\r\n")
        first = await server.call("dice_roll", expression="1d6")
        for line in (*NOISE, *STRAYS):
            await server.write(line + b"\n")
        second = await server.call("dice_roll", expression="1d6")
        await server.close_input()
        code = await server.exit_code()

    assert (1, 2, 0) == (first["roll_number"], second["roll_number"], code)
    assert [] == [line for line in server.lines if json.loads(line)["jsonrpc"] != "2.0"]


async def test_a_line_without_an_end_is_not_taken_for_a_request(tmp_path: Path) -> None:
    """A client that dies in the middle of a line: the server ends and has rolled nothing."""
    async with stdio_server(tmp_path) as server:
        await server.call("dice_roll", expression="1d6")
        call = request(5, "tools/call", {"name": "dice_roll", "arguments": {"expression": "1d6"}})

        await server.write(json.dumps(call).encode()[:-3])
        await server.close_input()
        code = await server.exit_code()

    assert (0, 1) == (code, read_log(campaign_file(tmp_path)).head_roll)


async def test_a_client_that_never_reads_the_log_is_answered_all_the_same(tmp_path: Path) -> None:
    """R35: the pipe of stderr is full after 64 KiB, and a client may leave it alone; lines may be lost, answers not."""
    unread, stderr = os.pipe()
    try:
        async with stdio_server(tmp_path, "--log-level", "debug", stderr=stderr) as server:
            os.close(stderr)
            pending = [await server.ask("dice_roll", expression="1d6") for _ in range(200)]
            numbers = [facts_in(await one.arrived(limit_s=10))["roll_number"] for one in pending]
    finally:
        os.close(unread)

    assert set(range(1, 201)) == set(numbers)
