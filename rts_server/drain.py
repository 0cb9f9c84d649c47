"""The drain of an instance: it refuses new connections and closes its own, spread over time."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import Protocol

from rts_server.config import Settings
from rts_server.engine.server import CLOSED_AS, Server
from rts_server.runtime.tasks import Tasks

log = logging.getLogger(__name__)

DRAIN_POLL_SECONDS = 0.05
"""Seconds between two checks whether connections are left."""
LONGEST_SPREAD_SECONDS = 240.0
"""The spread of any number of connections, if nothing presses: the balancer's deregistration delay
(`.ebextensions/01-environment.config`) carries them for a minute more."""
LONGEST_URGENT_SPREAD_SECONDS = 40.0
"""The same after SIGTERM: the process has to end within 60 s (R6)."""
LAST_CLOSE_SECONDS = 10.0
"""Seconds that the last connections may take to end."""


class Finishing(Protocol):
    """A namespace, as far as the drain needs it."""

    def finish(self, eio_sid: str) -> Awaitable[None]:
        """Refuse further commands of a connection; done when all before are answered."""


class Settling(Protocol):
    """The appends of this process whose durability is not known yet."""

    def settled(self) -> Awaitable[None]:
        """Done when none is left."""


class Drain:
    """Begins once, by SIGTERM, an operator or Auto Scaling, and cannot be undone (R6).

    `end_requested` is set if an operator began it: then the process ends after it, as after
    SIGTERM, and whoever supervises the process starts a new one. When Auto Scaling terminates the
    instance, the process stays until SIGTERM, because a new one would take connections again.
    """

    def __init__(
        self,
        settings: Settings,
        server: Server,
        namespaces: Sequence[Finishing],
        appends: Settling,
    ) -> None:
        self._settings = settings
        self._server = server
        self._namespaces = namespaces
        self._appends = appends
        self._tasks = Tasks()
        self._drained: asyncio.Task[None] | None = None
        self.end_requested = asyncio.Event()
        self._began = 0.0
        self._closes: list[float] = []
        self._hurried = False
        self._left = 0
        self._gap = 0.0
        self._timeout: asyncio.Timeout | None = None

    def not_ready(self) -> list[str]:
        """Return the reason for /health/ready."""
        return ["draining"] if self._drained is not None else []

    def drain(self) -> asyncio.Task[None]:
        """Begin to drain; return the task, the same for every call, that ends with the drain.

        Each connection is closed at its own moment, `drain_rate` a second at most, because each
        client that returns costs a reconnect, and the last one `drain_spread` seconds after the
        first at least. The spread is LONGEST_SPREAD_SECONDS at most.
        """
        if self._drained is None:
            self._server.refuse_new_connections()
            self._drained = self._tasks.keep(self._drain())
        return self._drained

    def drain_and_end(self) -> None:
        """Begin to drain, and let the process end afterwards."""
        self.drain()
        self.end_requested.set()

    def hurry(self) -> None:
        """Close what is left within LONGEST_URGENT_SPREAD_SECONDS: the process was told to end.

        Connections that are left `drain_deadline` seconds from now are dropped.
        """
        if self._hurried:
            return
        self._hurried = True
        self._gap = min(self._gap, LONGEST_URGENT_SPREAD_SECONDS / max(1, self._left))
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(self._now() + self._settings.drain_deadline)

    async def _drain(self) -> None:
        self._began = self._now()
        log.info("draining", extra={"connections": len(self._server.eio.sockets)})
        longest = LONGEST_SPREAD_SECONDS + LAST_CLOSE_SECONDS
        deadline = self._settings.drain_deadline if self._hurried else longest
        try:
            async with asyncio.timeout(deadline) as self._timeout:
                await self._close_all()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.durable_wait):
                        await self._appends.settled()
        except TimeoutError:
            for eio_sid in list(self._server.eio.sockets):
                self._server.abort(eio_sid)
        self._timeout = None
        log.info("drained", extra=self._summary())

    def _summary(self) -> dict[str, int | float | None]:
        """Return the number of closed connections, and seconds to the first, the last and the end.

        Connections that clients ended or that were dropped are not included.
        """
        since = [round(at - self._began, 3) for at in self._closes]
        return {
            "closed": len(since),
            "first_close": min(since, default=None),
            "last_close": max(since, default=None),
            "seconds": round(self._now() - self._began, 1),
        }

    async def _close_all(self) -> None:
        """Close in random order: clients that connected together must not reconnect together."""
        here = list(self._server.eio.sockets)
        random.shuffle(here)
        longest = LONGEST_URGENT_SPREAD_SECONDS if self._hurried else LONGEST_SPREAD_SECONDS
        rate, least = self._settings.drain_rate, self._settings.drain_spread
        self._gap = seconds_between(len(here), rate, least, longest)
        self._left, moment = len(here), 0.0
        for closed, eio_sid in enumerate(here, 1):
            await self._until(moment)
            self._tasks.keep(self._close(eio_sid))
            self._left = len(here) - closed
            moment += self._gap
        while self._server.eio.sockets:  # noqa: ASYNC110  (engineio has no event for it)
            await asyncio.sleep(DRAIN_POLL_SECONDS)

    async def _until(self, moment: float) -> None:
        """Wait; moments count from the first close, whose answers must not shorten the spread."""
        while (left := self._first() + moment - self._now()) > 0:  # noqa: ASYNC110  (the first close may come later)
            await asyncio.sleep(left)

    def _first(self) -> float:
        return min(self._closes, default=self._began)

    async def _close(self, eio_sid: str) -> None:
        """Answer what was received, then close: in the other order the acks would be lost (D10)."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.command_deadline):
                await asyncio.gather(*(n.finish(eio_sid) for n in self._namespaces))
        self._server.close(eio_sid, "draining")
        if self._server.environ.get(eio_sid, {}).get(CLOSED_AS) == "draining":
            self._closes.append(self._now())

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def seconds_between(count: int, rate: float, least: float, longest: float) -> float:
    """Return the seconds between two closes of `count`: 1 / `rate`, or what the spread needs.

    The spread, from the first close to the last, is `least` to `longest` seconds.
    """
    between = max(1, count - 1)
    return min(max(between / rate, least), longest) / between
