"""Evenings of play: started, paused, ended, and looked back on from what the log says."""

from collections.abc import Sequence
from dataclasses import dataclass

from ttrpg_mcp.play.errors import NotNow
from ttrpg_mcp.play.ports import Call, CallEntry, Json, Ports, Receipt, RollEntry, Unit, entity_id

__all__ = [
    "SessionChanged",
    "SessionRecap",
    "end_session",
    "pause_session",
    "recap_session",
    "resume_session",
    "start_session",
]

_MOST_CALLS = 50


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """A session as it now is; `did` is the verb for the sentence."""

    did: str
    session: Json
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class SessionRecap:
    """What the log says of a session, nothing invented.

    Attributes:
        session: None where there was none yet.
        calls: What was changed, oldest first, at most fifty.
        rolls: How many rolls fell in it.
        last_roll: The newest of them.
    """

    session: Json | None
    calls: tuple[CallEntry, ...]
    rolls: int
    last_roll: RollEntry | None
    receipt: Receipt


async def start_session(ports: Ports, call: Call, title: str) -> SessionChanged:
    """Begin the next session. Raises NotNow while another one runs."""

    def story(unit: Unit) -> SessionChanged:
        last = _last(unit)
        if last is not None and last["status"] != "ended":
            raise NotNow(f"Session {last['number']} has not ended yet. End it, or resume it, first.")
        number = 1 if last is None else int(last["number"]) + 1
        seq = unit.receipt().seq + 1
        return _saved(unit, "Started", _new_session(number, title or f"Session {number}", call.at_ms, seq))

    return await ports.store.write(call, story)


async def pause_session(ports: Ports, call: Call) -> SessionChanged:
    """Pause the session that runs. Raises NotNow."""
    return await _change(ports, call, "Paused", "running", "paused")


async def resume_session(ports: Ports, call: Call) -> SessionChanged:
    """Go on with the session that is paused. Raises NotNow."""
    return await _change(ports, call, "Resumed", "paused", "running")


async def end_session(ports: Ports, call: Call, recap: str) -> SessionChanged:
    """End the session, keep the recap, and reveal the dice: a new seed begins with the next roll. Raises NotNow."""

    def story(unit: Unit) -> SessionChanged:
        session = _last(unit)
        if session is None or session["status"] == "ended":
            raise NotNow("No session is running, so none can be ended.")
        unit.rolls.close_epoch()
        seq = unit.receipt().seq + 1
        ended = {"status": "ended", "ended_at_ms": call.at_ms, "last_seq": seq, "recap": recap or session["recap"]}
        return _saved(unit, "Ended", {**session, **ended})

    return await ports.store.write(call, story)


async def recap_session(ports: Ports, call: Call) -> SessionRecap:
    """The facts of the newest session: what changed and how many rolls fell."""

    def look(unit: Unit) -> SessionRecap:
        session = _last(unit)
        first = 1 if session is None else int(session["first_seq"])
        last = None if session is None or session["last_seq"] is None else int(session["last_seq"])
        rolls, newest = unit.rolls.between(first, last)
        calls = unit.changes.calls_between(first, last, limit=_MOST_CALLS)
        return SessionRecap(session, tuple(calls), rolls, newest, unit.receipt())

    return await ports.store.read(call, look)


async def _change(ports: Ports, call: Call, did: str, before: str, after: str) -> SessionChanged:
    def story(unit: Unit) -> SessionChanged:
        session = _last(unit)
        if session is None or session["status"] != before:
            raise NotNow(f"No session is {before}.")
        return _saved(unit, did, {**session, "status": after})

    return await ports.store.write(call, story)


def _last(unit: Unit) -> Json | None:
    """The newest session."""
    sessions: Sequence[Json] = [record.image for record in unit.entities.all("session")]
    return sessions[-1] if sessions else None


def _saved(unit: Unit, did: str, session: Json) -> SessionChanged:
    unit.entities.put("session", entity_id(session["number"]), session, visibility="players")
    return SessionChanged(did, session, unit.receipt())


def _new_session(number: int, title: str, at_ms: int, seq: int) -> Json:
    return {
        "number": number,
        "title": title,
        "status": "running",
        "started_at_ms": at_ms,
        "ended_at_ms": None,
        "first_seq": seq,
        "last_seq": None,
        "recap": "",
        "player_recap": "",
        "data": {},
    }
