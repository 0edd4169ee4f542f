"""Log lines: JSON, one a line, whatever is in them."""

import io
import json
import logging
import os

from ttrpg_mcp.logs import JsonLines, LineHandler


def test_a_record_is_one_line_of_json_with_its_extras() -> None:
    record = logging.makeLogRecord(
        {
            "name": "here",
            "levelname": "INFO",
            "msg": "two\nlines of %s",
            "args": ("text",),
            "tool": "dice_roll",
            "created": 0,
        }
    )

    line = JsonLines().format(record)

    assert "\n" not in line
    expected = {
        "at": "1970-01-01T00:00:00.000+00:00",
        "level": "info",
        "logger": "here",
        "message": "two\nlines of text",
        "tool": "dice_roll",
    }
    assert expected == json.loads(line)


def test_an_exception_stays_on_its_records_line() -> None:
    record = logging.makeLogRecord({"msg": "x", "exc_info": (ValueError, ValueError("broken"), None)})

    line = JsonLines().format(record)

    assert "\n" not in line
    assert "ValueError: broken" in json.loads(line)["exception"]


def test_lines_are_written_in_order_by_another_thread() -> None:
    stream = io.StringIO()
    handler = LineHandler(stream)
    for number in range(100):
        handler.emit(logging.makeLogRecord({"msg": str(number)}))

    handler.drain(5)

    assert [str(number) for number in range(100)] == stream.getvalue().splitlines()


def test_a_stream_that_nobody_reads_holds_nobody_up_and_the_loss_is_counted() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream, os.fdopen(reading) as reader:
        handler = LineHandler(stream)
        handler.setFormatter(JsonLines())
        for _ in range(3_000):
            handler.emit(logging.makeLogRecord({"msg": "x" * 200}))

        lines = [json.loads(reader.readline()) for _ in range(1_000)]
        handler.emit(logging.makeLogRecord({"msg": "last"}))
        while (last := json.loads(reader.readline()))["message"] != "last":
            lines.append(last)

    dropped = sum(line.get("dropped_before", 0) for line in [*lines, last])
    assert dropped > 0
    assert len(lines) + dropped == 3_000
