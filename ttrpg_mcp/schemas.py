"""python -m ttrpg_mcp.schemas [--check]: writes schemas/, or says whether it is current.

What stands there is what clients and file readers see: each tool with its input and output, the stored records, the
recovery matrix, the settings, and what the tool list costs in tokens.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ttrpg_mcp.faults import CLASS_CODES, ERROR_RECOVERY_STRATEGIES, SENTENCES, Sentence
from ttrpg_mcp.play.ports import CallEntry, Campaign, CampaignEntry, ChangeEntry, RollEntry
from ttrpg_mcp.settings import ENVIRONMENT_PREFIX, Settings
from ttrpg_mcp.tools import all_tools
from ttrpg_mcp.tools._arguments import make_tool, without_titles

__all__ = ["budget", "generate", "main"]

FOLDER = Path(__file__).resolve().parent.parent / "schemas"
_RECORDS = (Campaign, CampaignEntry, RollEntry, ChangeEntry, CallEntry)


def generate() -> Mapping[str, Any]:
    """Every file of schemas/ by its path, as JSON data."""
    files = {f"tools/{name}.json": tool for name, tool in _tools().items()}
    return files | {
        "budget.json": budget(),
        "faults.json": _faults(),
        "records.json": {record.__name__: without_titles(TypeAdapter(record).json_schema()) for record in _RECORDS},
        "settings.json": _settings(),
    }


def budget() -> Mapping[str, Any]:
    """Tokens of each tool's name, description and input, counted as letters / 4 of the compact JSON."""
    tokens = {
        name: _tokens({key: tool[key] for key in ("name", "description", "inputSchema")})
        for name, tool in _tools().items()
    }
    return {"tools": tokens, "total": sum(tokens.values())}


def _tokens(value: Any) -> int:
    return -(-len(json.dumps(value, ensure_ascii=False, separators=(",", ":"))) // 4)


def _tools() -> dict[str, dict[str, Any]]:
    shown = {}
    for spec in all_tools():
        tool = make_tool(spec)
        shown[spec.name] = {
            "name": spec.name,
            "title": spec.title,
            "description": spec.description,
            "annotations": spec.annotations().model_dump(by_alias=True, exclude_none=True),
            "inputSchema": tool.parameters,
            "outputSchema": tool.output_schema,
        }
    return shown


def _faults() -> Mapping[str, Any]:
    classes: dict[str, list[str]] = {}
    for entry, code in CLASS_CODES.items():
        classes.setdefault(code, []).append(entry.__name__)
    return {
        code: _fault(code) | {"classes": sorted(classes.get(code, []))} for code in sorted(ERROR_RECOVERY_STRATEGIES)
    }


def _fault(code: str) -> dict[str, Any]:
    row, sentence = ERROR_RECOVERY_STRATEGIES[code], SENTENCES.get(code, Sentence())
    told = {entry.name: getattr(row, entry.name) for entry in fields(row) if entry.name != "code"}
    return told | {"kept": sentence.kept, "advice": sentence.advice, "state_changed": sentence.state_changed}


def _settings() -> Mapping[str, Any]:
    return {
        entry.name: {
            "environment": ENVIRONMENT_PREFIX + entry.name.upper(),
            "flag": "--" + entry.name.replace("_", "-"),
            "meaning": entry.metadata["meaning"],
            "unit": entry.metadata["unit"],
            "default": None if entry.name == "data" else entry.default,
        }
        for entry in fields(Settings)
    }


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with --check name those that are not current and end with 1."""
    parser = argparse.ArgumentParser(description="Generate schemas/ from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when a file is not current")
    options = parser.parse_args(arguments)
    texts = {path: json.dumps(content, indent=2, ensure_ascii=False) + "\n" for path, content in generate().items()}
    present = {
        str(path.relative_to(FOLDER).as_posix()): path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.json")
    }
    stale = sorted(path for path in texts.keys() | present.keys() if texts.get(path) != present.get(path))
    if options.check:
        print("\n".join(f"not current: schemas/{path}" for path in stale) or "schemas/ is current")
        return 1 if stale else 0
    for path in stale:
        _write(FOLDER / path, texts.get(path))
    print(f"schemas/: {len(stale)} of {len(texts)} files written")
    return 0


def _write(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
