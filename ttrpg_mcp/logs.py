"""JSON lines on stderr: one object a line, for the operator only.

A thread of its own writes them, from a queue that never blocks: a client may leave our stderr unread for ever, and then
lines are dropped and counted, but no call waits for them.
"""

import json
import logging
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from queue import Full, Queue
from typing import TextIO

__all__ = ["JsonLines", "LineHandler", "flush_logs", "set_up_logging"]

_OWN_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_CHATTY = ("mcp", "uvicorn", "aiosqlite", "httpx2", "httpcore2", "asyncio")
_MOST_WAITING = 1_000


class JsonLines(logging.Formatter):
    """A log record as one line of JSON; everything given as `extra` becomes a field."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON without line breaks."""
        entry: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {key: value for key, value in record.__dict__.items() if key not in _OWN_FIELDS}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


class LineHandler(logging.Handler):
    """Hands lines to the thread that writes them; what does not fit into the queue is dropped and counted."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._waiting: Queue[str | threading.Event] = Queue(_MOST_WAITING)
        self._dropped = 0
        threading.Thread(target=self._write, name="log lines", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take the record; never blocks and never raises."""
        if self._dropped:
            record.dropped_before = self._dropped
        try:
            self._waiting.put_nowait(self.format(record))
            self._dropped = 0
        except Full:
            self._dropped += 1
        except Exception:  # noqa: BLE001 - named border: as in every handler, a record that cannot be shown is reported
            self.handleError(record)

    def drain(self, limit_s: float) -> None:
        """Return when everything taken so far is written, or after limit_s seconds."""
        written = threading.Event()
        with suppress(Full):
            self._waiting.put_nowait(written)
            written.wait(limit_s)

    def _write(self) -> None:
        while True:
            entry = self._waiting.get()
            if isinstance(entry, threading.Event):
                entry.set()
                continue
            with suppress(OSError, ValueError):  # stderr is gone: nobody is left to tell
                self._stream.write(f"{entry}\n")
                self._stream.flush()


def set_up_logging(level: str) -> None:
    """Send everything to stderr as JSON lines.

    Call it before the server is built: the SDK's own set-up leaves a root logger with a handler alone.
    """
    handler = LineHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if level != "debug":
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


def flush_logs(limit_s: float) -> None:
    """Let the lines that wait be written, for at most limit_s seconds."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LineHandler):
            handler.drain(limit_s)
