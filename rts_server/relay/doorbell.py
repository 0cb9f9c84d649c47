"""The doorbell of a relay: which of its partitions have something to be read."""

from __future__ import annotations

from collections.abc import Callable, Collection

from redis.asyncio import Redis

from rts_server import keys
from rts_server.config import Settings
from rts_server.realtime.canary import Canary
from rts_server.realtime.subscriber import Subscriber
from rts_server.redis_client.primary import Primary
from rts_server.runtime.tasks import Tasks

OnRing = Callable[[int, bytes], None]
"""Called with a partition and what was said; see `keys.outbox`."""

ENTRIES, CURSORS = b"", b"cursors"


class Doorbell:
    """Subscribes to the channels of the partitions that this relay holds.

    A script that adds to an outbox publishes to its channel, so nobody reads partitions in which
    nothing happens. What was published before a subscription was confirmed, or while the link was
    broken or deaf, was missed: each of these partitions rings once then.
    """

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        relay: str,
        on_ring: OnRing,
        primary: Primary | None = None,
    ) -> None:
        """`relay`: its name, for the channel of its canary."""
        self._on_ring = on_ring
        self._own = keys.relay_channel(relay)
        self._partitions: dict[str, int] = {}
        self._subscriber = Subscriber(
            settings.redis_url, self._message_arrived, self._missed, primary
        )
        self._canary = Canary(
            redis,
            self._subscriber,
            self._own,
            interval=settings.canary_interval,
            deaf_after=settings.deaf_after,
            primary=primary,
        )
        self._tasks = Tasks()

    async def run_forever(self) -> None:
        """Listen until cancelled."""
        self._subscriber.start()
        try:
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

    def _ring_all(self, channels: Collection[str]) -> None:
        for channel in channels:
            for what in (ENTRIES, CURSORS):
                self._message_arrived(channel, what)

    def _message_arrived(self, channel: str, data: bytes) -> None:
        if channel == self._own:
            self._canary.received(data)
        elif channel in self._partitions:
            self._on_ring(self._partitions[channel], data)
