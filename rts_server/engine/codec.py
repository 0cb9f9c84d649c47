"""JSON on the wire: strict both ways. NaN, Infinity and lone surrogates never pass (RFC 8259)."""

from __future__ import annotations

from typing import Any

import orjson


def dumps(value: Any, **_: Any) -> str:
    """Text; the options of the standard library's module are accepted and not needed."""
    return orjson.dumps(value).decode()


def loads(text: str, **_: Any) -> Any:
    """The value. Raises ValueError on anything that another strict parser would refuse."""
    return orjson.loads(text)
