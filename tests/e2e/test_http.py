"""A real server on HTTP: both eras, the doors it keeps shut, and its end."""

import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import httpx2
import pytest
from mcp import Client

from tests.e2e.ledger import read_log
from tests.e2e.servers import (
    ERAS,
    LEGACY,
    MODERN,
    Json,
    campaign_file,
    command,
    damaged,
    environment,
    facts_in,
    held_lock,
    http_server,
    initialize,
    left_unclean,
    request,
)
from tests.fakes import facts_of

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither these signals nor flock")

ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
MODERN_CALL = ACCEPT | {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "dice_roll"}


@asynccontextmanager
async def http_client(url: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A bare HTTP client that asks no proxy."""
    async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=20) as client:
        yield client


async def is_ready(client: httpx2.AsyncClient) -> None:
    """Return when /readyz says so."""
    with anyio.fail_after(20):
        while (await client.get("/readyz")).status_code != 200:
            pass


def roll(number: int, expression: str = "1d6") -> dict[str, Any]:
    """A call of dice_roll in the newer era."""
    return request(number, "tools/call", {"name": "dice_roll", "arguments": {"expression": expression}})


async def test_the_probes_answer_as_soon_as_the_address_is_told(tmp_path: Path) -> None:
    """Whoever reads the address in the log connects at once, without a second try."""
    async with http_server(tmp_path) as (_, url), http_client(url) as client:
        alive = await client.get("/livez")
        await is_ready(client)
        ready = await client.get("/readyz")

    assert (200, "ok") == (alive.status_code, alive.text)
    assert (200, "ready") == (ready.status_code, ready.text)


async def test_both_eras_play_on_the_same_campaign(tmp_path: Path) -> None:
    numbers: list[int] = []
    async with http_server(tmp_path) as (_, url):
        for mode in (*ERAS, "auto"):
            async with Client(f"{url}/mcp", mode=mode) as client:
                numbers.append(facts_of(await client.call_tool("dice_roll", {"expression": "1d20"}))["roll_number"])
                refused = await client.call_tool("dice_roll", {"expression": "1d1!"})
                assert refused.is_error

    assert [1, 2, 3] == numbers


async def test_many_clients_of_both_eras_roll_at_once_and_no_roll_is_lost(tmp_path: Path) -> None:
    """R34."""
    numbers: list[int] = []

    async def play(url: str, mode: Any) -> None:
        async with Client(f"{url}/mcp", mode=mode) as client:
            results = [await client.call_tool("dice_roll", {"expression": "1d20"}) for _ in range(5)]
        numbers.extend(facts_of(result)["roll_number"] for result in results)

    async with http_server(tmp_path) as (server, url):
        async with anyio.create_task_group() as tasks:
            for mode in ERAS * 3:
                tasks.start_soon(play, url, mode)
        server.signal(signal.SIGTERM)
        code = await server.exit_code()

    assert list(range(1, 31)) == sorted(numbers)
    assert (0, []) == (code, left_unclean(tmp_path))


ELSEWHERE: list[tuple[dict[str, str], int]] = [
    ({"Host": "evil.example"}, 421),
    ({"Host": "127.0.0.1.evil.example:80"}, 421),
    ({"Host": ""}, 421),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "https://127.0.0.1.evil.example"}, 403),
    ({"Origin": "null"}, 403),
]


async def test_pages_and_names_of_elsewhere_are_refused(tmp_path: Path) -> None:
    """A page in the game master's browser must not roll dice; one of this server's own may."""
    statuses = []
    async with http_server(tmp_path) as (_, url), http_client(url) as client:
        await is_ready(client)
        for headers, _ in ELSEWHERE:
            ready = await client.get("/readyz", headers=headers)
            called = await client.post("/mcp", headers=MODERN_CALL | headers, json=roll(1))
            opened = await client.get("/mcp", headers=ACCEPT | headers)
            statuses.append((headers, {ready.status_code, called.status_code, opened.status_code}))
        own = await client.post("/mcp", headers=MODERN_CALL | {"Origin": url}, json=roll(1))

    assert [(headers, {status}) for headers, status in ELSEWHERE] == statuses
    assert (200, 1) == (own.status_code, read_log(campaign_file(tmp_path)).head_roll)


async def test_bodies_over_four_mebibytes_are_refused_and_the_server_goes_on(tmp_path: Path) -> None:
    async with http_server(tmp_path) as (_, url), http_client(url) as client:
        await is_ready(client)
        large = await client.post("/mcp", headers=MODERN_CALL, json=roll(1, "1" * (4 * 1024 * 1024 + 1)))
        garbage = await client.post("/mcp", headers=MODERN_CALL, content=b"\xff{" * 1_000)
        rolled = await client.post("/mcp", headers=MODERN_CALL, json=roll(2))

    assert 413 == large.status_code
    assert 400 == garbage.status_code
    assert (200, 1) == (rolled.status_code, read_log(campaign_file(tmp_path)).head_roll)


@posix
async def test_open_streams_do_not_keep_the_server_alive(tmp_path: Path) -> None:
    """R32: one stream of each era, for each signal; that they are cut is no error of ours."""
    codes: dict[str, int] = {}
    errors: list[str] = []

    async def stop(name: str) -> None:
        data = tmp_path / name
        async with http_server(data) as (server, url), http_client(url) as client, anyio.create_task_group() as tasks:
            await is_ready(client)
            await client.post("/mcp", headers=MODERN_CALL, json=roll(1))
            await tasks.start(hold_standing_stream, client)
            await tasks.start(hold_subscription, client)

            server.signal(signal.Signals[name])
            codes[name] = await server.exit_code()
            tasks.cancel_scope.cancel()
        errors.extend(line for line in server.log if '"level": "error"' in line)

    async with anyio.create_task_group() as servers:
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            servers.start_soon(stop, name)

    assert {"SIGTERM": 0, "SIGINT": 0, "SIGHUP": 0} == codes
    assert ([], []) == (errors, left_unclean(tmp_path))


@posix
async def test_a_call_under_way_does_not_keep_the_server_alive(tmp_path: Path) -> None:
    """R32."""
    async with http_server(tmp_path, "--drain-s", "0.2") as (server, url), http_client(url) as client:
        await is_ready(client)
        await client.post("/mcp", headers=MODERN_CALL, json=roll(1))
        with held_lock(campaign_file(tmp_path)):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call_until_cut_off, client)
                await calls_run(client, 1)

                server.signal(signal.SIGTERM)
                code = await server.exit_code()
                tasks.cancel_scope.cancel()

    assert (0, []) == (code, damaged(tmp_path))
    assert 1 == read_log(campaign_file(tmp_path)).head_roll


@posix
async def test_calls_that_can_finish_are_all_answered_before_the_stop(tmp_path: Path) -> None:
    """R32, R34."""
    numbers: list[int] = []

    async def call(client: httpx2.AsyncClient, number: int) -> None:
        response = await client.post("/mcp", headers=MODERN_CALL, json=roll(number))
        numbers.append(facts_in(message_in(response))["roll_number"])

    async with http_server(tmp_path) as (server, url), http_client(url) as client:
        await is_ready(client)
        await call(client, 1)
        async with anyio.create_task_group() as tasks:
            with held_lock(campaign_file(tmp_path)):
                for number in range(2, 32):
                    tasks.start_soon(call, client, number)
                await calls_run(client, 30)
                server.signal(signal.SIGTERM)
                await server.logged("stopping")
        code = await server.exit_code()

    assert (0, list(range(1, 32))) == (code, sorted(numbers))
    assert [] == left_unclean(tmp_path)


def message_in(response: httpx2.Response) -> Json:
    """The JSON-RPC answer, plain or as the first event of a stream."""
    data = next(line for line in response.text.splitlines() if line.startswith(("data: {", "{")))
    answer: Json = json.loads(data.removeprefix("data: "))
    return answer


async def hold_standing_stream(
    client: httpx2.AsyncClient, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Read the standing stream of a session of the older era until it breaks."""
    hello, initialized = initialize()
    began = await client.post("/mcp", headers=ACCEPT, json=hello)
    session = ACCEPT | {"Mcp-Session-Id": began.headers["Mcp-Session-Id"], "MCP-Protocol-Version": LEGACY}
    await client.post("/mcp", headers=session, json=initialized)
    await read_until_broken(client, "GET", session, None, task_status)


async def hold_subscription(
    client: httpx2.AsyncClient, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Read a subscription of the newer era until it breaks."""
    headers = ACCEPT | {"MCP-Protocol-Version": MODERN, "Mcp-Method": "subscriptions/listen"}
    body = request(7, "subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    await read_until_broken(client, "POST", headers, body, task_status)


async def read_until_broken(
    client: httpx2.AsyncClient,
    method: str,
    headers: dict[str, str],
    body: dict[str, Any] | None,
    task_status: anyio.abc.TaskStatus[None],
) -> None:
    """Hold a stream of events; a server that ends breaks it, which is no failure here."""
    try:
        async with client.stream(method, "/mcp", headers=headers, json=body, timeout=None) as response:
            assert response.headers["Content-Type"].startswith("text/event-stream"), await response.aread()
            task_status.started()
            async for _ in response.aiter_bytes():
                pass
    except httpx2.TransportError:
        return


async def call_until_cut_off(client: httpx2.AsyncClient) -> None:
    """Roll while somebody holds the campaign's lock; whether the refusal arrives is not promised over HTTP."""
    try:
        await client.post("/mcp", headers=MODERN_CALL, json=roll(9))
    except httpx2.TransportError:
        return


async def calls_run(client: httpx2.AsyncClient, count: int) -> None:
    """Return when that many calls run besides the question."""
    headers = MODERN_CALL | {"Mcp-Name": "status_show"}
    body = request(8, "tools/call", {"name": "status_show", "arguments": {"detail": "health"}})
    with anyio.fail_after(20):
        while True:
            answer = message_in(await client.post("/mcp", headers=headers, json=body))
            if facts_in(answer)["running_calls"] > count:
                return


async def test_a_port_in_use_ends_with_78_and_one_sentence(tmp_path: Path) -> None:
    async with http_server(tmp_path) as (_, url):
        port = url.rpartition(":")[2]
        code, said = await refused_start(tmp_path, "--http", "--port", port)

    assert 78 == code
    assert [f"ttrpg-mcp: port {port} on 127.0.0.1 cannot be used: Address already in use."] == said


async def test_an_address_that_strangers_can_reach_ends_with_78_and_one_sentence(tmp_path: Path) -> None:
    code, said = await refused_start(tmp_path, "--http", "--host", "0.0.0.0")  # noqa: S104 - it must be refused

    assert (78, 1) == (code, len(said))
    assert said[0].startswith("ttrpg-mcp: host 0.0.0.0 is refused: ")


async def refused_start(data: Path, *flags: str) -> tuple[int, list[str]]:
    """Exit code and the lines on stderr that are no log lines, of a server that must not start."""
    with anyio.fail_after(20):
        done = await anyio.run_process(command(data, *flags), check=False, env=environment())
    assert done.stdout == b""
    return done.returncode, [line for line in done.stderr.decode().splitlines() if not line.startswith("{")]
