"""Which Redis takes our writes: when one says that it does not, every link of before ends."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Protocol

from rts_server import metrics
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

RECENT = 1.0
PAUSE = 0.1
"""Seconds before the next link of a pipe, while the last refusal is RECENT: else each command of a
failover would open one."""


class Ending(Protocol):
    """Whatever stands on a link."""

    def close(self) -> None:
        """Drop it at once."""


class Primary:
    """One per process. `generation` counts the refusals: a link that was opened in an earlier one
    leads to a server that may have been replaced, so it ends, and the address is resolved anew.

    `refused` is told by whoever hears READONLY, LOADING, MASTERDOWN and the like; `confirmed` by
    the canary, which asks for the role: a replica that is only read from says nothing by itself.
    """

    def __init__(self) -> None:
        self.generation = 0
        self._links: set[Ending] = set()
        self._refused_at = -RECENT
        self._since: float | None = None
        self._throttled_log = ThrottledLog(log)

    def opened(self, link: Ending) -> None:
        """It ends with the next refusal; what opens again goes on being told."""
        self._links.add(link)

    def lost(self, link: Ending) -> None:
        """It ended by itself."""
        self._links.discard(link)

    def refused(self, generation: int, why: str) -> None:
        """A server of that generation takes no writes, or is not the one that others write to.

        `why`: the code of its reply, or what is wrong. One of before has been judged already: its
        last replies end no newer link.
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
        """It takes writes, or nobody can tell."""
        self._since = None

    def missing(self, seconds: float) -> bool:
        """Whether there is none, for so long."""
        return self._since is not None and time.monotonic() - self._since >= seconds

    async def settle(self) -> None:
        """Wait a moment if a refusal is recent."""
        if time.monotonic() - self._refused_at < RECENT:
            await asyncio.sleep(PAUSE)
