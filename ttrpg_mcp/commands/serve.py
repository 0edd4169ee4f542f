"""ttrpg-mcp serve: the server itself."""

import argparse
import gc
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from ttrpg_mcp.settings import Settings

__all__ = ["add_arguments", "run"]


def add_arguments(_: argparse.ArgumentParser) -> None:
    """None beside the settings."""


def run(settings: Settings) -> int:
    """Serve until the client goes or somebody stops us; ends the process itself. Raises SettingsRefused."""
    with _without_collector():
        from ttrpg_mcp.logs import set_up_logging  # noqa: PLC0415 - the other commands need none of this

        set_up_logging(settings.log_level)

        from ttrpg_mcp.app import build  # noqa: PLC0415
        from ttrpg_mcp.edge import serve_http, serve_stdio  # noqa: PLC0415
        from ttrpg_mcp.recovery.clock import SystemClock  # noqa: PLC0415

        clock = SystemClock()
        server = build(settings, clock=clock)
    anyio.run(serve_http if settings.http else serve_stdio, server, settings, clock)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Start up without the garbage collector, which would go through the imported modules again and again.

    They stay for the life of the process, so later collections leave them out too.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
