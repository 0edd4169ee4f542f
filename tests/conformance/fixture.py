"""A server for the conformance suite: our gate, our HTTP edge, our store, and what the suite asks for by name.

`python -m tests.conformance.fixture --data FOLDER` serves the suite's tools, resources and prompts; with `--product`
the tools of the product instead; with `--faults` on a store whose attempts fail now and then.
"""

import argparse
import base64
import json
from pathlib import Path
from typing import Any

import anyio
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts.base import Message, UserMessage
from mcp.types import (
    CompleteRequestParams,
    CompleteResult,
    Completion,
    ElicitResult,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequiredResult,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextResourceContents,
    UnsubscribeRequestParams,
)

from tests.conformance.faults import FlakyStore
from tests.conformance.fixture_tools import FIXTURE_TOOLS, PNG, SCHEMA_2020_12, SCHEMA_TOOL, ask
from ttrpg_mcp.app import build
from ttrpg_mcp.edge import serve_http
from ttrpg_mcp.logs import set_up_logging
from ttrpg_mcp.play.ports import Ports
from ttrpg_mcp.recovery.clock import SystemClock
from ttrpg_mcp.server import TtrpgServer
from ttrpg_mcp.settings import Settings
from ttrpg_mcp.store.store import SqliteStore
from ttrpg_mcp.tools import all_tools

__all__ = ["add_fixtures"]


def add_fixtures(server: TtrpgServer) -> None:
    """Add what the suite names beside tools."""
    tool = server._tool_manager.get_tool(SCHEMA_TOOL)
    assert tool is not None
    tool.parameters = dict(SCHEMA_2020_12)  # no Python signature makes this schema
    _add_resources(server)
    _add_prompts(server)
    _add_handlers(server)


def _add_resources(server: TtrpgServer) -> None:
    @server.resource("test://static-text", description="A text.", mime_type="text/plain")
    async def static_text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", description="A picture.", mime_type="image/png")
    async def static_binary() -> bytes:
        return base64.b64decode(PNG)

    @server.resource("test://watched-resource", description="A text that may change.", mime_type="text/plain")
    async def watched_resource() -> str:
        return "Watch this."

    @server.resource("test://template/{id}/data", description="A text by id.", mime_type="application/json")
    async def template(id: str) -> str:  # noqa: A002 - the suite's name
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def _add_prompts(server: TtrpgServer) -> None:
    @server.prompt(description="A prompt without arguments.")
    async def test_simple_prompt() -> list[Message]:
        return [UserMessage("This is a simple prompt for testing.")]

    @server.prompt(description="A prompt with two arguments.")
    async def test_prompt_with_arguments(arg1: str, arg2: str) -> list[Message]:
        return [UserMessage(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'")]

    @server.prompt(description="A prompt with a resource.")
    async def test_prompt_with_embedded_resource(resourceUri: str) -> list[Message]:  # noqa: N803 - the suite's name
        text = "Embedded resource content for testing."
        resource = TextResourceContents(uri=resourceUri, mime_type="text/plain", text=text)
        return [
            UserMessage(EmbeddedResource(type="resource", resource=resource)),
            UserMessage("Please process the embedded resource above."),
        ]

    @server.prompt(description="A prompt with a picture.")
    async def test_prompt_with_image() -> list[Message]:
        image = ImageContent(type="image", data=PNG, mime_type="image/png")
        return [UserMessage(image), UserMessage("Please analyze the image above.")]

    @server.prompt(description="A prompt that asks the person first.")
    async def test_input_required_result_prompt(ctx: Context[Ports]) -> list[Message] | InputRequiredResult:
        response = (ctx.input_responses or {}).get("user_context")
        if isinstance(response, ElicitResult):
            return [UserMessage(f"Context: {(response.content or {}).get('context', '')}")]
        question = ask("What context should the prompt use?", context="string")
        return InputRequiredResult(input_requests={"user_context": question})


def _add_handlers(server: TtrpgServer) -> None:
    """Completion, and the methods of the handshake era that the SDK serves on its lower level alone."""

    async def complete(ctx: Any, params: CompleteRequestParams) -> CompleteResult:
        words = ("paris", "park", "party", "test")
        values = [word for word in words if word.startswith(params.argument.value)]
        return CompleteResult(completion=Completion(values=values, has_more=False))

    async def accept(ctx: Any, params: Any) -> EmptyResult:
        return EmptyResult()

    low = server._lowlevel_server
    low.add_request_handler("completion/complete", CompleteRequestParams, complete)
    low.add_request_handler("resources/subscribe", SubscribeRequestParams, accept)
    low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, accept)
    low.add_request_handler("logging/setLevel", SetLevelRequestParams, accept)


def main() -> None:
    """Serve over HTTP on a free port until a signal comes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--product", action="store_true")
    parser.add_argument("--faults", action="store_true")
    options = parser.parse_args()
    set_up_logging("info")
    clock = SystemClock()
    settings = Settings(data=options.data, http=True, port=0)
    specs = all_tools() if options.product else FIXTURE_TOOLS
    make_store = FlakyStore if options.faults else SqliteStore
    server = build(settings, clock=clock, specs=specs, make_store=make_store)
    if not options.product:
        add_fixtures(server)
    anyio.run(serve_http, server, settings, clock)


if __name__ == "__main__":
    main()
