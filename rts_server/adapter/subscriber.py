"""The one subscribing connection of an instance: confirmed, and told after each break."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
from collections import deque
from collections.abc import Callable, Iterable

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

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
        self._connection: AbstractConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._commands: deque[tuple[str, list[str]]] = deque()
        self._speaker: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
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
        await asyncio.gather(*futures)

    def unsubscribe(self, channels: Iterable[str]) -> None:
        """Stop hearing the channels; a subscription asked for later is sent later."""
        gone = [channel for channel in channels if channel in self._wanted]
        self._wanted.difference_update(gone)
        self._confirmed.difference_update(gone)
        self._say("UNSUBSCRIBE", gone)

    def restart(self) -> None:
        """Give the link up and take a new one: it stands, but nothing comes through."""
        if self._listening is not None:
            self._listening.cancel()

    def _say(self, verb: str, channels: list[str]) -> None:
        """Queue a command in order; without a link nothing is queued, a new one says all anyway."""
        if self._connection is None or not channels:
            return
        parts = [channels[i : i + BATCH] for i in range(0, len(channels), BATCH)]
        self._commands.extend((verb, part) for part in parts)
        if self._speaker is None or self._speaker.done():
            self._speaker = asyncio.create_task(self._speak(self._connection))

    async def _speak(self, connection: AbstractConnection) -> None:
        with contextlib.suppress(RedisError, OSError):
            while self._commands and connection is self._connection:
                verb, channels = self._commands.popleft()
                await connection.send_command(verb, *channels)

    async def _run(self) -> None:
        wait, first = 0.05, True
        while True:
            connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
            try:
                async with asyncio.timeout(CONNECT):
                    await connection.connect()  # type: ignore[no-untyped-call]
                self._connection = connection
                self._commands.clear()
                self._speaker = None
                self._say("SUBSCRIBE", sorted(self._wanted))
                wait = 0.05
                self._resume_due = not first
                first = False
                self._maybe_resumed()
                self._listening = asyncio.create_task(self._listen(connection))
                await asyncio.wait([self._listening])
                if not self._listening.cancelled():
                    self._listening.result()
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("subscriber lost redis", extra={"error": str(error)})
            finally:
                self._connection = None
                self._confirmed.clear()
                self.restart()
                if self._speaker is not None:  # it would open a link that was closed under it
                    await cancelled(self._speaker)
                with contextlib.suppress(RedisError, OSError):
                    await connection.disconnect()
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))
            wait = min(wait * 2, LONGEST_BACKOFF)

    def _maybe_resumed(self) -> None:
        """Behind the last confirmation, so that nothing falls between."""
        if self._resume_due and self._wanted <= self._confirmed:
            self._resume_due = False
            self._resumed()

    async def _listen(self, connection: AbstractConnection) -> None:
        while True:
            kind, channel, data = await connection.read_response(timeout=math.inf)
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
