"""schemas/ is what the code says, and the tool list is within its budget."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.fakes import ERAS, client_of, facts_of
from ttrpg_mcp import schemas
from ttrpg_mcp.schemas import FOLDER, generate


def test_the_schemas_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == schemas.main(["--check"]), capsys.readouterr().out


def test_a_stale_schema_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "FOLDER", tmp_path)

    before = schemas.main(["--check"])
    schemas.main([])
    written = schemas.main(["--check"])
    (tmp_path / "faults.json").write_text("{}")
    after = schemas.main(["--check"])

    assert (1, 0, 1) == (before, written, after)


@pytest.mark.parametrize("era", ERAS)
async def test_the_tool_list_on_the_wire_is_that_of_the_schemas_and_within_budget(era: str, tmp_path: Path) -> None:
    async with client_of(tmp_path, era) as client:
        tools = (await client.list_tools()).tools
        listed = [tool.model_dump(by_alias=True, exclude_none=True, mode="json") for tool in tools]

    costs = {}
    for tool in listed:
        published = json.loads((FOLDER / "tools" / f"{tool['name']}.json").read_text(encoding="utf-8"))
        assert published["inputSchema"] == tool["inputSchema"]
        counted = {key: tool[key] for key in ("name", "description", "inputSchema")}
        costs[tool["name"]] = -(-len(json.dumps(counted, ensure_ascii=False, separators=(",", ":"))) // 4)
    assert generate()["budget.json"]["tools"] == costs
    assert max(costs.values()) <= 300
    assert sum(costs.values()) <= 5_500


def test_every_argument_is_described_in_at_most_twelve_words_and_bounded() -> None:
    for path in (FOLDER / "tools").glob("*.json"):
        for name, entry in json.loads(path.read_text(encoding="utf-8"))["inputSchema"]["properties"].items():
            where = f"{path.stem}.{name}"
            assert 1 <= len(entry["description"].split()) <= 12, where
            assert entry["type"] != "string" or "enum" in entry or "maxLength" in entry or name == "expression", where


async def test_answers_fit_their_published_schema_and_are_short(tmp_path: Path) -> None:
    calls: dict[str, dict[str, Any]] = {
        "dice_roll": {"expression": "4d6kh3+2", "dc": 10},
        "campaign_manage": {"action": "list"},
        "status_show": {},
        "history_show": {},
    }
    async with client_of(tmp_path) as client:
        for name, arguments in calls.items():
            facts = facts_of(await client.call_tool(name, arguments))
            schema = json.loads((FOLDER / "tools" / f"{name}.json").read_text(encoding="utf-8"))["outputSchema"]
            Draft202012Validator(schema).validate(facts)
            assert "summary" == next(iter(facts))
            assert len(json.dumps(facts, separators=(",", ":"))) // 4 < 500
