"""Cursors of paginated lists: opaque to clients, validated when they come back."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, TypeVar

import orjson

from rts_server.errors import InvalidParam

T = TypeVar("T")


def encode(value: list[Any]) -> str:
    """Return a cursor: the values as JSON, in base64url without padding (RFC 4648, 5)."""
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def decode(text: str, *shape: type) -> list[Any]:
    """Return the values in a cursor.

    Raises InvalidParam unless their types are exactly `shape`.
    """
    try:
        value = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error):
        value = None
    if not isinstance(value, list) or [type(item) for item in value] != list(shape):
        raise InvalidParam(details={"cursor": ["Not a cursor of this list."]})
    return value


def page(
    items: list[T], key: Callable[[T], str], after: str, limit: int
) -> tuple[list[T], str | None]:
    """Return a page of items that are sorted by `key`, and the cursor of the next page.

    The page holds the first `limit` items whose key is greater than `after`.
    """
    rest = [item for item in items if key(item) > after]
    shown = rest[:limit]
    more = len(rest) > len(shown)
    return shown, encode([key(shown[-1])]) if more else None
