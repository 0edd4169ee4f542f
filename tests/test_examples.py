"""The examples run, and the configurations are those that the program writes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ttrpg_mcp.commands.install import CLIENTS, configuration

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@pytest.mark.parametrize("story", sorted(EXAMPLES.glob("*/story.py")), ids=lambda path: path.parent.name)
def test_the_story_runs_and_its_assertions_hold(story: Path) -> None:
    done = subprocess.run([sys.executable, story], capture_output=True, text=True, timeout=60, check=False)

    assert 0 == done.returncode, done.stderr
    assert done.stdout


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_a_configuration_to_paste_has_the_shape_that_install_writes(client: str) -> None:
    pasted = json.loads((EXAMPLES / "clients" / f"{client}.json").read_text(encoding="utf-8"))

    written = configuration(client)
    for config in (pasted, written):
        server = config[CLIENTS[client].section]["ttrpg"]
        server.update(command="", args=[])
    assert written == pasted
