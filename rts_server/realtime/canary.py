"""The canary: a message to oneself through Redis. An instance that does not get it is deaf (D5).

The same pipeline asks the server for its role: a replica accepts reads and subscriptions silently.
"""

from __future__ import annotations

import asyncio
import logging

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from rts_server import metrics
from rts_server.realtime.subscriber import Subscriber
from rts_server.redis_client.primary import Primary
from rts_server.redis_client.transport import NotPrimary
from rts_server.runtime.loops import repeat_forever
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

CANARY_PREFIX = b"canary "
"""A canary says when it was sent, in seconds of this process's loop."""
RESTART_SHARE = 0.5
"""Share of the time after which an instance is deaf, in which a new link is tried."""


class Canary:
    """Publishes to the own channel; the instance is deaf when no message comes back.

    It is not deaf while Redis does not answer at all. Commands and subscriptions must reach the
    same server, which must be the primary; otherwise all connections are closed and the address is
    resolved again.

    Attributes:
        answered: Whether the primary answered the last time: if not, that loops fail says nothing.
        deaf: Whether publishing works but nothing came back for `deaf_after` seconds.
        heard_until: Nothing that was published to us before this loop time was missed.
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
        self._throttled_log = ThrottledLog(log)
        self.answered = False
        self._missing_since: float | None = None
        self._restarted_at = float("-inf")
        self.deaf = False
        self.heard_until = float("-inf")

    def received(self, payload: bytes) -> None:
        """Note that a canary came back. What comes while channels are missing says nothing."""
        if self._subscriber.is_whole:
            self.heard_until = float(payload.removeprefix(CANARY_PREFIX))
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
            # No server answers, so none is the wrong one; unless a refusal of another command, or
            # of this one, has closed the connection meanwhile.
            if not isinstance(error, NotPrimary) and refusals == self._primary.refusals:
                self._primary.confirmed()
            return
        if role != "master" or self._subscriber.server not in (server, ""):
            why = role if role != "master" else "publish and subscribe reach two servers"
            self.answered = False
            self._primary.refused(refusals, why)
            return
        self.answered = True
        self._primary.confirmed()
        self._check_echo()
        await self._check_channels()

    async def _published(self) -> tuple[str, str]:
        """Publish a canary; return the run id and the role of the server."""
        now = asyncio.get_running_loop().time()
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.publish(self._channel, CANARY_PREFIX + str(now).encode())
            pipe.info("server")
            pipe.info("replication")
            _, server, replication = await pipe.execute()
        return str(server["run_id"]), str(replication["role"])

    def _check_echo(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._missing_since is None:
            self._missing_since = now
            return
        if now - self._missing_since > self._deaf_after and not self.deaf:
            log.error("deaf: the canary does not come back")
            self.deaf = True
            metrics.DEAF.set(1)
        # A new connection gets its full time.
        since = max(self._missing_since, self._restarted_at)
        if now - since > self._deaf_after * RESTART_SHARE:
            self._restarted_at = now
            self._subscriber.restart()

    async def _check_channels(self) -> None:
        """Reconnect the subscriber if Redis has fewer channels of it than it confirmed."""
        before = self._subscriber.state
        if not before.client_id:
            return
        try:
            found = await self._redis.client_list(client_id=[str(before.client_id)])
        except ResponseError as error:
            self._throttled_log.warning("channels cannot be counted", error)
            return
        except (RedisError, OSError):
            return
        if self._subscriber.misses_some(before, int(found[0]["sub"]) if found else -1):
            log.error("a subscription is missing")
            self.heard_until = float("-inf")  # since when is not known
            self._subscriber.restart()
