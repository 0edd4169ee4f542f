"""python -m tests.store.golden.make: writes campaign_vN.db and server_vN.db, N being the schema of this release.

Run once when a release brings a new schema, and commit the two files; those of older schemas are never made again.
What they hold was written by the product itself: a campaign with open and hidden rolls and a stored answer, and the
server's entries for it.
"""

import asyncio
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.store.helpers import CAMPAIGN_ID, a_call, campaign_file, make_campaign, roll, secret_roll, server_call
from ttrpg_mcp.play.ports import GM, Principal
from ttrpg_mcp.recovery.clock import SystemClock
from ttrpg_mcp.store.migrations import CAMPAIGN_SCHEMA, SERVER_SCHEMA
from ttrpg_mcp.store.store import SqliteStore

FOLDER = Path(__file__).parent


async def play(data: Path) -> None:
    """Make the campaign and use everything that this release can write."""
    store = SqliteStore(data, SystemClock())
    await store.open()
    await make_campaign(store)
    await store.write(a_call("first", key="k1"), roll)
    await store.write(a_call("second", principal=Principal("player", "Anna")), roll)
    await store.write(a_call("third"), secret_roll)
    await store.write_server(server_call("last", key="k2"), lambda unit: unit.preferences.put(GM, CAMPAIGN_ID, 2_000))
    await store.close()


def main() -> None:
    """Write both files."""
    with TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        asyncio.run(play(data))
        shutil.copyfile(campaign_file(data), FOLDER / f"campaign_v{CAMPAIGN_SCHEMA.latest}.db")
        shutil.copyfile(data / "server.db", FOLDER / f"server_v{SERVER_SCHEMA.latest}.db")


if __name__ == "__main__":
    main()
