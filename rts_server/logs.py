"""JSON log lines. Never a token, a text, a presigned URL or a raw frame."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

_STANDARD = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class LineRate:
    """Lines that strangers can cause: at most `most` a second, the rest is counted."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._second = self._said = self._left_out = 0

    def admits(self) -> bool:
        """Whether one more may be written now."""
        if (second := int(time.monotonic())) != self._second:
            self._second, self._said = second, 0
        self._said += 1
        self._left_out += self._said > self._most
        return self._said <= self._most

    def left_out(self) -> int:
        """How many were not written since this was last asked."""
        count, self._left_out = self._left_out, 0
        return count


STRANGERS = 10
"""Lines a second about requests that are none."""


class Strangers(logging.Filter):
    """Of aiohttp's own lines: it tells of each request that is none, as an error and with all that
    was in it, a token too. What is told is that there was one, and so many a second at most.
    """

    def __init__(self) -> None:
        super().__init__()
        self._flow = LineRate(STRANGERS)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written; without the exception where that is about a request."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None or not type(error).__module__.startswith("aiohttp."):
            return True
        if not self._flow.admits():
            return False
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.__dict__.update(error=type(error).__name__, not_said=self._flow.left_out())
        return True


class JsonFormatter(logging.Formatter):
    """One line per record: time (RFC 3339, UTC), level, logger, message, the `extra` fields.

    `fixed` are fields of every line.
    """

    def __init__(self, **fixed: str) -> None:
        super().__init__()
        self._fixed = fixed

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        line: dict[str, Any] = {
            "ts": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._fixed,
        }
        line.update({k: v for k, v in record.__dict__.items() if k not in _STANDARD})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(level: str, **fixed: str) -> None:
    """Send all logging of this process to standard error as JSON lines with these fields."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(**fixed))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("aiohttp.server").addFilter(Strangers())
    for chatty in ("botocore", "boto3", "urllib3", "aiohttp.access", "socketio", "engineio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelName(level)))
