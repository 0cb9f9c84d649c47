"""Ids that clients give to their messages."""

from __future__ import annotations

from uuid import UUID


def time_of(client_id: str) -> float | None:
    """Return when the id was made: Unix time in seconds, by the client's clock.

    None for an id that is no UUID version 7, the only one with this time (RFC 9562, 5.7).
    """
    try:
        uuid = UUID(client_id)
    except ValueError:
        return None
    return (uuid.int >> 80) / 1000 if uuid.version == 7 else None
