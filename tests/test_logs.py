"""Log lines: one JSON object per record, whatever it holds."""

from __future__ import annotations

import asyncio
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
from rts_server.config import Settings
from rts_server.engine.server import Server
from rts_server.realtime.manager import ClientManager
from tests.helpers.serving import serving


def record(message: str, *args: Any, **more: Any) -> logging.LogRecord:
    """Return a record as a logger makes it."""
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


def test_an_unserializable_value_is_written_as_text() -> None:
    """An object in `extra` does not lose the line."""
    told = json.loads(logs.JsonFormatter().format(record("x", who={1, 2}.__class__)))
    assert told["who"] == "<class 'set'>"


def test_an_exception_is_a_field() -> None:
    """The traceback is in the same line."""
    try:
        raise ValueError("why")
    except ValueError:
        made = record("failed")
        made.exc_info = sys.exc_info()
    line = logs.JsonFormatter().format(made)
    assert "\n" not in line
    assert "ValueError: why" in json.loads(line)["exception"]


def test_libraries_are_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """At INFO our own lines appear, and not those of libraries, which hold frames."""
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


def test_lines_that_anybody_can_cause_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some are written per second; the number of the others is counted."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    flow = logs.LineRate(3)
    assert [flow.admits() for _ in range(5)] == [True, True, True, False, False]
    now[0] = 101.0
    assert flow.admits()
    assert (flow.left_out(), flow.left_out()) == (2, 0)


def configured(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Return the stream of the configured log, which is restored after the test."""
    stream, root = io.StringIO(), logging.getLogger()
    monkeypatch.setattr(sys, "stderr", stream)
    for name in ("", "aiohttp.server", "socketio", "engineio", "botocore", "boto3", "urllib3"):
        logger = logging.getLogger(name)
        for field in ("handlers", "filters"):
            monkeypatch.setattr(logger, field, [*getattr(logger, field)])
        monkeypatch.setattr(logger, "level", logger.level)
    root.handlers = []
    logs.configure("INFO")
    return stream


async def test_an_invalid_request_is_logged_without_its_content(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Malformed headers and forged lines leave no token and no forged line in the log (R10)."""
    stream = configured(monkeypatch)
    query = "GET /socket.io/?EIO=4&transport=polling&sid=x%0A%7B%22forged%22:1%7D HTTP/1.1"
    requests = [
        "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer sec\x00ret\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nAuthorization secret\r\n\r\n",
        f"{query}\r\nHost: a\r\n\r\n",
        f"{query.replace('GET', 'secret')}\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    ]
    async with serving(transports="polling,websocket") as (_, url):
        port = int(url.rpartition(":")[2])
        for text in [*requests, *requests[:1] * 3 * logs.MAX_INVALID_REQUEST_LINES]:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(text.encode())
            assert (await reader.readline()).startswith(b"HTTP/1.")
            writer.close()
    lines = stream.getvalue().splitlines()
    assert lines
    assert len(lines) < len(requests) + 3 * logs.MAX_INVALID_REQUEST_LINES
    assert {json.loads(line)["level"] for line in lines} == {"warning"}
    assert not [word for word in ("secret", "sec\\", "forged") if word in stream.getvalue()]


async def test_our_own_errors_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only errors of invalid requests are shortened."""
    stream = configured(monkeypatch)
    try:
        raise RuntimeError("ours")
    except RuntimeError:
        logging.getLogger("aiohttp.server").exception("Error handling request")
    told = json.loads(stream.getvalue())
    assert (told["level"], "RuntimeError: ours" in told["exception"]) == ("error", True)


def test_the_libraries_have_no_handlers_of_their_own() -> None:
    """A plain line between JSON lines could be forged."""
    for name in ("socketio", "socketio.server", "engineio", "engineio.server"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).setLevel(logging.NOTSET)
    Server(Settings(), ClientManager())
    for name in ("socketio", "socketio.server", "engineio", "engineio.server"):
        assert logging.getLogger(name).handlers == []
