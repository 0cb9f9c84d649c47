"""A message to oneself through Redis: who does not hear it is deaf, whatever the sockets say.

With it goes the question who is there: a replica lets itself be read and heard without a word.
"""

from __future__ import annotations

import asyncio
import logging

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import metrics
from rts_server.realtime.subscriber import Subscriber
from rts_server.redis_client.primary import Primary
from rts_server.redis_client.transport import NotPrimary
from rts_server.runtime.loops import forever

log = logging.getLogger(__name__)

SONG = b"canary"


class Canary:
    """Deaf: publishing works and the echo is missing for `deaf_after` s. Redis away is not deaf.

    `answered`: Redis answered the last time. Commands and subscription have to reach one server,
    and it has to be the primary: otherwise all links end, and the address is resolved anew.
    """

    def __init__(
        self,
        redis: Redis,
        subscriber: Subscriber,
        channel: str,
        times: tuple[float, float],
        primary: Primary | None = None,
    ) -> None:
        """`times`: seconds between two songs, and until the instance counts as deaf."""
        self._redis = redis
        self._primary = primary or Primary()
        self._subscriber = subscriber
        self._channel = channel
        self._interval, self._deaf_after = times
        self.answered = False
        self._unheard_since: float | None = None
        self.deaf = False

    def heard(self) -> None:
        """The echo."""
        self._unheard_since = None
        if self.deaf:
            self.deaf = False
            metrics.DEAF.set(0)

    def not_ready(self) -> list[str]:
        """Why another instance would do better; Redis being away is no reason."""
        if self._primary.missing(self._deaf_after):
            return ["no primary"]
        return ["deaf"] if self.deaf else []

    async def run(self) -> None:
        """Sing, and when the echo stays away take a new link until it is back."""
        await forever("canary", self._sing)

    async def _sing(self) -> None:
        await asyncio.sleep(self._interval)
        generation = self._primary.generation
        try:
            server, role = await self._published()
        except (RedisError, OSError) as error:
            self.answered, self._unheard_since = False, None
            if not isinstance(error, NotPrimary):
                self._primary.confirmed()  # nobody can tell
            return
        self.answered = True
        if role != "master" or self._subscriber.server not in (server, ""):
            self._primary.refused(generation, role if role != "master" else "two servers")
            return
        self._primary.confirmed()
        self._listen_for_it()

    async def _published(self) -> tuple[str, str]:
        """Who took the song: its run_id and its role."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.publish(self._channel, SONG)
            pipe.info("server")
            pipe.info("replication")
            _, server, replication = await pipe.execute()
        return str(server["run_id"]), str(replication["role"])

    def _listen_for_it(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._unheard_since is None:
            self._unheard_since = now
        elif now - self._unheard_since > self._deaf_after:
            if not self.deaf:
                log.error("deaf: the canary does not come back")
            self.deaf = True
            metrics.DEAF.set(1)
            self._unheard_since = None  # the new link gets its time, or it is never heard
            self._subscriber.restart()
