"""A store on a real temporary folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.store.helpers import make_campaign
from ttrpg_mcp.recovery.clock import SystemClock
from ttrpg_mcp.store.store import SqliteStore


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def empty_store(data: Path) -> AsyncIterator[SqliteStore]:
    """An open store without a campaign."""
    store = SqliteStore(data, SystemClock(), synchronous="OFF")
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def store(empty_store: SqliteStore) -> SqliteStore:
    """An open store with one campaign."""
    await make_campaign(empty_store)
    return empty_store
