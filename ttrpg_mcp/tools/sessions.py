"""The tool session_manage."""

from typing import Annotated, Literal

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import Field

from ttrpg_mcp.play.ports import Answer, Ports
from ttrpg_mcp.play.sessions import (
    SessionChanged,
    SessionRecap,
    end_session,
    pause_session,
    recap_session,
    resume_session,
    start_session,
)
from ttrpg_mcp.recovery.op_classes import OpClass
from ttrpg_mcp.tools._call import begin, ports, to_client
from ttrpg_mcp.tools._spec import ToolSpec
from ttrpg_mcp.tools._wire import CampaignName, Facts, Name, RequestKey, Told, quoted

__all__ = ["TOOLS"]

_LINES = 4

Action = Annotated[Literal["start", "end", "pause", "resume", "recap"], Field(description="What to do.")]
Title = Annotated[Name, Field(description="Title of a session that starts.")]
Notes = Annotated[str, Field(max_length=8_000, description="Recap to keep when the session ends.")]


class SessionManaged(Told):
    """The result of session_manage."""

    session: int | None = Field(None, description="Number of the session.")
    title: str | None = None
    status: str | None = None
    recap: str | None = None
    rolls: int | None = Field(None, description="Rolls of the session.")
    happened: list[str] | None = Field(None, description="What was changed, oldest first.")


async def session_manage(
    ctx: Context[Ports],
    action: Action,
    name: Title = "",
    notes: Notes = "",
    campaign: CampaignName = "",
    request_key: RequestKey = "",
) -> Annotated[CallToolResult, SessionManaged]:
    """Start, pause, resume, end, or look back."""
    if action == "recap":
        call = begin(render=recap_answer)
        return to_client(call, await recap_session(ports(ctx), call))
    call = begin(render=changed_answer)
    match action:
        case "start":
            changed = await start_session(ports(ctx), call, name)
        case "end":
            changed = await end_session(ports(ctx), call, notes)
        case "pause":
            changed = await pause_session(ports(ctx), call)
        case _:
            changed = await resume_session(ports(ctx), call)
    return to_client(call, changed)


def changed_answer(changed: SessionChanged) -> Answer:
    """A session that began, stopped or went on."""
    session = changed.session
    proof = " The dice of this session can be proven now: history_show kind=proofs." if changed.did == "Ended" else ""
    summary = f"{changed.did} session {session['number']}, {quoted(session['title'])}.{proof}"
    facts: Facts = {"summary": summary, "session": session["number"], "title": session["title"]}
    facts |= {"status": session["status"], "campaign": changed.receipt.campaign, "seq": changed.receipt.seq}
    return Answer(summary, facts)


def recap_answer(recap: SessionRecap) -> Answer:
    """What the log says of the newest session."""
    session = recap.session
    about = "Before any session" if session is None else f"Session {session['number']}, {quoted(session['title'])}"
    summary = f"{about}: {recap.rolls} rolls, {len(recap.calls)} changes."
    happened = [entry.summary for entry in recap.calls]
    facts: Facts = {"summary": summary, "rolls": recap.rolls, "happened": happened}
    if session is not None:
        facts |= {"session": session["number"], "title": session["title"], "status": session["status"]}
        facts |= {"recap": session["recap"]} if session["recap"] else {}
    facts |= {"campaign": recap.receipt.campaign, "seq": recap.receipt.seq}
    kept = [quoted(session["recap"], 400)] if session is not None and session["recap"] else []
    return Answer("\n".join([summary, *kept, *happened[-_LINES:]]), facts)


TOOLS: tuple[ToolSpec, ...] = (
    ToolSpec(
        handler=session_manage,
        title="Manage sessions",
        description=(
            "Start, pause, resume or end an evening of play, or recap it from the log. "
            "Ending reveals the seed of its dice."
        ),
        family="campaign",
        op_class=OpClass.DB_WRITE,
        reading_actions=frozenset({"recap"}),
        near_names={"title": "name", "text": "notes", "recap": "notes", "summary": "notes", "table": "campaign"},
    ),
)
