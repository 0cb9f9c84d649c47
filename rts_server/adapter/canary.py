"""A message to oneself through Redis: who does not hear it is deaf, whatever the sockets say."""

from __future__ import annotations

import asyncio
import logging

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import metrics
from rts_server.adapter.subscriber import Subscriber

log = logging.getLogger(__name__)

SONG = b"canary"


class Canary:
    """Deaf: publishing works and the echo is missing for `deaf_after` s. Redis away is not deaf."""

    def __init__(
        self, redis: Redis, subscriber: Subscriber, channel: str, interval: float, deaf_after: float
    ) -> None:
        self._redis = redis
        self._subscriber = subscriber
        self._channel = channel
        self._interval = interval
        self._deaf_after = deaf_after
        self._unheard_since: float | None = None
        self.deaf = False

    def heard(self) -> None:
        """The echo."""
        self._unheard_since = None
        if self.deaf:
            self.deaf = False
            metrics.DEAF.set(0)

    async def run(self) -> None:
        """Sing, and when the echo stays away take a new link until it is back."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self._redis.publish(self._channel, SONG)
            except (RedisError, OSError):
                self._unheard_since = None
                continue
            now = loop.time()
            if self._unheard_since is None:
                self._unheard_since = now
            elif now - self._unheard_since > self._deaf_after:
                if not self.deaf:
                    log.error("deaf: the canary does not come back")
                self.deaf = True
                metrics.DEAF.set(1)
                self._unheard_since = None  # the new link gets its time, or it is never heard
                self._subscriber.restart()
