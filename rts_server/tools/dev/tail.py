"""What a person should see of a log file: new lines of level warning and above."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

SHOWN = {"warning", "error", "critical"}


class Tail:
    """Reads on from where the file ends now."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at = path.stat().st_size if path.exists() else 0

    def news(self) -> list[str]:
        """Complete lines since the last call that are warnings, errors, or no JSON at all."""
        with suppress(OSError), self.path.open("rb") as file:
            file.seek(self._at)
            whole, _, _ = file.read().rpartition(b"\n")
            if whole:
                self._at += len(whole) + 1
                return [
                    line for line in whole.decode("utf-8", "replace").split("\n") if _said(line)
                ]
        return []


def _said(line: str) -> bool:
    """A traceback of a dying process is no JSON, and is shown."""
    with suppress(ValueError):
        record = json.loads(line)
        return not isinstance(record, dict) or record.get("level") in SHOWN
    return bool(line.strip())
