"""Worlds of two instances; most times are a tenth of the defaults."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.world import World

FAST = {
    "RTS_LOSS_CHECK": "1.0",
    "RTS_CANARY_INTERVAL": "0.3",
    "RTS_DEAF_AFTER": "4.0",
    "RTS_LINGER": "1.0",
    "RTS_PING_INTERVAL": "2",
    "RTS_PING_TIMEOUT": "10",
    "RTS_EXPIRY_GRACE": "1",
    "RTS_CONNECT_DEADLINE": "1",
    "RTS_CURSOR_FLUSH": "1",
    "RTS_DELIVERED_FLUSH": "1",
    "RTS_RECEIPT_INTERVAL": "0.2",
    "RTS_REPORT_INTERVAL": "1",
    "RTS_PRESENCE_LEASE": "4",
    "RTS_PRESENCE_SWEEP": "1",
    "RTS_PRESENCE_GRACE": "2",
    "RTS_TYPING_TTL": "1.6",
    "RTS_TYPING_INTERVAL": "0.2",
}

HEARTBEAT_SECONDS = float(FAST["RTS_PING_INTERVAL"]) + float(FAST["RTS_PING_TIMEOUT"])
"""Seconds after which a side that receives nothing gives the connection up. The timeout is the
default, not a tenth of it: a test process that waits for its core answers pings late."""


def deployed(
    folder: pytest.TempPathFactory,
    *faults: str,
    full: bool = False,
    shards: int = 1,
    **more: str,
) -> Iterator[World]:
    """Run a world of two instances; `full`: with the default times."""
    times = {} if full else FAST
    running = World(
        folder.mktemp("pair"), shards, instances=2, faults=",".join(faults), **times | more
    )
    try:
        running.start()
        yield running
    finally:
        running.stop()
