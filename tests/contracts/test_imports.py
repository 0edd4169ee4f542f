"""The layers of the design, checked by import-linter."""

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import ttrpg_mcp

PACKAGE = Path(ttrpg_mcp.__file__).parent


def test_the_import_contracts_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")

    done = subprocess.run([linter, "--no-cache"], cwd=PACKAGE.parent, capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stdout


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("sqlite3", ("store/",)),
        ("aiosqlite", ("store/",)),
        ("httpx2", ("outside/http.py",)),
        ("random", ("recovery/",)),
        ("time", ("recovery/clock.py", "commands/doctor.py")),
    ],
)
def test_a_dangerous_module_is_imported_in_its_place_only(module: str, allowed: tuple[str, ...]) -> None:
    """R04: no database or network call passes beside the pipeline; time and chance are parameters."""
    importers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if module in _imported(ast.parse(path.read_text(encoding="utf-8")))
    }

    assert not {importer for importer in importers if not importer.startswith(allowed)}


def _imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
    assert find_spec("ttrpg_mcp.py") is None
