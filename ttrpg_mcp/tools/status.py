"""The tool status_show."""

from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import BaseModel, ConfigDict, Field

from ttrpg_mcp.play.ports import SERVER, Answer, Json, Ports
from ttrpg_mcp.play.status import Brief, brief_campaign
from ttrpg_mcp.recovery.op_classes import OpClass
from ttrpg_mcp.tools._call import begin, ports, to_client
from ttrpg_mcp.tools._spec import ToolSpec
from ttrpg_mcp.tools._wire import CampaignName, Facts, Since, Told, quoted
from ttrpg_mcp.tools.history import RollShown, roll_line, shown_roll

__all__ = ["TOOLS"]

Detail = Annotated[Literal["brief", "health"], Field(description="The game, or the server.")]


class BreakerShown(BaseModel):
    """A circuit breaker that is not simply closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    state: str
    failures: int
    retry_after_s: float


class StatusShown(Told):
    """The result of status_show."""

    system: str | None = None
    status: str | None = None
    rolls: int | None = Field(None, description="How many rolls the campaign's log holds.")
    campaigns: int | None = Field(None, description="How many campaigns there are.")
    new_rolls: list[RollShown] | None = None
    version: str | None = None
    pid: int | None = None
    uptime_s: float | None = None
    ready: bool | None = None
    draining: bool | None = None
    running_calls: int | None = None
    sqlite_version: str | None = None
    open_campaigns: list[dict[str, Any]] | None = None
    breakers: list[BreakerShown] | None = None
    warnings: list[str] | None = None


async def status_show(
    ctx: Context[Ports], detail: Detail = "brief", since: Since = 0, campaign: CampaignName = ""
) -> Annotated[CallToolResult, StatusShown]:
    """The brief of the campaign, or the health of the server from memory."""
    if detail == "health":
        return to_client(begin(render=health_answer), ports(ctx).health.report())
    call = begin(render=brief_answer)
    brief = None if call.campaign_id == SERVER else await brief_campaign(ports(ctx), call, since)
    return to_client(call, brief)


def brief_answer(brief: Brief | None) -> Answer:
    """Where the campaign stands."""
    if brief is None:
        summary = "There is no campaign yet. The first roll makes one."
        return Answer(summary, {"summary": summary, "campaigns": 0})
    campaign = brief.campaign
    summary = (
        f"{quoted(campaign.name)} is {campaign.status}; {campaign.head_roll} rolls, newest change {campaign.head_seq}."
    )
    facts: Facts = {
        "summary": summary,
        "system": campaign.system,
        "status": campaign.status,
        "rolls": campaign.head_roll,
        "new_rolls": [shown_roll(entry) for entry in brief.new_rolls],
        "campaign": brief.receipt.campaign,
        "seq": brief.receipt.seq,
    }
    return Answer("\n".join([summary, *(roll_line(entry) for entry in brief.new_rolls[:4])]), facts)


def health_answer(report: Json) -> Answer:
    """How the server is."""
    state = "stopping" if report["draining"] else "ready" if report["ready"] else "starting"
    warnings = list(report["warnings"])
    summary = f"The server {report['version']} is {state}, with {report['running_calls']} calls running."
    return Answer("\n".join([summary, *warnings]), {"summary": summary} | dict(report))


TOOLS: tuple[ToolSpec, ...] = (
    ToolSpec(
        handler=status_show,
        title="Show status",
        description=(
            "Where the game stands and what is new since a seq (brief), or how the server is doing (health). "
            "A good first call."
        ),
        family="campaign",
        op_class=OpClass.DB_READ,
        scope="glance",
        near_names={"view": "detail", "kind": "detail", "level": "detail", "after": "since", "table": "campaign"},
    ),
)
