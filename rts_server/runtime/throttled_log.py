"""Log lines about trouble that repeats: the first at once, then one per interval with a count."""

from __future__ import annotations

import logging
import time
from typing import Any

INTERVAL = 5.0


class ThrottledLog:
    """One voice of a component; at most one line per subject and 5 s."""

    def __init__(self, logger: logging.Logger) -> None:
        self._log = logger
        self._said: dict[str, float] = {}
        self._kept: dict[str, int] = {}

    def say(self, subject: str, error: BaseException | str, **ids: Any) -> None:
        """Warn about `subject`; of the error only its type or code, never a text.

        `ids` are those of the first one in the interval, as an example.
        """
        if self._due(subject):
            what = error if isinstance(error, str) else type(error).__name__
            more = self._kept.pop(subject, 0)
            self._log.warning(subject, extra={"error": what, "not_said": more, **ids})

    def fault(self, subject: str, error: BaseException, **ids: Any) -> None:
        """The same of what should never happen, as an error with its traceback."""
        if self._due(subject):
            more = self._kept.pop(subject, 0)
            self._log.error(subject, exc_info=error, extra={"not_said": more, **ids})

    def _due(self, subject: str) -> bool:
        now = time.monotonic()
        if now - self._said.get(subject, -INTERVAL) < INTERVAL:
            self._kept[subject] = self._kept.get(subject, 0) + 1
            return False
        self._said[subject] = now
        return True
