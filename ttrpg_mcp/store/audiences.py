"""Who may see a row, and the counter that tells each audience only of what it may see."""

from ttrpg_mcp.play.ports import Principal
from ttrpg_mcp.store.connection import Connection

__all__ = ["AUDIENCE_FILTER", "AudienceTable", "audience_values"]

# Appended to a WHERE over a table with a visibility; its values are audience_values().
AUDIENCE_FILTER = "(:sees_all OR visibility IN ('players', :own_audience))"

_RAISE = """
INSERT INTO audience (campaign_id, audience, seq) VALUES (:campaign_id, :audience, 1)
ON CONFLICT (campaign_id, audience) DO UPDATE SET seq = seq + 1
RETURNING seq
"""


def audience_values(principal: Principal) -> dict[str, str | int]:
    """The values of AUDIENCE_FILTER: the game master and the server itself see all, a player also its own."""
    return {"sees_all": int(principal.role in {"gm", "system"}), "own_audience": str(principal)}


class AudienceTable:
    """The counters, one an audience."""

    __slots__ = ("_campaign_id", "_connection")

    def __init__(self, connection: Connection, campaign_id: str) -> None:
        self._connection = connection
        self._campaign_id = campaign_id

    def raised(self, audience: str) -> int:
        """The audience's counter after raising it by one."""
        row = self._connection.one(_RAISE, campaign_id=self._campaign_id, audience=audience)
        if row is None:
            raise RuntimeError("RETURNING gave no row")
        return int(row["seq"])
