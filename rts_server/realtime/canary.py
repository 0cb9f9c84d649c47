"""The canary: a message to oneself through Redis. An instance that does not get it is deaf (D5).

The same pipeline asks the server for its role: a replica accepts reads and subscriptions silently.
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
from rts_server.runtime.loops import repeat_forever

log = logging.getLogger(__name__)

CANARY_PAYLOAD = b"canary"


class Canary:
    """Publishes to the own channel; the instance is deaf when no message comes back.

    It is not deaf while Redis does not answer at all. Commands and subscriptions must reach the
    same server, which must be the primary; otherwise all connections are closed and the address is
    resolved again.

    Attributes:
        answered: Whether Redis answered the last time.
        deaf: Whether publishing works but nothing came back for `deaf_after` seconds.
    """

    def __init__(
        self,
        redis: Redis,
        subscriber: Subscriber,
        channel: str,
        *,
        interval: float,
        deaf_after: float,
        primary: Primary | None = None,
    ) -> None:
        """`interval` is the time between two canaries; both times are in seconds."""
        self._redis = redis
        self._primary = primary or Primary()
        self._subscriber = subscriber
        self._channel = channel
        self._interval = interval
        self._deaf_after = deaf_after
        self.answered = False
        self._missing_since: float | None = None
        self.deaf = False

    def received(self) -> None:
        """Note that a canary came back."""
        self._missing_since = None
        if self.deaf:
            self.deaf = False
            metrics.DEAF.set(0)

    def not_ready(self) -> list[str]:
        """Return why the instance is not ready; Redis being away is no reason (R8)."""
        if self._primary.missing(self._deaf_after):
            return ["no primary"]
        return ["deaf"] if self.deaf else []

    async def run_forever(self) -> None:
        """Publish canaries; when none comes back, reconnect the subscriber until one does."""
        await repeat_forever("canary", self._publish_and_check)

    async def _publish_and_check(self) -> None:
        await asyncio.sleep(self._interval)
        refusals = self._primary.refusals
        try:
            server, role = await self._published()
        except (RedisError, OSError) as error:
            self.answered, self._missing_since = False, None
            if not isinstance(error, NotPrimary):
                self._primary.confirmed()  # no server answers, so none is the wrong one
            return
        self.answered = True
        if role != "master" or self._subscriber.server not in (server, ""):
            why = role if role != "master" else "publish and subscribe reach two servers"
            self._primary.refused(refusals, why)
            return
        self._primary.confirmed()
        self._check_echo()

    async def _published(self) -> tuple[str, str]:
        """Publish a canary; return the run id and the role of the server."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.publish(self._channel, CANARY_PAYLOAD)
            pipe.info("server")
            pipe.info("replication")
            _, server, replication = await pipe.execute()
        return str(server["run_id"]), str(replication["role"])

    def _check_echo(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._missing_since is None:
            self._missing_since = now
        elif now - self._missing_since > self._deaf_after:
            if not self.deaf:
                log.error("deaf: the canary does not come back")
            self.deaf = True
            metrics.DEAF.set(1)
            self._missing_since = None  # the new connection gets its full time
            self._subscriber.restart()
