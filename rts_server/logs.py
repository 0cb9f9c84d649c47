"""JSON log lines. They never hold a token, a text, a presigned URL or a raw frame (R10)."""

from __future__ import annotations

import json
import logging
import sys
import time

_STANDARD = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class LineRate:
    """Limits log lines that anybody can cause to `per_second`; the others are counted."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._second = self._written = self._left_out = 0

    def admits(self) -> bool:
        """Count a line; return whether it may be written."""
        if (second := int(time.monotonic())) != self._second:
            self._second, self._written = second, 0
        self._written += 1
        self._left_out += self._written > self._per_second
        return self._written <= self._per_second

    def left_out(self) -> int:
        """Return how many lines were left out since the last call."""
        count, self._left_out = self._left_out, 0
        return count


MAX_INVALID_REQUEST_LINES = 10
"""Lines per second about invalid HTTP requests."""


class InvalidRequestFilter(logging.Filter):
    """Shortens and limits aiohttp's log lines about invalid HTTP requests.

    aiohttp logs each of them as an error with its content, which may be a token. Here only the type
    of the error is logged, as a warning.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rate = LineRate(MAX_INVALID_REQUEST_LINES)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write a record; remove the exception of an invalid request."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None or not type(error).__module__.startswith("aiohttp."):
            return True
        if not self._rate.admits():
            return False
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.__dict__.update(error=type(error).__name__, suppressed=self._rate.left_out())
        return True


class JsonFormatter(logging.Formatter):
    """One line per record: time (RFC 3339, UTC), level, logger, message, the `extra` fields.

    `fixed` are fields of every line.
    """

    def __init__(self, **fixed: str) -> None:
        super().__init__()
        self._fixed = fixed

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        line: dict[str, object] = {
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
    logging.getLogger("aiohttp.server").addFilter(InvalidRequestFilter())
    for chatty in ("botocore", "boto3", "urllib3", "aiohttp.access", "socketio", "engineio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelName(level)))
