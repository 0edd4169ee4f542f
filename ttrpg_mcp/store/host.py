"""The task group of the store's own tasks.

It lives in a task of its own, so that open() and close() may be called from different tasks, and so that neither the
cancellation nor the deadline of the call that happened to open a file reaches that file's writer.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

import anyio
from anyio.abc import TaskGroup

__all__ = ["TaskHost"]


class TaskHost:
    """Started and stopped in turn: a store that could not be opened is opened again later."""

    def __init__(self) -> None:
        self._group: TaskGroup | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_ready = anyio.Event()
        self._is_over = anyio.Event()

    async def start(self) -> None:
        """Begin to host tasks."""
        self._is_ready, self._is_over = anyio.Event(), anyio.Event()
        self._task = asyncio.create_task(self._host(), context=Context())
        await self._is_ready.wait()

    def spawn(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start a task that knows nothing of the caller's context."""
        if self._group is None:
            raise RuntimeError("the host was not started")
        group = self._group
        Context().run(lambda: group.start_soon(run))

    async def stop(self) -> None:
        """Return when all tasks have ended; they have to end by themselves."""
        self._is_over.set()
        if self._task is not None:
            await self._task

    async def _host(self) -> None:
        async with anyio.create_task_group() as group:
            self._group = group
            self._is_ready.set()
            await self._is_over.wait()
