"""The list of promises against the tests, in both directions."""

import ast
import re
from pathlib import Path

from tests.promises import PROMISES, REQUIREMENTS

TESTS = Path(__file__).resolve().parent.parent
MODULES = sorted(path for path in TESTS.rglob("test_*.py"))


def named(path: Path) -> str:
    return path.relative_to(TESTS).as_posix()


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [node for node in found if node.name.startswith("test_")]


def test_every_promise_names_tests_that_exist() -> None:
    existing = {f"{named(path)}::{node.name}" for path in MODULES for node in functions(path)}

    assert not {test for tests in PROMISES.values() for test in tests} - existing
    assert all(PROMISES.values())


def test_every_end_to_end_module_keeps_a_promise() -> None:
    keeping = {test.partition("::")[0] for tests in PROMISES.values() for test in tests}

    assert not {named(path) for path in MODULES if path.parent.name == "e2e"} - keeping


def test_the_acceptance_rows_that_are_built_are_those_that_tests_cite() -> None:
    """A row counts as built when a test's or a test module's docstring cites it."""
    cited: set[str] = set()
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documented = [tree, *functions(path)]
        cited |= {row for node in documented for row in re.findall(r"\bR\d\d\b", ast.get_docstring(node) or "")}

    assert cited == REQUIREMENTS
