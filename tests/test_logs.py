"""Log lines: JSON, one per record, whatever is in them."""

from __future__ import annotations

import io
import json
import logging
import sys
import time
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rts_server import logs


def record(message: str, *args: Any, **more: Any) -> logging.LogRecord:
    """A record as a logger makes it."""
    logger = logging.getLogger("rts_server.test")
    return logger.makeRecord(logger.name, logging.INFO, "f", 1, message, args, None, extra=more)


@given(st.text(), st.dictionaries(st.sampled_from("abc"), st.text() | st.integers() | st.none()))
def test_any_record_is_one_line_of_json(text: str, extra: dict[str, Any]) -> None:
    """Newlines, surrogates and fields of `extra` stay inside one JSON object."""
    line = logs.JsonFormatter().format(record("%s", text, **extra))
    assert "\n" not in line
    assert line.isascii()
    told = json.loads(line)
    assert told["message"] == text
    assert {name: told[name] for name in extra} == extra
    assert set(told) == {"ts", "level", "logger", "message", *extra}
    assert datetime.fromisoformat(told["ts"]).utcoffset() is not None


def test_what_json_cannot_hold_is_written_as_text() -> None:
    """An object in `extra` does not lose the line."""
    told = json.loads(logs.JsonFormatter().format(record("x", who={1, 2}.__class__)))
    assert told["who"] == "<class 'set'>"


def test_an_exception_is_a_field() -> None:
    """The traceback goes into the same line."""
    try:
        raise ValueError("why")
    except ValueError:
        made = record("failed")
        made.exc_info = sys.exc_info()
    line = logs.JsonFormatter().format(made)
    assert "\n" not in line
    assert "ValueError: why" in json.loads(line)["exception"]


def test_libraries_are_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """At INFO our own lines appear and those of chatty libraries, which hold frames, do not."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    chatty = {name: logging.getLogger(name).level for name in ("socketio", "engineio", "botocore")}
    try:
        root.handlers = []
        logs.configure("INFO")
        for name in (*chatty, "rts_server"):
            logging.getLogger(name).info("from %s", name)
    finally:
        root.handlers, root.level = before
        for name, level in chatty.items():
            logging.getLogger(name).setLevel(level)
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["message"] == "from rts_server"


def test_lines_that_strangers_cause_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most so many a second, and how many were left out can be told with the next."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    flow = logs.Flow(3)
    assert [flow.admits() for _ in range(5)] == [True, True, True, False, False]
    now[0] = 101.0
    assert flow.admits()
    assert (flow.left_out(), flow.left_out()) == (2, 0)
