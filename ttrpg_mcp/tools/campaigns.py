"""The tool campaign_manage."""

from typing import Annotated, Literal

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import BaseModel, ConfigDict, Field

from ttrpg_mcp.play.campaigns import (
    CampaignList,
    CampaignMade,
    CampaignOpened,
    create_campaign,
    list_campaigns,
    open_campaign,
)
from ttrpg_mcp.play.choosing import find_campaign
from ttrpg_mcp.play.ports import Answer, Ports
from ttrpg_mcp.recovery.op_classes import OpClass
from ttrpg_mcp.tools._call import begin, note_campaign, ports, to_client
from ttrpg_mcp.tools._spec import ToolSpec
from ttrpg_mcp.tools._wire import Facts, Name, RequestKey, Told, quoted
from ttrpg_mcp.tools.errors import BadArguments, FieldProblem

__all__ = ["TOOLS"]

_MOST_SHOWN = 100

Action = Annotated[Literal["list", "create", "open"], Field(description="What to do.")]
CampaignTitle = Annotated[Name, Field(description="Name of the campaign; for create and open.")]


class CampaignShown(BaseModel):
    """A campaign in the list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    id: str
    status: str


class CampaignManaged(Told):
    """The result of campaign_manage."""

    id: str | None = None
    system: str | None = None
    status: str | None = None
    rolls: int | None = Field(None, description="How many rolls the campaign's log holds.")
    campaigns: list[CampaignShown] | None = None


async def campaign_manage(
    ctx: Context[Ports], action: Action, name: CampaignTitle = "", request_key: RequestKey = ""
) -> Annotated[CallToolResult, CampaignManaged]:
    """List, create or open."""
    if action == "list":
        call = begin(render=list_answer)
        return to_client(call, await list_campaigns(ports(ctx), call))
    if not name:
        raise BadArguments(
            "campaign_manage", [FieldProblem("name", f"is required for {action}", 'example: "Night harbour"')]
        )
    if action == "create":
        call = begin(render=made_answer)
        made = await create_campaign(ports(ctx), call, name)
        note_campaign(made.campaign.id, made.campaign.name)
        return to_client(call, made)
    call = begin(render=opened_answer)
    entry = await find_campaign(ports(ctx), call, name)
    opened = await open_campaign(ports(ctx), call, entry)
    note_campaign(entry.campaign_id, entry.name)
    return to_client(call, opened)


def list_answer(found: CampaignList) -> Answer:
    """All campaigns, by name."""
    entries = found.entries[:_MOST_SHOWN]
    if not entries:
        summary = "There is no campaign yet. The first roll makes one, or create one by name."
    else:
        more = f" and {len(found.entries) - len(entries)} more" if len(found.entries) > len(entries) else ""
        summary = f"{_count(len(found.entries))}: {', '.join(quoted(entry.name) for entry in entries)}{more}."
    shown = [{"name": entry.name, "id": entry.campaign_id, "status": entry.status} for entry in entries]
    return Answer(summary, {"summary": summary, "campaigns": shown})


def made_answer(made: CampaignMade) -> Answer:
    """A new campaign."""
    summary = f"Created the campaign {quoted(made.campaign.name)}; it is now the one in use."
    return Answer(summary, _facts(summary, made))


def opened_answer(opened: CampaignOpened) -> Answer:
    """A campaign that is now in use."""
    campaign = opened.campaign
    last = f" Last roll: {opened.last_roll.canonical} = {opened.last_roll.total}." if opened.last_roll else ""
    summary = f"{quoted(campaign.name)} is now the campaign in use, with {campaign.head_roll} rolls in its log.{last}"
    return Answer(summary, _facts(summary, opened))


def _facts(summary: str, told: CampaignMade | CampaignOpened) -> Facts:
    campaign = told.campaign
    return {
        "summary": summary,
        "id": campaign.id,
        "system": campaign.system,
        "status": campaign.status,
        "rolls": campaign.head_roll,
        "campaign": told.receipt.campaign,
        "seq": told.receipt.seq,
    }


def _count(number: int) -> str:
    return "1 campaign" if number == 1 else f"{number} campaigns"


TOOLS: tuple[ToolSpec, ...] = (
    ToolSpec(
        handler=campaign_manage,
        title="Manage campaigns",
        description=(
            "List the campaigns, create one, or open one so that the following calls act on it. "
            "Not needed before the first roll. Answers name, id and size."
        ),
        family="campaign",
        op_class=OpClass.DB_WRITE,
        reading_actions=frozenset({"list", "open"}),
        scope="server",
        near_names={"campaign": "name", "title": "name", "table": "name", "command": "action", "id": "name"},
    ),
)
