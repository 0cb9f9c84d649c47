"""Knows whether our Redis is the primary; when it is not, all connections are dropped."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Protocol

from rts_server import metrics
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

RECENT_REFUSAL_SECONDS = 1.0
"""How long a refusal delays new connections."""
RECONNECT_PAUSE_SECONDS = 0.1
"""The delay: without it each command during a failover would open a connection."""


class Ending(Protocol):
    """A connection, or an object that holds some."""

    def close(self) -> None:
        """Drop the connection at once."""


class Primary:
    """One per process. `generation` counts the refusals.

    A connection of an earlier generation leads to a server that may have been replaced; it is
    dropped, and the address is resolved anew. `refused` is called on replies like READONLY, LOADING
    and MASTERDOWN. `confirmed` is called by the canary, which asks for the role: a replica answers
    reads without an error.
    """

    def __init__(self) -> None:
        self.generation = 0
        self._links: set[Ending] = set()
        self._refused_at = -RECENT_REFUSAL_SECONDS
        self._since: float | None = None
        self._throttled_log = ThrottledLog(log)

    def opened(self, link: Ending) -> None:
        """Register a connection, to be closed with the next refusal."""
        self._links.add(link)

    def lost(self, link: Ending) -> None:
        """Forget a connection that was lost."""
        self._links.discard(link)

    def refused(self, generation: int, why: str) -> None:
        """Drop all connections: a server of this generation takes no writes.

        `why`: the code of its reply, or a description. A refusal of an earlier generation was
        handled already; its late replies close no newer connection.
        """
        self._refused_at = time.monotonic()
        if self._since is None:
            self._since = self._refused_at
        if generation != self.generation:
            return
        self.generation += 1
        metrics.PRIMARY_REFUSALS.inc()
        self._throttled_log.warning("redis is not the primary: all links end", why)
        for link in list(self._links):
            link.close()

    def confirmed(self) -> None:
        """Note that the server takes writes, or that this is unknown."""
        self._since = None

    def missing(self, seconds: float) -> bool:
        """Return whether there has been no primary for so many seconds."""
        return self._since is not None and time.monotonic() - self._since >= seconds

    async def settle(self) -> None:
        """Wait a moment if the last refusal is recent."""
        if time.monotonic() - self._refused_at < RECENT_REFUSAL_SECONDS:
            await asyncio.sleep(RECONNECT_PAUSE_SECONDS)
