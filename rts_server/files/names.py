"""Names of files: what people called them, made harmless to show and to save under."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

NAMELESS = "file"
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_NOT_ASCII = re.compile(r"[^ !#-\[\]-~]|%")


def cleaned(name: str) -> str:
    """The last part of a path, without control and format characters; never empty."""
    last = re.split(r"[/\\]", name)[-1]
    seen = "".join(c for c in last if unicodedata.category(c) not in _HIDDEN).strip()
    return seen if seen.strip(".") else NAMELESS


def disposition(name: str, *, inline: bool) -> str:
    """Content-Disposition (RFC 6266): an ASCII name for old clients, the whole for others."""
    kind = "inline" if inline else "attachment"
    plain = _NOT_ASCII.sub("_", name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
