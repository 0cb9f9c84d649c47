"""The reasons for which the server closes a connection (docs/protocol.md)."""

from __future__ import annotations

import random
from typing import Any, cast

from rts_server.types.events import SessionClosingData

RECONNECT = frozenset({"draining", "slow_consumer", "lease_lost", "token_expired"})
"""Only the transport is closed: socket.io-client reconnects by itself."""
LATER = frozenset({"connection_limit"})
"""Every namespace is disconnected: the client does not reconnect until the application does."""
FINAL = frozenset({"revoked", "banned", "too_many_errors", "frame_too_large"})
"""Every namespace is disconnected, and the client must not reconnect."""

AWAY = LATER | FINAL
"""Codes that disconnect every namespace before the transport is closed."""

RECONNECT_SOON_MS, RECONNECT_LATER_MS = (500, 1_500), (10_000, 20_000)
"""Ranges of `retry_after_ms`; drawn at random, so that clients do not reconnect all at once."""


def closing(code: str, retry_after_ms: int | None = None) -> SessionClosingData:
    """Return the data of `session.closing`.

    `retry_after_ms` is drawn at random unless given; it is None for a final code.
    """
    if code in FINAL:
        return {"code": cast(Any, code), "reconnect": False, "retry_after_ms": None}
    assert code in RECONNECT | LATER, code
    between = RECONNECT_LATER_MS if code in LATER else RECONNECT_SOON_MS
    delay = random.randint(*between) if retry_after_ms is None else retry_after_ms
    return {"code": cast(Any, code), "reconnect": True, "retry_after_ms": delay}
