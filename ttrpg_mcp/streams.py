"""The two message streams of one client on stdio, with what was asked and is not yet answered between them."""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio
from mcp.shared.message import SessionMessage
from mcp.types import (
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)

if TYPE_CHECKING:
    from mcp.shared._stream_protocols import ReadStream, WriteStream

__all__ = ["Asked", "Incoming", "Outgoing"]

_ENDLESS = {"subscriptions/listen"}  # a request that is answered only when the connection ends


class Asked:
    """Requests that were read and whose answers the writer has not taken yet."""

    def __init__(self) -> None:
        self._open: set[RequestId] = set()
        self._answered = anyio.Event()

    def note_read(self, message: JSONRPCMessage) -> None:
        """A request is open from the moment it is read; one that its client cancelled is never answered."""
        if isinstance(message, JSONRPCRequest) and message.method not in _ENDLESS:
            self._open.add(message.id)
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            self._close((message.params or {}).get("requestId"))

    def note_written(self, message: JSONRPCMessage) -> None:
        """An answer closes its request."""
        if isinstance(message, JSONRPCResponse | JSONRPCError):
            self._close(message.id)

    def _close(self, request_id: object) -> None:
        if isinstance(request_id, str | int):  # whatever else a client calls an id was never one
            self._open.discard(request_id)
        self._answered.set()
        self._answered = anyio.Event()

    async def all_answered(self) -> None:
        """Return when nothing is open."""
        while self._open:
            await self._answered.wait()


class Incoming:
    """The messages of the client; their end is told only after what was asked has been answered."""

    def __init__(
        self, inner: "ReadStream[SessionMessage | Exception]", asked: Asked, at_end: Callable[[], Awaitable[None]]
    ) -> None:
        self._inner = inner
        self._asked = asked
        self._at_end = at_end

    async def receive(self) -> SessionMessage | Exception:
        """The next message. Raises anyio.EndOfStream."""
        try:
            message = await self._inner.receive()
        except anyio.EndOfStream:
            await self._at_end()
            raise
        if isinstance(message, SessionMessage):
            self._asked.note_read(message.message)
        return message

    async def aclose(self) -> None:
        """Close the stream."""
        await self._inner.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool | None:
        return await self._inner.__aexit__(exc_type, exc_val, exc_tb)


class Outgoing:
    """The messages to the client."""

    def __init__(self, inner: "WriteStream[SessionMessage]", asked: Asked) -> None:
        self._inner = inner
        self._asked = asked

    async def send(self, item: SessionMessage, /) -> None:
        """Hand a message to the writer, which takes one at a time."""
        await self._inner.send(item)
        self._asked.note_written(item.message)

    async def aclose(self) -> None:
        """Close the stream."""
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool | None:
        return await self._inner.__aexit__(exc_type, exc_val, exc_tb)
