"""tools/call against the echo of a bare server: over stdio and HTTP, and inside one process."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mcp import Client

from benchmarks.bare import make_bare_server
from benchmarks.commit import bare_commit
from benchmarks.peers import Link, bare_command, http_link, our_command, stdio_link
from benchmarks.table import Row
from benchmarks.timing import Burst, Costs, async_burst, ratio, rounds, sync_burst
from benchmarks.wire import ERAS, Era
from ttrpg_mcp.app import build
from ttrpg_mcp.settings import Settings

__all__ = ["measure"]

_TARGET = 1.5
_READS: dict[str, tuple[str, dict[str, Any]]] = {
    "status_show": ("status_show", {}),
    "status_show health": ("status_show", {"detail": "health"}),
    "history_show 5 rolls": ("history_show", {"limit": 5}),
}
_ECHO = ("echo", {"text": "1d20+5"})
_ROLL = {"expression": "1d20+5", "label": "Mira attacks"}


async def measure(folder: Path, *, quick: bool) -> list[Row]:
    """Every transport in both eras."""
    rows = []
    for era in ERAS:
        rows += await _in_memory(folder / f"memory-{era}", era, 5 if quick else 15)
    for transport in ("stdio", "http"):
        for era in ERAS:
            rows += await _over_wire(folder / f"{transport}-{era}", transport, era, 5 if quick else 15)
    return rows


async def _in_memory(data: Path, era: Era, count: int) -> list[Row]:
    subjects: dict[str, Burst] = {}
    async with Client(make_bare_server(), mode=era) as bare, Client(build(Settings(data=data)), mode=era) as ours:
        for _ in range(5):
            await ours.call_tool("dice_roll", _ROLL)
        for client in (bare, ours):
            _check_nothing(client)
        subjects["echo"] = async_burst(lambda: bare.call_tool(*_ECHO), 40)
        for name, (tool, arguments) in _READS.items():
            subjects[name] = async_burst(lambda tool=tool, given=arguments: ours.call_tool(tool, given), 40)  # type: ignore[misc]
        costs = await rounds(count, subjects)
    return [_row(f"in memory, {era}", costs, name, "echo") for name in _READS]


def _check_nothing(client: Client) -> None:
    """Leave out the client's own check of an answer's schema: it would be most of what is measured."""

    async def pass_all(_name: str, _result: object) -> None:
        """Accept it."""

    setattr(client.session, "validate_tool_result", pass_all)  # noqa: B010 - this one client's, not the class's


async def _over_wire(data: Path, transport: str, era: Era, count: int) -> list[Row]:
    with _links(data, transport, era) as (bare, ours), ExitStack() as stack:
        keys = itertools.count()
        ours.call("dice_roll", {**_ROLL, "request_key": "the rows of a keyed roll"})
        commit = stack.enter_context(bare_commit(data))
        for _ in range(5):
            ours.call("dice_roll", _ROLL)

        def keyed_roll() -> None:
            ours.call("dice_roll", {**_ROLL, "request_key": f"roll {next(keys)}"})

        subjects: dict[str, Burst] = {
            "echo": sync_burst(lambda: bare.call(*_ECHO), 30, bare.cpu_s),
            "commit": sync_burst(commit.roll, 30),
            "keyed commit": sync_burst(commit.keyed_roll, 30),
            "dice_roll": sync_burst(lambda: ours.call("dice_roll", _ROLL), 30, ours.cpu_s),
            "dice_roll with request_key": sync_burst(keyed_roll, 30, ours.cpu_s),
        }
        for name, read in _READS.items():
            subjects[name] = sync_burst(_reader(ours, *read), 30, ours.cpu_s)
        costs = await rounds(count, subjects)
    family = f"{transport}, {era}"
    # Over HTTP a write is printed only.
    target = _TARGET if transport == "stdio" else None
    return [
        *(_row(family, costs, name, "echo") for name in _READS),
        _row(family, costs, "dice_roll", "echo", "commit", target=target),
        _row(family, costs, "dice_roll with request_key", "echo", "keyed commit", target=target),
        _row(family, costs, "commit", "echo", target=None),
    ]


@contextmanager
def _links(data: Path, transport: str, era: Era) -> Iterator[tuple[Link, Link]]:
    if transport == "stdio":
        with stdio_link(bare_command(), era) as bare, stdio_link(our_command(data), era) as ours:
            yield bare, ours
    else:
        options = ("--http", "--port", "0")
        with http_link(bare_command("--http"), era) as bare_http, http_link(our_command(data, *options), era) as http:
            yield bare_http, http


def _reader(link: Link, tool: str, arguments: dict[str, Any]) -> Callable[[], object]:
    return lambda: link.call(tool, arguments)


def _row(family: str, costs: Costs, subject: str, *rivals: str, target: float | None = _TARGET) -> Row:
    wall, cpu = ratio(costs, subject, *rivals)
    return Row(f"tools/call {family}", f"{subject} / {' + '.join(rivals)}", wall, target, cpu)
