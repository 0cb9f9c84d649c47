"""The doorbell of a relay: which of its partitions have something to be read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from redis.asyncio import Redis

from rts_server import keys
from rts_server.config import Settings
from rts_server.realtime.canary import Canary
from rts_server.realtime.sharded_subscriber import ShardedSubscriber
from rts_server.realtime.subscriber import Subscriber
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.redis_client.servers import RedisServers
from rts_server.redis_client.slots import slot_of
from rts_server.runtime.tasks import Tasks

OnRing = Callable[[int, bytes], None]
"""Called with a partition and what was said; see `keys.outbox`."""

ENTRIES, CURSORS = b"", b"cursors"


class Doorbell:
    """Subscribes to the channels of the partitions that this relay holds.

    A script that adds to an outbox publishes to its channel, so nobody reads partitions in which
    nothing happens. What was published before a subscription was confirmed, or while the link was
    broken or deaf, was missed: each of these partitions rings once then. On a cluster there is a
    link to each primary, so those are partitions of one.
    """

    def __init__(
        self,
        settings: Settings,
        redis: Redis | CommandPipe,
        relay: str,
        on_ring: OnRing,
        servers: RedisServers,
    ) -> None:
        """`relay`: its name, for the channel of its canary."""
        self._settings, self._redis = settings, redis
        self._on_ring = on_ring
        self._own = keys.relay_channel(relay)
        self._partitions: dict[str, int] = {}
        self._tasks = Tasks()
        self._subscriber: Subscriber | ShardedSubscriber
        self._canary: Canary | None = None  # a sharded subscriber has its own
        if servers.topology is None:
            self._subscriber, self._canary = self._link_to_one(servers)
        else:
            on = (self._message_arrived, self._missed_in)
            self._subscriber = ShardedSubscriber(settings, redis, servers.topology, *on, name=relay)

    def _link_to_one(self, servers: RedisServers) -> tuple[Subscriber, Canary]:
        subscriber = Subscriber(
            self._settings.redis_url, self._message_arrived, self._missed, servers.primary
        )
        return subscriber, Canary(
            self._redis,
            subscriber,
            self._own,
            interval=self._settings.canary_interval,
            deaf_after=self._settings.deaf_after,
            primary=servers.primary,
        )

    async def run_forever(self) -> None:
        """Listen until cancelled."""
        self._subscriber.start()
        try:
            if self._canary is None:
                await asyncio.Event().wait()
            else:
                self._tasks.keep(self._subscriber.subscribe([self._own]))
                await self._canary.run_forever()
        finally:
            await self._tasks.close()
            await self._subscriber.close()

    def listen(self, partitions: Collection[int]) -> None:
        """Subscribe to partitions; each rings once it is subscribed to. Never blocks."""
        channels = {keys.outbox(one): one for one in partitions}
        self._partitions |= channels
        self._tasks.keep(self._listen(channels))

    def leave(self, partitions: Collection[int]) -> None:
        """Unsubscribe from partitions. Never blocks."""
        channels = [keys.outbox(one) for one in partitions]
        for channel in channels:
            self._partitions.pop(channel, None)
        self._subscriber.unsubscribe(channels)

    async def _listen(self, channels: dict[str, int]) -> None:
        await self._subscriber.subscribe(channels)
        self._ring_all(channels)

    def _missed(self) -> None:
        self._ring_all(self._partitions)

    def _missed_in(self, slots: frozenset[int], since: float) -> None:
        self._ring_all([channel for channel in self._partitions if slot_of(channel) in slots])

    def _ring_all(self, channels: Collection[str]) -> None:
        for channel in channels:
            for what in (ENTRIES, CURSORS):
                self._message_arrived(channel, what)

    def _message_arrived(self, channel: str, data: bytes) -> None:
        if channel == self._own and self._canary is not None:
            self._canary.received(data)
        elif channel in self._partitions:
            self._on_ring(self._partitions[channel], data)
