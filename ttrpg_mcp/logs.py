"""JSON lines on stderr: one object a line, for the operator only."""

import json
import logging
import sys
from datetime import UTC, datetime

__all__ = ["JsonLines", "set_up_logging"]

_OWN_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_CHATTY = ("mcp", "uvicorn", "aiosqlite", "httpx2", "httpcore2", "asyncio")


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


def set_up_logging(level: str) -> None:
    """Send everything to stderr as JSON lines.

    Call it before the server is built: the SDK's own set-up leaves a root logger with a handler alone.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if level != "debug":
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
