"""The envelope of ephemeral events. Durable events get theirs from the room log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import orjson

MAX_UNIX_SECONDS = 253_402_300_799
"""The last second of the year 9999, the latest that `datetime` can hold."""


def now() -> str:
    """Return the current time as `rfc3339` does."""
    return rfc3339(datetime.now(UTC).timestamp())


def rfc3339(seconds: float) -> str:
    """Return Unix seconds in UTC with milliseconds (RFC 3339): `2026-01-31T23:59:59.123Z`.

    Times outside 1970 to 9999 become the nearest time inside.
    """
    moment = datetime.fromtimestamp(min(max(seconds, 0), MAX_UNIX_SECONDS), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ephemeral(
    kind: str, data: Mapping[str, object], room_id: str | None = None, actor_id: str | None = None
) -> str:
    """Return the JSON text of an event without a position."""
    event: dict[str, object] = {"type": kind, "ts": now()}
    if room_id is not None:
        event["room_id"] = room_id
    if actor_id is not None:
        event["actor_id"] = actor_id
    return orjson.dumps(event | {"data": data}).decode()


def namespace_of(kind: str) -> str:
    """Return the namespace to which an event of a type is sent."""
    namespaces = {
        "receipt": "/receipts",
        "unread": "/receipts",
        "typing": "/presence",
        "presence": "/presence",
    }
    return namespaces.get(kind.partition(".")[0], "/chat")
