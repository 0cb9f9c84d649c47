"""Notices when our Redis is not the primary any more; then all connections are dropped."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Protocol

from rts_server import metrics
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

RECENT_REFUSAL_SECONDS = 1.0
"""Time after a refusal during which new connections are delayed."""
RECONNECT_PAUSE_SECONDS = 0.1
"""The delay of a new connection: without it each command of a failover would open one."""


class Closable(Protocol):
    """A connection, or an object that holds connections."""

    def close(self) -> None:
        """Drop the connection at once."""


class Primary:
    """The state of the primary, one object per process. `refusals` counts the refusals.

    A connection that was opened before the last refusal leads to a server that may have been
    replaced; it is dropped, and the address is resolved again. `refused` is called on replies like
    READONLY, LOADING and MASTERDOWN. `confirmed` is called by the canary, which asks for the role:
    a replica answers reads without an error.

    A primary of a cluster says CLUSTERDOWN of a slot that nobody serves, and serves its own.
    """

    def __init__(self, *, of_cluster: bool = False) -> None:
        self.refusals = 0
        self._of_cluster = of_cluster
        self._connections: set[Closable] = set()
        self._refused_at = -RECENT_REFUSAL_SECONDS
        self._since: float | None = None
        self._throttled_log = ThrottledLog(log)

    def opened(self, connection: Closable) -> None:
        """Register a connection, to be closed with the next refusal."""
        self._connections.add(connection)

    def lost(self, connection: Closable) -> None:
        """Forget a connection that was lost."""
        self._connections.discard(connection)

    def is_refused_by(self, code: str) -> bool:
        """Return whether a server that replies so takes no writes at all."""
        return not (self._of_cluster and code == "CLUSTERDOWN")

    def refused(self, refusals: int, why: str) -> None:
        """Drop all connections: the server of a connection takes no writes.

        `refusals`: how many there had been when the connection was opened. If there were more
        since, this one was handled already; late replies close no newer connection. `why`: the code
        of the reply, or a description.
        """
        self._refused_at = time.monotonic()
        if self._since is None:
            self._since = self._refused_at
        if refusals != self.refusals:
            return
        self.refusals += 1
        metrics.PRIMARY_REFUSALS.inc()
        self._throttled_log.warning("redis is not the primary: all connections are closed", why)
        for connection in list(self._connections):
            connection.close()

    def confirmed(self) -> None:
        """Note that the server takes writes, or that it is unknown whether it does."""
        self._since = None

    def missing(self, seconds: float) -> bool:
        """Return whether there has been no primary for so many seconds."""
        return self._since is not None and time.monotonic() - self._since >= seconds

    async def pause_after_refusal(self) -> None:
        """Wait a moment if the last refusal is recent."""
        if time.monotonic() - self._refused_at < RECENT_REFUSAL_SECONDS:
            await asyncio.sleep(RECONNECT_PAUSE_SECONDS)
