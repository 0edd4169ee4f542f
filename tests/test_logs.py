"""Log lines: JSON, one a line, whatever is in them."""

import json
import logging

from ttrpg_mcp.logs import JsonLines


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
