"""The one subscribing connection of an instance: confirmed, and told after each break."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from typing import Any

from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from rts_server.deadline import within
from rts_server.link import Link
from rts_server.tasks import cancelled

log = logging.getLogger(__name__)

CONNECT = 2.0
LONGEST_BACKOFF = 1.0
BATCH = 500

Heard = Callable[[str, bytes], None]


class Subscriber:
    """Contract: messages of a channel reach `heard` in the order Redis published them, from the
    moment `subscribe` returned. After a break every channel is subscribed again, then `resumed`
    is called once: what was published in between was missed.
    """

    def __init__(self, url: str, heard: Heard, resumed: Callable[[], None]) -> None:
        self._pool = ConnectionPool.from_url(
            url, protocol=2, socket_timeout=None, socket_connect_timeout=0.5, socket_keepalive=True
        )
        self._heard = heard
        self._resumed = resumed
        self._wanted: set[str] = set()
        self._confirmed: set[str] = set()
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._link: Link | None = None
        self._task: asyncio.Task[None] | None = None
        self._resume_due = False

    heard_once = False
    """Whether a subscription was ever confirmed."""

    def start(self) -> None:
        """Connect and listen until closed."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop listening."""
        if self._task:
            await cancelled(self._task)

    async def subscribe(self, channels: Iterable[str]) -> None:
        """Return once Redis confirmed all of the channels; wait for Redis if it is away."""
        fresh = [channel for channel in channels if channel not in self._confirmed]
        if not fresh:
            return
        loop = asyncio.get_running_loop()
        futures = []
        for channel in fresh:
            future = loop.create_future()
            self._waiting.setdefault(channel, []).append(future)
            futures.append(future)
        unsent = [channel for channel in fresh if channel not in self._wanted]
        self._wanted.update(fresh)
        self._say("SUBSCRIBE", unsent)
        for future in futures:
            await future

    def unsubscribe(self, channels: Iterable[str]) -> None:
        """Stop hearing the channels; a subscription asked for later is sent later."""
        gone = [channel for channel in channels if channel in self._wanted]
        self._wanted.difference_update(gone)
        self._confirmed.difference_update(gone)
        self._say("UNSUBSCRIBE", gone)

    def restart(self) -> None:
        """Give the link up and take a new one: it stands, but nothing comes through."""
        if self._link is not None:
            self._link.close()

    def _say(self, verb: str, channels: list[str]) -> None:
        """In order; without a link nothing is said, a new one says all anyway."""
        if self._link is not None:
            for i in range(0, len(channels), BATCH):
                self._link.send((verb, *channels[i : i + BATCH]))

    async def _run(self) -> None:
        wait, first = 0.05, True
        while True:
            try:
                async with within(CONNECT):
                    self._link = await Link.open(self._pool, self._reply)
                self._say("SUBSCRIBE", sorted(self._wanted))
                wait = 0.05
                self._resume_due = not first
                first = False
                self._maybe_resumed()
                await asyncio.wait([self._link.gone])
                log.warning("subscriber lost redis")
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("subscriber cannot reach redis", extra={"error": str(error)})
            finally:
                self.restart()
                self._link = None
                self._confirmed.clear()
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))
            wait = min(wait * 2, LONGEST_BACKOFF)

    def _maybe_resumed(self) -> None:
        """Behind the last confirmation, so that nothing falls between."""
        if self._resume_due and self._wanted <= self._confirmed:
            self._resume_due = False
            self._resumed()

    def _reply(self, reply: Any) -> None:
        """Messages, and confirmations one by one; an error closes the link."""
        if isinstance(reply, Exception):
            log.warning("subscriber is refused", extra={"error": str(reply)})
            self.restart()
            return
        kind, channel, data = reply
        if kind == b"message":
            self._hear(channel.decode(), data)
        elif kind == b"subscribe":
            self._confirm(channel.decode())

    def _hear(self, channel: str, data: bytes) -> None:
        try:
            self._heard(channel, data)
        except Exception:
            log.exception("what was heard could not be taken", extra={"channel": channel})

    def _confirm(self, channel: str) -> None:
        self.heard_once = True
        if channel in self._wanted:
            self._confirmed.add(channel)
        for future in self._waiting.pop(channel, ()):
            if not future.done():
                future.set_result(None)
        self._maybe_resumed()
