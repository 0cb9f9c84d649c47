"""The subscribing connection of an instance to Redis, which survives breaks."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, NamedTuple

from redis.asyncio import ConnectionPool
from redis.exceptions import MovedError

from rts_server.channels import ONE_SERVER, Channels
from rts_server.redis_client.connection import Command, RedisConnection
from rts_server.redis_client.primary import Primary
from rts_server.redis_client.slots import slot_of
from rts_server.redis_client.transport import NotPrimary, use_checked_connections
from rts_server.runtime.deadline import within
from rts_server.runtime.loops import Loop
from rts_server.runtime.tasks import cancelled
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

SUBSCRIBER_CONNECT_SECONDS = 2.0
RECONNECT_SECONDS = 0.05
"""Time between a lost connection and the next; half of it at least, drawn at random."""
CHANNELS_PER_COMMAND = 500
MAX_UNCONFIRMED_CHANNELS = 5_000
"""Channels that are asked for and not confirmed, at most. A confirmation is 65 bytes, and Redis
cuts a subscriber for which too many of them wait, after each break anew."""

_RUN_ID = re.compile(rb"run_id:(\w+)")

OnMessage = Callable[[str, bytes], None]
OnUnserved = Callable[[int | None, Exception | None], None]
"""Called with a slot, None for all that a server has, and with what the server said."""


class LinkState(NamedTuple):
    """What is known of the link at a moment.

    `client_id` is the id of the connection in Redis, 0 if it is not known. `confirmed` counts the
    channels it has, `unsubscribed` those that were ever given up.
    """

    client_id: int
    confirmed: int
    unsubscribed: int


class Subscriber:
    """Passes messages of a channel on in Redis' order, from the moment `subscribe` returned.

    After a break every channel is subscribed again, and then `on_resumed` is called once: what was
    published in between was missed.

    The names of channels are kept here (`subscribe`, `unsubscribe`), or by somebody who has them
    anyway (`request`, `confirmed`, `release`): `owned` is a live view of those. A name for each
    room would be a quarter of a room's memory.

    Attributes:
        server: The run id of the Redis it is connected to; empty until it is known.
        ever_subscribed: Whether a subscription was ever confirmed.
        channels: How they are named. On a cluster one command subscribes within one slot.
    """

    def __init__(
        self,
        url: str,
        on_message: OnMessage,
        on_resumed: Callable[[], None],
        primary: Primary | None = None,
        *,
        owned: Collection[str] = (),
        channels: Channels = ONE_SERVER,
        on_unserved: OnUnserved = lambda slot, error: None,
    ) -> None:
        """`on_unserved`: called on a cluster when this server does not serve a slot (any more),
        or cannot be reached.
        """
        self.channels = channels
        self._on_unserved = on_unserved
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
        self._owned = owned
        self._kept: set[str] = set()
        self._pending: set[str] = set()
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._unsent: deque[str] = deque()
        self._unconfirmed = self._unsubscribed = 0
        self._client_id: int | None = None
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
        channels = list(channels)
        fresh = dict.fromkeys(channel for channel in channels if channel not in self._kept)
        self._kept.update(fresh)
        self.request(fresh)
        await self.confirmed(channels)

    def unsubscribe(self, channels: Iterable[str]) -> None:
        """Unsubscribe from channels. Never blocks; a later `subscribe` is sent after it."""
        gone = [channel for channel in channels if channel in self._kept]
        self._kept.difference_update(gone)
        self.release(gone)

    def request(self, channels: Iterable[str]) -> None:
        """Begin to subscribe to channels that were just added to `owned`. Never blocks."""
        fresh = list(channels)
        self._pending.update(fresh)
        self._unsent.extend(fresh)
        self._send_unsent()

    async def confirmed(self, channels: Iterable[str]) -> None:
        """Return once Redis confirmed all of the channels; wait for Redis if it is away."""
        loop = asyncio.get_running_loop()
        futures = []
        for channel in channels:
            if channel in self._pending:
                future = loop.create_future()
                self._waiting.setdefault(channel, []).append(future)
                futures.append(future)
        for future in futures:
            await future

    def release(self, channels: Collection[str]) -> None:
        """Unsubscribe from channels that were just taken out of `owned`. Never blocks."""
        gone = list(channels)
        self._pending.difference_update(gone)
        self._unsubscribed += len(gone)
        if self._link is not None:
            self._link.send_all(self._commands(self.channels.unsubscribe, gone))

    def hand_over(self, channels: Collection[str]) -> None:
        """Give up channels that another server has now; who waits for them looks again."""
        moved = self._pending.intersection(channels)
        self._unconfirmed = max(0, self._unconfirmed - len(moved))
        self.release(channels)
        for channel in moved:
            self._wake(channel)
        self._send_unsent()
        self._maybe_resumed()

    def ask_again(self) -> None:
        """Ask for all channels that are not confirmed: some were refused."""
        self._unsent, self._unconfirmed = deque(sorted(self._pending)), 0
        self._send_unsent()

    def is_confirmed(self, channel: str) -> bool:
        """Return whether a channel that was requested is subscribed to."""
        return channel not in self._pending

    def restart(self) -> None:
        """Close the connection and open another: it is up, but nothing comes through."""
        if self._link is not None:
            self._link.close()

    @property
    def is_whole(self) -> bool:
        """Whether nothing that was published since the last break can have been missed."""
        return self._link is not None and not self._resume_due

    @property
    def state(self) -> LinkState:
        """The state of the link now, to be compared later."""
        confirmed = len(self._kept) + len(self._owned) - len(self._pending)
        return LinkState(self._client_id or 0, confirmed, self._unsubscribed)

    def misses_some(self, before: LinkState, channels: int) -> bool:
        """Return whether Redis has forgotten a channel, by the number it had since `before`.

        Channels that are being subscribed to or given up can hide that, until it is asked again.
        """
        gone = self._unsubscribed - before.unsubscribed
        return before.client_id == self._client_id and channels < before.confirmed - gone

    def _send_unsent(self) -> None:
        """Subscribe to more channels, as far as confirmations have come.

        Without a connection nothing is sent: the next one subscribes to all.
        """
        if self._link is None:
            return
        while self._unsent and self._unconfirmed + CHANNELS_PER_COMMAND <= MAX_UNCONFIRMED_CHANNELS:
            some: list[str] = []
            while self._unsent and len(some) < CHANNELS_PER_COMMAND:
                if (channel := self._unsent.popleft()) in self._pending:
                    some.append(channel)
            if some:
                self._unconfirmed += len(some)
                self._link.send_all(self._commands(self.channels.subscribe, some))

    def _commands(self, verb: str, channels: Collection[str]) -> Iterator[Command]:
        """Yield the commands for channels: each with a bounded number, on a cluster of one slot."""
        groups: dict[int, list[str]] = {}
        for channel in channels:
            groups.setdefault(slot_of(channel) if self.channels.sharded else 0, []).append(channel)
        for group in groups.values():
            for i in range(0, len(group), CHANNELS_PER_COMMAND):
                yield (verb, *group[i : i + CHANNELS_PER_COMMAND])

    async def _listen(self) -> None:
        """Listen on one connection until it ends."""
        try:
            async with within(SUBSCRIBER_CONNECT_SECONDS):
                self._link = await RedisConnection.open(self._pool, self._reply)
            self._link.send_all([("CLIENT", "ID"), ("INFO", "server")])
            self.ask_again()
            self._loop.mark_succeeded()
            self._resume_due, self._first = not self._first, False
            self._maybe_resumed()
            await asyncio.wait([self._link.gone])
            self._throttled_log.warning("subscriber lost redis", "closed")
        finally:
            if self._link is not None:  # of its confirmations none holds any more
                self._pending = {*self._kept, *self._owned}
            self.restart()
            self._link = None
            self._client_id = None
            self.server = ""
            self._on_unserved(None, None)

    async def _pause(self) -> None:
        """Wait: instances that were cut off together must not reconnect together."""
        await asyncio.sleep(RECONNECT_SECONDS * random.uniform(0.5, 1.0))

    def _maybe_resumed(self) -> None:
        """Report the end of a break, but only after the last confirmation.

        A check before would miss what is published until then (D5).
        """
        if self._resume_due and not self._pending:
            self._resume_due = False
            self._on_resumed()

    def _reply(self, reply: Any) -> None:
        """Handle one reply: server information, a message or a confirmation; an error closes.

        The first one is the id of the connection; where Redis refuses it, channels are not counted.
        """
        if self._client_id is None:
            self._client_id = reply if isinstance(reply, int) else 0
            return
        if isinstance(reply, Exception):
            self._refused(reply)
            return
        if isinstance(reply, bytes):
            found = _RUN_ID.search(reply)
            self.server = found[1].decode() if found else ""
            return
        kind, channel, data = reply
        if kind == self.channels.message:
            self._dispatch(channel.decode(), data)
        elif kind == self.channels.subscribed:
            self._unconfirmed = max(0, self._unconfirmed - 1)
            self._confirm(channel.decode())
            self._send_unsent()
        elif self.channels.sharded:
            self._unsubscribed_from(channel.decode())

    def _refused(self, error: Exception) -> None:
        """Close the connection, unless the error is about one slot of a cluster."""
        if self.channels.sharded and isinstance(error, MovedError):
            self._on_unserved(error.slot_id, error)
        elif self.channels.sharded and isinstance(error, NotPrimary) and not self._is_closing:
            self._on_unserved(None, error)
        else:
            self._throttled_log.warning("subscriber is refused", error)
            self.restart()

    @property
    def _is_closing(self) -> bool:
        return self._link is None or self._link.closing

    def _unsubscribed_from(self, channel: str) -> None:
        """Note that a channel is gone. The server says so, unasked, when the slot has moved."""
        is_wanted = channel in self._kept or channel in self._owned
        if is_wanted and channel not in self._pending:
            self._pending.add(channel)
            self._unsubscribed += 1
            self._on_unserved(slot_of(channel), None)

    def _dispatch(self, channel: str, data: bytes) -> None:
        try:
            self._on_message(channel, data)
        except Exception:
            log.exception("message could not be handled", extra={"channel": channel})

    def _confirm(self, channel: str) -> None:
        self.ever_subscribed = True
        self._pending.discard(channel)
        self._wake(channel)
        self._maybe_resumed()

    def _wake(self, channel: str) -> None:
        for future in self._waiting.pop(channel, ()):
            if not future.done():
                future.set_result(None)
