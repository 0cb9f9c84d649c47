"""Log lines about errors that repeat: the first at once, then one per interval with a count."""

from __future__ import annotations

import logging
import time
from typing import Any

INTERVAL_SECONDS = 5.0
"""Time between two lines about the same subject."""


class ThrottledLog:
    """Writes at most one line per subject and 5 s, so that an outage does not fill the log (R10).

    The field `suppressed` of a line is the number of lines that were left out before it.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._log = logger
        self._written_at: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def warning(self, subject: str, error: BaseException | str, **fields: Any) -> None:
        """Log a warning with the type or code of the error, never its text.

        `fields` are ids; the line shows those of the first occurrence in the interval.
        """
        if self.is_due(subject):
            self.write(subject, error, **fields)

    def write(self, subject: str, error: BaseException | str, **fields: Any) -> None:
        """Log a warning of which `is_due` just said that it is due."""
        name = error if isinstance(error, str) else type(error).__name__
        extra = {"error": name, "suppressed": self._left_out.pop(subject, 0), **fields}
        self._log.warning(subject, extra=extra)

    def exception(self, subject: str, error: BaseException, **fields: Any) -> None:
        """Log an error that should never happen, with its traceback."""
        if self.is_due(subject):
            extra = {"suppressed": self._left_out.pop(subject, 0), **fields}
            self._log.error(subject, exc_info=error, extra=extra)

    def is_due(self, subject: str) -> bool:
        """Whether a line about a subject is to be written now; if not, it counts as left out."""
        now = time.monotonic()
        if now - self._written_at.get(subject, -INTERVAL_SECONDS) < INTERVAL_SECONDS:
            self._left_out[subject] = self._left_out.get(subject, 0) + 1
            return False
        self._written_at[subject] = now
        return True
