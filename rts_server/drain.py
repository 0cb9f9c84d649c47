"""The end of an instance: nobody new, everybody told and closed one by one, nothing left open."""

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

LOOK_EVERY = 0.05
"""Seconds between two looks at who is still there."""


class Finishing(Protocol):
    """Whatever takes commands."""

    def finish(self, eio_sid: str) -> Awaitable[None]:
        """Take no more of a connection; done when all before is answered."""


class Settling(Protocol):
    """Whatever this process still answers for when nobody is connected."""

    def settled(self) -> Awaitable[None]:
        """Done when nothing is pending."""


class Drain:
    """Begun once, by SIGTERM or by an operator; it cannot be taken back."""

    def __init__(
        self,
        settings: Settings,
        server: Server,
        namespaces: Sequence[Finishing],
        fates: Settling,
    ) -> None:
        self._settings = settings
        self._server = server
        self._namespaces = namespaces
        self._fates = fates
        self._tasks = Tasks()
        self._drained: asyncio.Task[None] | None = None
        self._began = 0.0
        self._closes: list[float] = []

    def not_ready(self) -> list[str]:
        """The reason for /health/ready."""
        return ["draining"] if self._drained is not None else []

    def drain(self) -> asyncio.Task[None]:
        """Begin, or find what was begun: done when every connection is closed.

        Each is closed at its own moment, the last `drain_spread` after the first; those that do
        not answer are dropped, at `drain_deadline` at the latest.
        """
        if self._drained is None:
            self._server.eio.refusing = True
            self._drained = self._tasks.keep(self._run())
        return self._drained

    async def _run(self) -> None:
        self._began = self._now()
        log.info("draining", extra={"connections": len(self._server.eio.sockets)})
        try:
            async with asyncio.timeout(self._settings.drain_deadline):
                await self._close_all()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.durable_wait):
                        await self._fates.settled()
        except TimeoutError:
            for eio_sid in list(self._server.eio.sockets):
                self._server.abort(eio_sid)
        log.info("drained", extra=self._told())

    def _told(self) -> dict[str, int | float | None]:
        """What the drain was: connections it closed, seconds to the first, to the last, to its end.

        Who left by himself or was dropped is not among them.
        """
        since = [round(at - self._began, 3) for at in self._closes]
        return {
            "closed": len(since),
            "first_close": min(since, default=None),
            "last_close": max(since, default=None),
            "seconds": round(self._now() - self._began, 1),
        }

    async def _close_all(self) -> None:
        """In an order of chance: neighbours of the handshake do not come back together."""
        here = list(self._server.eio.sockets)
        random.shuffle(here)
        for eio_sid, moment in zip(
            here, moments(len(here), self._settings.drain_spread), strict=True
        ):
            await self._until(moment)
            self._tasks.keep(self._close(eio_sid))
        while self._server.eio.sockets:  # noqa: ASYNC110  (the library tells nobody)
            await asyncio.sleep(LOOK_EVERY)

    async def _until(self, moment: float) -> None:
        """Moments count from the first close: what it had to answer must not shorten the spread."""
        while (left := self._first() + moment - self._now()) > 0:  # noqa: ASYNC110  (it may move)
            await asyncio.sleep(left)

    def _first(self) -> float:
        return min(self._closes, default=self._began)

    async def _close(self, eio_sid: str) -> None:
        """What arrived before is answered before the transport goes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.command_deadline):
                await asyncio.gather(*(n.finish(eio_sid) for n in self._namespaces))
        self._server.close(eio_sid, "draining")
        if self._server.environ.get(eio_sid, {}).get(CLOSED_AS) == "draining":
            self._closes.append(self._now())

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def moments(count: int, spread: float) -> list[float]:
    """Seconds after which each of `count` is closed: the first at once, the last after `spread`."""
    return [spread * n / max(1, count - 1) for n in range(count)]
