"""File names as users gave them, made safe to show and to save."""

from __future__ import annotations

import re
from urllib.parse import quote

from rts_server.protocol import unicode

NAMELESS = "file"
_NOT_ASCII = re.compile(r"[^ !#-\[\]-~]|%")


def cleaned(name: str) -> str:
    """The last part of a path without refused characters; `file` if nothing visible is left."""
    last = re.split(r"[/\\]", name)[-1]
    name = unicode.remove_refused(last).strip()
    return name if unicode.is_visible(name.replace(".", "")) else NAMELESS


def disposition(name: str, *, inline: bool) -> str:
    """Content-Disposition (RFC 6266): an ASCII name for old clients, the whole for others."""
    kind = "inline" if inline else "attachment"
    plain = _NOT_ASCII.sub("_", name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
