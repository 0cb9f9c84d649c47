"""Ids of messages as rts-chat makes them."""

from __future__ import annotations

import secrets
from uuid import UUID


def uuid7(seconds: float) -> str:
    """Return a UUID version 7 of a Unix time."""
    random = secrets.randbits(74)
    value = int(seconds * 1000) << 80 | 7 << 76 | random >> 62 << 64 | 2 << 62 | random % 2**62
    return str(UUID(int=value))
