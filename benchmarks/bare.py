"""The rival: a bare MCP server with one echo tool. `python -m benchmarks.bare [--http]`."""

import asyncio
import json
import socket
import sys

from mcp.server import MCPServer

__all__ = ["make_bare_server"]


def make_bare_server() -> MCPServer[None]:
    """What the SDK alone does; it logs as little as ours."""
    server: MCPServer[None] = MCPServer("bare", log_level="WARNING")

    async def echo(text: str) -> str:
        """Say it again."""
        return text

    server.add_tool(echo)
    return server


async def _serve_http() -> None:
    import uvicorn  # noqa: PLC0415 - as ours: stdio needs none of it

    # With the protocol, as uvicorn itself binds: without it asyncio sets no TCP_NODELAY.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    print(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"}), file=sys.stderr, flush=True)
    config = uvicorn.Config(make_bare_server().streamable_http_app(), log_config=None, access_log=False)
    await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    asyncio.run(_serve_http() if "--http" in sys.argv else make_bare_server().run_stdio_async())
