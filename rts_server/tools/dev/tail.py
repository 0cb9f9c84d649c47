"""Warnings and errors from the end of a log file."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

SHOWN_LEVELS = {"warning", "error", "critical"}


class Tail:
    """Reads a log file from its present end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = path.stat().st_size if path.exists() else 0

    def new_lines(self) -> list[str]:
        """Return complete lines since the last call that are warnings, errors or not JSON."""
        with suppress(OSError), self.path.open("rb") as file:
            file.seek(self._offset)
            complete, _, _ = file.read().rpartition(b"\n")
            if complete:
                self._offset += len(complete) + 1
                lines = complete.decode("utf-8", "replace").split("\n")
                return [line for line in lines if _is_shown(line)]
        return []


def _is_shown(line: str) -> bool:
    """The traceback of a crashing process is not JSON, and is shown."""
    with suppress(ValueError):
        record = json.loads(line)
        return not isinstance(record, dict) or record.get("level") in SHOWN_LEVELS
    return bool(line.strip())
