"""Why the server closes a connection, and whether its client may come back (protocol.md)."""

from __future__ import annotations

import random
from typing import Any

RECONNECT = frozenset({"draining", "slow_consumer", "lease_lost", "token_expired", "timeout"})
"""The transport is closed: a JavaScript client comes back by itself."""
LATER = frozenset({"connection_limit"})
"""Every namespace is disconnected, so that no client comes back at once; the application may."""
FINAL = frozenset({"revoked", "banned", "too_many_errors", "frame_too_large"})
"""Every namespace is disconnected: it stays away."""

AWAY = LATER | FINAL
"""Closed by a DISCONNECT on every namespace, then the transport."""

SOON_MS, LATER_MS = (500, 1_500), (10_000, 20_000)
"""When to come back, drawn so that not all do at once."""


def closing(code: str, retry_after_ms: int | None = None) -> dict[str, Any]:
    """The data of `session.closing`."""
    if code in FINAL:
        return {"code": code, "reconnect": False, "retry_after_ms": None}
    assert code in RECONNECT | LATER, code
    between = LATER_MS if code in LATER else SOON_MS
    soon = random.randint(*between) if retry_after_ms is None else retry_after_ms
    return {"code": code, "reconnect": True, "retry_after_ms": soon}
