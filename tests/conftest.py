"""What every test may use."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio: aiosqlite needs it, and the product runs on nothing else."""
    return "asyncio"
