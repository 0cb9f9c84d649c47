"""Makes file names from clients safe to display and to save."""

from __future__ import annotations

import re
from urllib.parse import quote

from rts_server.protocol import unicode

DEFAULT_NAME = "file"
_NOT_ASCII = re.compile(r"[^ !#-\[\]-~]|%")


def cleaned(name: str) -> str:
    """Return the last part of a path without refused characters; `file` if nothing is left."""
    last = re.split(r"[/\\]", name)[-1]
    name = unicode.remove_refused(last).strip()
    return name if unicode.is_visible(name.replace(".", "")) else DEFAULT_NAME


def disposition(name: str, *, inline: bool) -> str:
    """Return Content-Disposition (RFC 6266) with an ASCII name and the whole one (RFC 8187)."""
    kind = "inline" if inline else "attachment"
    plain = _NOT_ASCII.sub("_", name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
