"""The process edge: stdio and HTTP runs, signals, orphan watch, and a stop that always ends.

SIGTERM, SIGINT, SIGHUP, the end of stdin and the loss of the parent all mean the same: take no new calls, let the
running ones finish for a while, cancel the rest (a started commit ends first), close the files, flush, exit with 0.
The SDK dies at once on some of these and hangs in its blocked stdin thread on others, so the last step is `os._exit`.
"""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

import anyio
import anyio.abc
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings

from ttrpg_mcp.logs import flush_logs
from ttrpg_mcp.recovery.clock import Clock
from ttrpg_mcp.server import TtrpgServer
from ttrpg_mcp.settings import Settings, SettingsRefused
from ttrpg_mcp.streams import Asked, Incoming, Outgoing

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["serve_http", "serve_stdio"]

STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
_STOP_LIMIT_S = 4.5  # the whole stop, which is promised in 5; whatever still hangs then is left behind
_CANCEL_LIMIT_S = 2.0
_WIRE_LIMIT_S = 0.5  # for answers that are ready and wait for the SDK's writer, after the calls themselves ended
_WIRE_PAUSE_S = 0.05  # for the one that the writer has in its hands
_LOG_LIMIT_S = 0.2
_ORPHAN_CHECK_S = 5.0

_log = logging.getLogger(__name__)


async def serve_stdio(server: TtrpgServer, settings: Settings, clock: Clock) -> NoReturn:
    """Serve one client over stdin and stdout until it goes, or until we are told to stop; ends the process."""
    stopper = _Stopper(server, settings, clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stopper.watch_signals)
        tasks.start_soon(stopper.watch_parent)
        try:
            async with stdio_server() as (incoming, outgoing):
                asked = stopper.asked
                await server.run_on(Incoming(incoming, asked, stopper.finish_calls), Outgoing(outgoing, asked))
        except Exception as error:  # noqa: BLE001 - named border: a client that vanished breaks the pipe under any task
            _log.warning("the connection broke", exc_info=error)
        await stopper.stop("end of input")
    raise AssertionError("unreachable")


async def serve_http(server: TtrpgServer, settings: Settings, clock: Clock) -> NoReturn:
    """Serve streamable HTTP at /mcp, with /livez and /readyz, until we are told to stop; ends the process.

    Raises SettingsRefused when the address cannot be bound.
    """
    import uvicorn  # noqa: PLC0415 - stdio needs none of it, and start-up is what clients time out on

    class Listener(uvicorn.Server):
        """uvicorn without its own signal handlers, which raise the signal again after the stop."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    _add_probes(server)
    listening = _bind(settings)
    app = server.streamable_http_app(host=settings.host)
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1, lifespan="on")
    listener = Listener(config)

    async def finish_requests() -> None:
        # Streams of events never end by themselves; that uvicorn cuts them now is no error, and its tracebacks say one.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        listener.should_exit = True
        await stopped.wait()

    stopped = anyio.Event()
    stopper = _Stopper(server, settings, clock, before_exit=finish_requests)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stopper.watch_signals)
        host, port = listening.getsockname()[:2]
        _log.info(
            "listening", extra={"url": f"http://{f'[{host}]' if ':' in host else host}:{port}/mcp", "pid": os.getpid()}
        )
        await listener.serve(sockets=[listening])
        stopped.set()
        await stopper.stop("the listener ended")
    raise AssertionError("unreachable")


class _Stopper:
    """Stops the process once, whoever asks first.

    Attributes:
        asked: What a client on stdio waits for; always empty over HTTP, where uvicorn ends its own connections.
    """

    def __init__(
        self,
        server: TtrpgServer,
        settings: Settings,
        clock: Clock,
        before_exit: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.asked = Asked()
        self._server = server
        self._drain_s = settings.drain_s
        self._clock = clock
        self._before_exit = before_exit
        self._is_stopping = False
        self._limit: threading.Timer | None = None

    async def watch_signals(self) -> None:
        """The first signal stops in order; the second one ends the process at once."""
        with anyio.open_signal_receiver(*STOP_SIGNALS) as signals:
            async with anyio.create_task_group() as tasks:
                async for number in signals:
                    if self._is_stopping:
                        os._exit(1)
                    tasks.start_soon(self.stop, signal.Signals(number).name)
                    await self._clock.sleep(0)

    async def watch_parent(self) -> None:
        """Stop when the client that started us is gone without closing stdin."""
        parent = os.getppid()
        while os.getppid() == parent:
            await self._clock.sleep(_ORPHAN_CHECK_S)
        await self.stop("the parent is gone")

    async def finish_calls(self) -> None:
        """After the end of input: answer what was asked, or say that it was cut off."""
        self._begin_limit()
        with self._clock.limit(self._drain_s):
            await self.asked.all_answered()
        await self._empty(drain_s=0)

    async def stop(self, reason: str) -> None:
        """Drain, close, flush, exit with 0; takes at most five seconds."""
        if self._is_stopping:
            await anyio.sleep_forever()
        self._is_stopping = True
        self._begin_limit()
        _log.info("stopping", extra={"reason": reason})
        with anyio.CancelScope(shield=True):
            await self._empty(self._drain_s)
            if self._before_exit is not None:
                await self._before_exit()
            await self._server.close_files()
        _exit(0)

    async def _empty(self, drain_s: float) -> None:
        """Take no new calls, end those that run, and let every answer out."""
        await self._server.admission.close(drain_s=drain_s, cancel_s=_CANCEL_LIMIT_S)
        with self._clock.limit(_WIRE_LIMIT_S):
            await self.asked.all_answered()
        await self._clock.sleep(_WIRE_PAUSE_S)

    def _begin_limit(self) -> None:
        """From now on the process ends in time, whatever hangs."""
        # A thread, because a started commit and the closing of files shield themselves from cancellation.
        if self._limit is None:
            self._limit = threading.Timer(_STOP_LIMIT_S, os._exit, (0,))
            self._limit.daemon = True
            self._limit.start()


def _exit(code: int) -> NoReturn:
    """End the process without waiting for threads that block in a read."""
    flush_logs(_LOG_LIMIT_S)
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(code)


def _bind(settings: Settings) -> socket.socket:
    """The listening socket. Raises SettingsRefused."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # The protocol is named, since asyncio sets TCP_NODELAY only then; without it event streams wait 40 ms for an ACK.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
        # Now, not when uvicorn gets to it: who reads our address in the log may connect at once, and of two servers
        # that are started together only this call tells the second one that the port is taken.
        listening.listen()
    except OSError as error:
        raise SettingsRefused(f"port {settings.port} on {settings.host} cannot be used: {error.strerror}.") from error
    listening.set_inheritable(False)
    return listening


def _add_probes(server: TtrpgServer) -> None:
    """Routes for whoever watches the process; they say one word each."""
    from starlette.responses import PlainTextResponse  # noqa: PLC0415 - see serve_http

    names = ("127.0.0.1:*", "localhost:*", "[::1]:*")
    security = TransportSecurityMiddleware(
        TransportSecuritySettings(
            enable_dns_rebinding_protection=True,
            allowed_hosts=list(names),
            allowed_origins=[f"http://{name}" for name in names],
        )
    )

    async def livez(_: "Request") -> "Response":
        return PlainTextResponse("ok")

    async def readyz(request: "Request") -> "Response":
        if refusal := await security.validate_request(request):
            return refusal
        is_ready = server.is_ready()
        return PlainTextResponse("ready" if is_ready else "not ready", status_code=200 if is_ready else 503)

    server.custom_route("/livez", methods=["GET"])(livez)
    server.custom_route("/readyz", methods=["GET"])(readyz)
