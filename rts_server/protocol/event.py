"""Events that never enter a log: their envelope is made here. Durable ones are made by the log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

LATEST = 253_402_300_799


def now() -> str:
    """RFC 3339, UTC, milliseconds."""
    return rfc3339(datetime.now(UTC).timestamp())


def rfc3339(seconds: float) -> str:
    """Seconds since 1970 as the protocol shows times; year 9999 for what lies beyond."""
    moment = datetime.fromtimestamp(min(max(seconds, 0), LATEST), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ephemeral(
    kind: str, data: dict[str, Any], room_id: str | None = None, actor_id: str | None = None
) -> str:
    """The JSON text of an event without a position."""
    event: dict[str, Any] = {"type": kind, "ts": now()}
    if room_id is not None:
        event["room_id"] = room_id
    if actor_id is not None:
        event["actor_id"] = actor_id
    return orjson.dumps(event | {"data": data}).decode()


def namespace_of(kind: str) -> str:
    """The namespace in which an ephemeral event is told."""
    elsewhere = {
        "receipt": "/receipts",
        "unread": "/receipts",
        "typing": "/presence",
        "presence": "/presence",
    }
    return elsewhere.get(kind.partition(".")[0], "/chat")
