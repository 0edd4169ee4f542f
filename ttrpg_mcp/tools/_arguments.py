"""Slim schemas, strict arguments, and argument errors in our own words."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from mcp.server.mcpserver.tools import Tool
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ttrpg_mcp.tools._spec import ToolSpec
from ttrpg_mcp.tools.errors import BadArguments, FieldProblem

__all__ = ["bad_arguments", "make_tool", "near", "size_exceeds", "without_titles"]

_MOST_FIELDS = 8
_ECHO_LETTERS = 40
_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}
_EXAMPLES = {"integer": "1", "number": "1.5", "string": '"text"', "boolean": "true", "array": "[]", "object": "{}"}


def make_tool(spec: ToolSpec) -> Tool:
    """The SDK's tool for a spec: strict about unknown arguments, and without the titles that nobody reads."""
    tool = Tool.from_function(
        spec.handler, title=spec.title, description=spec.description, annotations=spec.annotations()
    )
    # The only place that touches the inside of the SDK's tool: it makes the argument model itself and leaves it lax.
    model = tool.fn_metadata.arg_model
    model.model_config["extra"] = "forbid"
    model.model_rebuild(force=True)
    tool.parameters = without_titles(model.model_json_schema(by_alias=True)) | {"additionalProperties": False}
    return tool


def without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without generated titles and with `X or null` folded into X; an argument *named* `title` stays."""
    options = schema.get("anyOf", [])
    if len(options) == 2 and {"type": "null"} in options:
        rest = {key: value for key, value in schema.items() if key not in {"anyOf", "default"}}
        return without_titles(next(option for option in options if option != {"type": "null"}) | rest)
    return {
        key: _slimmed(key, value) for key, value in schema.items() if not (key == "title" and isinstance(value, str))
    }


def _slimmed(key: str, value: Any) -> Any:
    if key == "properties":
        return {name: without_titles(entry) for name, entry in value.items()}
    if isinstance(value, dict):
        return without_titles(value)
    if isinstance(value, list):
        return [without_titles(entry) if isinstance(entry, dict) else entry for entry in value]
    return value


def near(word: str, known: Iterable[str]) -> list[str]:
    """Up to three known words that look like this one, nearest first; the order of their parts does not matter."""
    by_parts = {_parts(name): name for name in known}
    return [by_parts[match] for match in get_close_matches(_parts(word[:80]), list(by_parts), n=3, cutoff=0.6)]


def _parts(word: str) -> str:
    return "_".join(sorted(word.lower().replace("-", "_").split("_")))


def size_exceeds(limit: int, value: object) -> bool:
    """Whether the arguments hold more than `limit` letters and entries together; stops counting there."""
    budget = limit
    for size in _sizes(value):
        budget -= size
        if budget < 0:
            return True
    return False


def _sizes(value: object) -> Iterator[int]:
    pending = [value]
    while pending:
        entry = pending.pop()
        if isinstance(entry, str):
            yield len(entry)
        elif isinstance(entry, dict):
            yield len(entry)
            pending.extend(entry.keys())
            pending.extend(entry.values())
        elif isinstance(entry, list):
            yield len(entry)
            pending.extend(entry)


def bad_arguments(spec: ToolSpec, tool: Tool, error: ValidationError) -> BadArguments:
    """The SDK's argument error in words that a model can act on."""
    properties: dict[str, Any] = tool.parameters.get("properties", {})
    details = error.errors(include_url=False)[:_MOST_FIELDS]
    problems = [_problem(spec, properties, detail) for detail in details]
    suggestions = [
        name
        for detail in details
        if detail["type"] == "extra_forbidden"
        for name in _meant(spec, properties, detail)[:1]
    ]
    return BadArguments(spec.name, problems, suggestions)


def _meant(spec: ToolSpec, properties: Mapping[str, Any], detail: ErrorDetails) -> list[str]:
    word = str(detail["loc"][-1])
    alias = spec.near_names.get(word.lower())
    return [alias] if alias else near(word, properties)


def _problem(spec: ToolSpec, properties: Mapping[str, Any], detail: ErrorDetails) -> FieldProblem:
    path = ".".join(str(part) for part in detail["loc"]) or "arguments"
    schema: dict[str, Any] = properties.get(str(detail["loc"][0]), {}) if detail["loc"] else {}
    match detail["type"]:
        case "extra_forbidden":
            matches = _meant(spec, properties, detail)
            hint = f"; did you mean `{matches[0]}`?" if matches else ""
            return FieldProblem(_echo(path), f"is an unknown argument{hint}", f"known: {', '.join(properties)}")
        case "missing":
            return FieldProblem(path, "is required", f"example: {_example(schema)}")
        case "literal_error" | "enum":
            choices = [str(choice) for choice in schema.get("enum", [])]
            nearest = near(str(detail["input"]), choices)
            ordered = nearest + [choice for choice in choices if choice not in nearest]
            return FieldProblem(path, f"{_echo(detail['input'])} is not one of the choices", ", ".join(ordered))
        case _:
            return FieldProblem(path, *_limit_or_kind(detail, schema))


def _limit_or_kind(detail: ErrorDetails, schema: Mapping[str, Any]) -> tuple[str, str]:
    """What is wrong and what would do, for everything that is neither unknown, missing nor a choice."""
    context = detail.get("ctx", {})
    kind = str(detail["type"])
    if kind == "value_error":
        return str(context["error"]), ""
    if kind == "string_pattern_mismatch":
        return "has letters that are not allowed", "printable ASCII letters"
    if kind == "string_too_long":
        return f"has {len(str(detail['input'])):,} letters", f"at most {context['max_length']:,}"
    if kind in {"greater_than_equal", "less_than_equal"}:
        return f"{_echo(detail['input'])} is out of range", _range(schema)
    wanted = str(schema.get("type", ""))
    return (
        f"should be {_KINDS.get(wanted, 'of another kind')}, not {_echo(detail['input'])}",
        f"example: {_example(schema)}",
    )


def _range(schema: Mapping[str, Any]) -> str:
    return f"{schema.get('minimum', '')} to {schema.get('maximum', '')}".strip().removeprefix("to ").removesuffix(" to")


def _example(schema: Mapping[str, Any]) -> str:
    if examples := schema.get("examples"):
        return f'"{examples[0]}"' if isinstance(examples[0], str) else str(examples[0])
    if choices := schema.get("enum"):
        return f'"{choices[0]}"'
    return _EXAMPLES.get(str(schema.get("type", "")), "a value")


def _echo(value: object) -> str:
    """At most 40 printable letters of a value."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(value)[: _ECHO_LETTERS + 1])
    return text[: _ECHO_LETTERS - 1] + "…" if len(text) > _ECHO_LETTERS else text
