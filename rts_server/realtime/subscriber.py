"""The subscribing connection of an instance to Redis, which survives breaks."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import Callable, Iterable
from typing import Any

from redis.asyncio import ConnectionPool

from rts_server.redis_client.connection import RedisConnection
from rts_server.redis_client.primary import Primary
from rts_server.redis_client.transport import use_checked_connections
from rts_server.runtime.deadline import within
from rts_server.runtime.loops import Loop
from rts_server.runtime.tasks import cancelled
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

SUBSCRIBER_CONNECT_SECONDS = 2.0
RECONNECT_SECONDS = 0.05
"""Time between a lost connection and the next; half of it at least, drawn at random."""
CHANNELS_PER_COMMAND = 500

_RUN_ID = re.compile(rb"run_id:(\w+)")

OnMessage = Callable[[str, bytes], None]


class Subscriber:
    """Passes messages of a channel on in Redis' order, from the moment `subscribe` returned.

    After a break every channel is subscribed again, and then `on_resumed` is called once: what was
    published in between was missed.

    Attributes:
        server: The run id of the Redis it is connected to; empty until it is known.
        ever_subscribed: Whether a subscription was ever confirmed.
    """

    def __init__(
        self,
        url: str,
        on_message: OnMessage,
        on_resumed: Callable[[], None],
        primary: Primary | None = None,
    ) -> None:
        self._pool = ConnectionPool.from_url(
            url, protocol=2, socket_timeout=None, socket_connect_timeout=0.5, socket_keepalive=True
        )
        use_checked_connections(self._pool, primary or Primary())
        self._on_message = on_message
        self._on_resumed = on_resumed
        self._loop = Loop("subscriber")
        self._throttled_log = ThrottledLog(log)
        self._first = True
        self.server = ""
        self._wanted: set[str] = set()
        self._confirmed: set[str] = set()
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._link: RedisConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._resume_due = False

    ever_subscribed = False

    def start(self) -> None:
        """Connect and listen until closed."""
        self._task = asyncio.create_task(self._loop.repeat(self._listen, self._pause))

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
        self._send("SUBSCRIBE", unsent)
        for future in futures:
            await future

    def unsubscribe(self, channels: Iterable[str]) -> None:
        """Unsubscribe from channels. Never blocks; a later `subscribe` is sent after it."""
        gone = [channel for channel in channels if channel in self._wanted]
        self._wanted.difference_update(gone)
        self._confirmed.difference_update(gone)
        self._send("UNSUBSCRIBE", gone)

    def restart(self) -> None:
        """Close the connection and open another: it is up, but nothing comes through."""
        if self._link is not None:
            self._link.close()

    def _send(self, verb: str, channels: list[str]) -> None:
        """Send in order. Without a connection nothing is sent: the next one subscribes to all."""
        if self._link is not None:
            for i in range(0, len(channels), CHANNELS_PER_COMMAND):
                self._link.send((verb, *channels[i : i + CHANNELS_PER_COMMAND]))

    async def _listen(self) -> None:
        """Listen on one connection until it ends."""
        try:
            async with within(SUBSCRIBER_CONNECT_SECONDS):
                self._link = await RedisConnection.open(self._pool, self._reply)
            self._link.send(("INFO", "server"))
            self._send("SUBSCRIBE", sorted(self._wanted))
            self._loop.mark_succeeded()
            self._resume_due, self._first = not self._first, False
            self._maybe_resumed()
            await asyncio.wait([self._link.gone])
            self._throttled_log.warning("subscriber lost redis", "closed")
        finally:
            self.restart()
            self._link = None
            self.server = ""
            self._confirmed.clear()

    async def _pause(self) -> None:
        """Wait: instances that were cut off together must not reconnect together."""
        await asyncio.sleep(RECONNECT_SECONDS * random.uniform(0.5, 1.0))

    def _maybe_resumed(self) -> None:
        """Report the end of a break, but only after the last confirmation.

        A check before would miss what is published until then (D5).
        """
        if self._resume_due and self._wanted <= self._confirmed:
            self._resume_due = False
            self._on_resumed()

    def _reply(self, reply: Any) -> None:
        """Handle one reply: server information, a message or a confirmation; an error closes."""
        if isinstance(reply, Exception):
            self._throttled_log.warning("subscriber is refused", reply)
            self.restart()
            return
        if isinstance(reply, bytes):
            found = _RUN_ID.search(reply)
            self.server = found[1].decode() if found else ""
            return
        kind, channel, data = reply
        if kind == b"message":
            self._dispatch(channel.decode(), data)
        elif kind == b"subscribe":
            self._confirm(channel.decode())

    def _dispatch(self, channel: str, data: bytes) -> None:
        try:
            self._on_message(channel, data)
        except Exception:
            log.exception("message could not be handled", extra={"channel": channel})

    def _confirm(self, channel: str) -> None:
        self.ever_subscribed = True
        if channel in self._wanted:
            self._confirmed.add(channel)
        for future in self._waiting.pop(channel, ()):
            if not future.done():
                future.set_result(None)
        self._maybe_resumed()
