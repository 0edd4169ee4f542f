"""The tools that the conformance suite calls by name, declared as ours are, so that the one gate is in front of them.

Each takes `campaign`, as every tool of ours does: a call passes admission, deadline, the choice of a campaign in a real
store, and that campaign's slots, and writes to its file before it is answered. Names, texts and shapes are the suite's
own requirements.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Annotated, Any, TypeVar

import anyio
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    CallToolResult,
    ClientCapabilities,
    ContentBlock,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmbeddedResource,
    ImageContent,
    InputRequests,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    MissingRequiredClientCapabilityErrorData,
    SamplingCapability,
    SamplingMessage,
    TextContent,
    TextResourceContents,
)
from pydantic import Field

from ttrpg_mcp.play.ports import Ports
from ttrpg_mcp.recovery.op_classes import OpClass
from ttrpg_mcp.tools._call import current_call, ports
from ttrpg_mcp.tools._spec import ToolSpec
from ttrpg_mcp.tools._wire import CampaignName

__all__ = ["FIXTURE_TOOLS", "PNG", "SCHEMA_2020_12", "SCHEMA_TOOL", "ask"]

FIXTURE_TOOLS: list[ToolSpec] = []

Ctx = Context[Ports]
Result = CallToolResult | InputRequiredResult
Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])

# One red pixel, and a tenth of a millisecond of silence.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAAAAA=="

SCHEMA_TOOL = "json_schema_2020_12_tool"
SCHEMA_2020_12: Mapping[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def _plain_tool(handler: Handler) -> Handler:
    """Make it one of the tools, under its own name; it takes its campaign's write lock before it answers."""

    @wraps(handler)
    async def saving(**values: Any) -> Any:
        await ports(values["ctx"]).store.write(current_call.get().call, lambda _: None)
        return await handler(**values)

    spec = ToolSpec(
        handler=saving,
        title=handler.__name__.replace("_", " "),
        description=f"What the conformance suite asks of {handler.__name__}.",
        family="campaign",
        op_class=OpClass.PURE,
    )
    FIXTURE_TOOLS.append(spec)
    return handler


def _tool(handler: Handler) -> Handler:
    """Make it one of the tools. The suite calls it `test_...`, which in this folder would be the name of a test."""
    handler.__name__ = f"test_{handler.__name__}"
    return _plain_tool(handler)


def ask(message: str, **properties: str) -> ElicitRequest:
    """A form with these required fields, each with its JSON type."""
    schema = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in properties.items()},
        "required": list(properties),
    }
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _sample(prompt: str, max_tokens: int) -> CreateMessageRequest:
    messages = [SamplingMessage(role="user", content=TextContent(type="text", text=prompt))]
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=messages, max_tokens=max_tokens))


def _told(*blocks: str | ContentBlock) -> CallToolResult:
    content = [TextContent(type="text", text=block) if isinstance(block, str) else block for block in blocks]
    return CallToolResult(content=content)


def _form(ctx: Ctx, key: str) -> Mapping[str, Any] | None:
    """The form that came back under this key; None when there is none or it was not accepted."""
    response = (ctx.input_responses or {}).get(key)
    return (response.content or {}) if isinstance(response, ElicitResult) and response.action == "accept" else None


def _resource(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


# Kinds of content


@_tool
async def simple_text(ctx: Ctx, campaign: CampaignName = "") -> CallToolResult:
    return _told("This is a simple text response for testing.")


@_tool
async def image_content(ctx: Ctx, campaign: CampaignName = "") -> CallToolResult:
    return _told(ImageContent(type="image", data=PNG, mime_type="image/png"))


@_tool
async def audio_content(ctx: Ctx, campaign: CampaignName = "") -> CallToolResult:
    return _told(AudioContent(type="audio", data=WAV, mime_type="audio/wav"))


@_tool
async def embedded_resource(ctx: Ctx, campaign: CampaignName = "") -> CallToolResult:
    return _told(_resource("test://embedded-resource", "text/plain", "This is an embedded resource content."))


@_tool
async def multiple_content_types(ctx: Ctx, campaign: CampaignName = "") -> CallToolResult:
    return _told(
        "Multiple content types test:",
        ImageContent(type="image", data=PNG, mime_type="image/png"),
        _resource("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
    )


@_plain_tool
async def json_schema_2020_12_tool(
    ctx: Ctx,
    name: str = "",
    contactMethod: str = "",  # noqa: N803 - the suite's name
    phone: str = "",
    email: str = "",
    campaign: CampaignName = "",
) -> CallToolResult:
    return _told("This tool is there for its schema.")


@_tool
async def header_argument(
    ctx: Ctx, region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})], campaign: CampaignName = ""
) -> CallToolResult:
    return _told(f"Region: {region}")


# Errors, progress, log messages, list changes


@_tool
async def error_handling(ctx: Ctx, campaign: CampaignName = "") -> CallToolResult:
    raise ValueError("This tool intentionally returns an error for testing")


@_tool
async def tool_with_progress(ctx: Ctx, campaign: CampaignName = "") -> CallToolResult:
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100)
        await anyio.sleep(0.05)
    return _told("Progress was reported.")


@_tool
async def tool_with_logging(ctx: Ctx, campaign: CampaignName = "") -> CallToolResult:
    for text in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.info(text)
        await anyio.sleep(0.05)
    return _told("Log messages were sent.")


@_tool
async def logging_tool(ctx: Ctx, campaign: CampaignName = "") -> CallToolResult:
    await ctx.info("Only those who asked for it read this.")
    return _told("A log message was sent.")


@_tool
async def trigger_tool_change(ctx: Ctx, campaign: CampaignName = "") -> CallToolResult:
    await ctx.notify_tools_changed()
    return _told("The list of tools changed.")


@_tool
async def trigger_prompt_change(ctx: Ctx, campaign: CampaignName = "") -> CallToolResult:
    await ctx.notify_prompts_changed()
    return _told("The list of prompts changed.")


# Live questions to the client, in the handshake era


@_tool
async def sampling(ctx: Ctx, prompt: str, campaign: CampaignName = "") -> CallToolResult:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
    answer = await ctx.session.create_message([message], max_tokens=100, related_request_id=ctx.request_id)
    return _told(f"LLM response: {answer.content.text if isinstance(answer.content, TextContent) else ''}")


async def _elicited(ctx: Ctx, message: str, properties: Mapping[str, Any]) -> CallToolResult:
    schema = {"type": "object", "properties": dict(properties), "required": list(properties)}
    answer = await ctx.session.elicit(message, schema, related_request_id=ctx.request_id)
    return _told(f"Elicitation completed: action={answer.action}, content={answer.content}")


@_tool
async def elicitation(ctx: Ctx, message: str, campaign: CampaignName = "") -> CallToolResult:
    return await _elicited(ctx, message, {"username": {"type": "string"}, "email": {"type": "string"}})


@_tool
async def elicitation_sep1034_defaults(ctx: Ctx, campaign: CampaignName = "") -> CallToolResult:
    properties = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    }
    return await _elicited(ctx, "Please look over these defaults.", properties)


@_tool
async def elicitation_sep1330_enums(ctx: Ctx, campaign: CampaignName = "") -> CallToolResult:
    options = ["option1", "option2", "option3"]
    titled = [{"const": f"value{number}", "title": f"Choice {number}"} for number in (1, 2, 3)]
    legacy = {"enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"]}
    properties = {
        "untitledSingle": {"type": "string", "enum": options},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {"type": "string", **legacy},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    }
    return await _elicited(ctx, "Please choose.", properties)


# Questions as results, in the 2026-07-28 era


@_tool
async def missing_capability(ctx: Ctx, campaign: CampaignName = "") -> CallToolResult:
    if ctx.client_capabilities and ctx.client_capabilities.sampling:
        return _told("The client can sample.")
    data = MissingRequiredClientCapabilityErrorData(
        required_capabilities=ClientCapabilities(sampling=SamplingCapability())
    )
    raise MCPError(
        MISSING_REQUIRED_CLIENT_CAPABILITY,
        "This tool needs a client that samples.",
        data.model_dump(by_alias=True, mode="json", exclude_none=True),
    )


@_tool
async def streaming_elicitation(ctx: Ctx, campaign: CampaignName = "") -> Result:
    return InputRequiredResult(input_requests={"user_name": ask("What is your name?", name="string")})


@_tool
async def input_required_result_elicitation(ctx: Ctx, campaign: CampaignName = "") -> Result:
    if form := _form(ctx, "user_name"):
        return _told(f"Hello, {form.get('name', '')}!")
    return InputRequiredResult(input_requests={"user_name": ask("What is your name?", name="string")})


@_tool
async def input_required_result_sampling(ctx: Ctx, campaign: CampaignName = "") -> Result:
    response = (ctx.input_responses or {}).get("capital_question")
    if isinstance(response, CreateMessageResult) and isinstance(response.content, TextContent):
        return _told(response.content.text)
    return InputRequiredResult(input_requests={"capital_question": _sample("What is the capital of France?", 100)})


@_tool
async def input_required_result_list_roots(ctx: Ctx, campaign: CampaignName = "") -> Result:
    response = (ctx.input_responses or {}).get("client_roots")
    if isinstance(response, ListRootsResult):
        return _told(f"Roots: {', '.join(str(root.uri) for root in response.roots)}")
    return InputRequiredResult(input_requests={"client_roots": ListRootsRequest()})


@_tool
async def input_required_result_request_state(ctx: Ctx, campaign: CampaignName = "") -> Result:
    if ctx.request_state == "waiting" and _form(ctx, "confirm"):
        return _told("state-ok")
    return InputRequiredResult(input_requests={"confirm": ask("Please confirm", ok="boolean")}, request_state="waiting")


@_tool
async def input_required_result_tampered_state(ctx: Ctx, campaign: CampaignName = "") -> Result:
    return await input_required_result_request_state(ctx, campaign)


@_tool
async def input_required_result_multiple_inputs(ctx: Ctx, campaign: CampaignName = "") -> Result:
    if ctx.request_state == "waiting" and {"user_name", "greeting", "client_roots"} <= set(ctx.input_responses or {}):
        return _told("Thank you for all three.")
    requests: InputRequests = {
        "user_name": ask("What is your name?", name="string"),
        "greeting": _sample("Generate a greeting", 50),
        "client_roots": ListRootsRequest(),
    }
    return InputRequiredResult(input_requests=requests, request_state="waiting")


@_tool
async def input_required_result_multi_round(ctx: Ctx, campaign: CampaignName = "") -> Result:
    if ctx.request_state == "second" and (form := _form(ctx, "step2")):
        return _told(f"Your favorite color is {form.get('color', '')}.")
    if ctx.request_state == "first" and _form(ctx, "step1"):
        second = ask("Step 2: What is your favorite color?", color="string")
        return InputRequiredResult(input_requests={"step2": second}, request_state="second")
    first = ask("Step 1: What is your name?", name="string")
    return InputRequiredResult(input_requests={"step1": first}, request_state="first")


@_tool
async def input_required_result_capabilities(ctx: Ctx, campaign: CampaignName = "") -> Result:
    can = ctx.client_capabilities or ClientCapabilities()
    requests: InputRequests = {
        key: request
        for key, is_declared, request in (
            ("user_name", can.elicitation, ask("What is your name?", name="string")),
            ("greeting", can.sampling, _sample("Generate a greeting", 50)),
        )
        if is_declared is not None
    }
    return InputRequiredResult(input_requests=requests) if requests else _told("Nobody can be asked.")
