"""Fields of what the command INFO replies."""

from __future__ import annotations

import re


def info_field(info: bytes, name: str) -> str:
    """Return a field, empty if it is not there."""
    found = re.search(rb"^%s:([^\r\n]*)" % name.encode(), info, re.MULTILINE)
    return found[1].decode() if found else ""
