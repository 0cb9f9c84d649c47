"""Cursors of lists: opaque to clients, checked like anything they send."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

from rts_server.errors import InvalidParam


def encode(value: list[Any]) -> str:
    """A cursor as clients carry it."""
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def decode(text: str, *shape: type) -> list[Any]:
    """The values in a cursor. Raises InvalidParam unless they have just these types."""
    try:
        value = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error):
        value = None
    if not isinstance(value, list) or [type(item) for item in value] != list(shape):
        raise InvalidParam(details={"cursor": ["Not a cursor of this list."]})
    return value


def page(
    items: list[dict[str, Any]], name: str, key: str, after: str, limit: int
) -> dict[str, Any]:
    """`{name: items behind `after` in order of their key, next_cursor}`."""
    rest = [item for item in items if item[key] > after]
    shown = rest[:limit]
    more = len(rest) > len(shown)
    return {name: shown, "next_cursor": encode([shown[-1][key]]) if more else None}
