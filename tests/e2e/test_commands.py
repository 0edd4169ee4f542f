"""The commands beside serve, run as people run them."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from tests.e2e.servers import environment
from tests.fakes import facts_of

SECTIONS = {"claude-desktop": "mcpServers", "claude-code": "mcpServers", "cursor": "mcpServers", "vscode": "servers"}
FILES = {
    "claude-desktop": "home/.config/Claude/claude_desktop_config.json",
    "claude-code": "project/.mcp.json",
    "cursor": "project/.cursor/mcp.json",
    "vscode": "project/.vscode/mcp.json",
}

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="clients keep their files elsewhere there")


def run(place: Path, *arguments: str, limit_s: float = 30, **changes: str) -> subprocess.CompletedProcess[str]:
    """The command, in a project of its own and with a home of its own."""
    home, project = place / "home", place / "project"
    for folder in (home, project):
        folder.mkdir(exist_ok=True)
    line = [sys.executable, "-m", "ttrpg_mcp", *arguments]
    own = environment(HOME=str(home), **changes)
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        own.pop(name, None)
    return subprocess.run(line, capture_output=True, text=True, timeout=limit_s, env=own, cwd=project, check=False)


def entry_of(client: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """What the client would start."""
    entry: dict[str, Any] = configuration[SECTIONS[client]]["ttrpg"]
    return entry


def test_the_demo_plays_to_its_end(tmp_path: Path) -> None:
    done = run(tmp_path, "demo", limit_s=110)

    assert (0, "") == (done.returncode, problems(done))
    assert done.stdout.endswith("\nDone: everything above was checked, not only printed.\n")
    assert [] == list((tmp_path / "home").rglob("*.db"))


def problems(done: subprocess.CompletedProcess[str]) -> str:
    """What must never be shown to a person."""
    said = done.stdout + done.stderr
    return "Traceback" if "Traceback" in said else ""


def test_the_doctor_finds_nothing_wrong_with_a_good_folder(tmp_path: Path) -> None:
    done = run(tmp_path, "doctor", "--data", str(tmp_path / "data"))

    lines = done.stdout.splitlines()
    assert (0, "") == (done.returncode, problems(done))
    assert ["ok"] * 5 == [line.split()[0] for line in lines]


def test_the_doctor_finds_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    done = run(tmp_path, "doctor", "--data", str(tmp_path / "file" / "data"))

    assert (1, "") == (done.returncode, problems(done))
    assert "PROBLEM  The data folder " in done.stdout


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_the_doctor_finds_a_folder_without_permission(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o500)

    done = run(tmp_path, "doctor", "--data", str(tmp_path / "data"))

    assert (1, "") == (done.returncode, problems(done))


def test_the_doctor_finds_a_server_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "server.db").write_bytes(b"no database at all, " * 1_000)

    done = run(tmp_path, "doctor", "--data", str(tmp_path / "data"))

    assert (1, "") == (done.returncode, problems(done))
    assert "PROBLEM  The server does not answer: " in done.stdout
    assert (tmp_path / "data" / "server.db").read_bytes().startswith(b"no database at all")


@pytest.mark.parametrize("command", ["doctor", "serve"])
def test_a_relative_folder_is_refused_with_78_and_one_sentence(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, command, "--data", "somewhere")

    assert (78, "") == (done.returncode, done.stdout)
    assert 1 == len(done.stderr.splitlines())
    assert done.stderr.startswith("ttrpg-mcp: data must be an absolute path")


@pytest.mark.parametrize("client", SECTIONS)
def test_the_printed_configuration_is_json_and_writes_nothing(tmp_path: Path, client: str) -> None:
    done = run(tmp_path, "install", "--client", client, "--print", "--data", str(tmp_path / "data"))

    entry = entry_of(client, json.loads(done.stdout))
    assert (0, "") == (done.returncode, done.stderr)
    assert Path(entry["command"]).is_absolute()
    assert ["serve", "--data", str(tmp_path / "data")] == entry["args"][-3:]
    assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]


async def test_the_printed_configuration_starts_a_server_from_a_bare_environment(tmp_path: Path) -> None:
    """As hosts do it: a short PATH and a folder of their own."""
    printed = run(tmp_path, "install", "--client", "claude-code", "--print", "--data", str(tmp_path / "data")).stdout
    entry = entry_of("claude-code", json.loads(printed))
    server = StdioServerParameters(
        command=entry["command"], args=entry["args"], env={"PATH": "/usr/bin:/bin"}, cwd=tmp_path
    )

    with anyio.fail_after(30):
        async with Client(server) as client:
            facts = facts_of(await client.call_tool("dice_roll", {"expression": "1d20"}))

    assert 1 == facts["roll_number"]


@linux
@pytest.mark.parametrize("client", SECTIONS)
def test_install_merges_into_the_file_and_keeps_a_backup(tmp_path: Path, client: str) -> None:
    file = tmp_path / FILES[client]
    section = SECTIONS[client]
    before = {"theme": "dark", section: {"other": {"command": "/bin/other"}, "ttrpg": {"command": "/old"}}}
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(before))

    done = run(tmp_path, "install", "--client", client, "--data", str(tmp_path / "data"))

    after = json.loads(file.read_text())
    (backup,) = file.parent.glob(f"{file.name}.*.bak")
    assert (0, "") == (done.returncode, done.stderr)
    assert before == json.loads(backup.read_text())
    assert str(tmp_path / "data") == entry_of(client, after)["args"][-1]
    after[section].pop("ttrpg")
    assert {"theme": "dark", section: {"other": {"command": "/bin/other"}}} == after


@linux
def test_install_makes_the_file_where_there_is_none(tmp_path: Path) -> None:
    done = run(tmp_path, "install", "--client", "claude-desktop")

    file = tmp_path / FILES["claude-desktop"]
    assert (0, ["ttrpg"]) == (done.returncode, list(json.loads(file.read_text())["mcpServers"]))
    assert [file] == [path for path in tmp_path.rglob("*") if path.is_file()]


@linux
@pytest.mark.parametrize("content", ["{ broken", "[]", '{"mcpServers": []}', "\x00"])
def test_install_leaves_a_file_alone_that_it_does_not_understand(tmp_path: Path, content: str) -> None:
    file = tmp_path / FILES["claude-desktop"]
    file.parent.mkdir(parents=True)
    file.write_text(content)

    done = run(tmp_path, "install", "--client", "claude-desktop")

    assert (78, content) == (done.returncode, file.read_text())
    assert 1 == len(done.stderr.splitlines())
    assert [file] == [path for path in tmp_path.rglob("*") if path.is_file()]
