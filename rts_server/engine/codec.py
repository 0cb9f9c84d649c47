"""Strict JSON (RFC 8259) for python-socketio: no NaN, Infinity or lone surrogates."""

from __future__ import annotations

from typing import Any

import orjson


def dumps(value: Any, **_: Any) -> str:
    """Return JSON text. The options of `json.dumps` are accepted and ignored."""
    return orjson.dumps(value).decode()


def loads(text: str, **_: Any) -> Any:
    """Return the value of JSON text. Raises ValueError for anything that is not strict JSON."""
    return orjson.loads(text)
