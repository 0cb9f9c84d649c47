"""The canary: a message to oneself through Redis. An instance that does not get it is deaf (D5).

The same pipeline asks the server for its role: a replica accepts reads and subscriptions silently.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from rts_server import metrics
from rts_server.realtime.subscriber import LinkState, Subscriber
from rts_server.redis_client.connection import Command
from rts_server.redis_client.info import info_field
from rts_server.redis_client.pipeline import CommandPipe, channels_of, replies_at
from rts_server.redis_client.primary import Primary
from rts_server.redis_client.transport import NotPrimary
from rts_server.runtime.loops import repeat_forever
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

CANARY_PREFIX = b"canary "
"""A canary says when it was sent, in seconds of this process's loop."""
RESTART_SHARE = 0.5
"""Share of the time after which an instance is deaf, in which a new link is tried."""

_CHANNELS = re.compile(rb"\bs?sub=(\d+)")
_deaf: set[Canary] = set()
"""Those of this process that do not hear themselves."""


class _Count(NamedTuple):
    """Channels that Redis had at a loop time, fewer than the link in its state before."""

    before: LinkState
    channels: int
    at: float


class Canary:
    """Publishes to the own channel; the instance is deaf when no message comes back.

    It is not deaf while Redis does not answer at all. Commands and subscriptions must reach the
    same server, which must be the primary; otherwise all connections are closed and the address is
    resolved again.

    Attributes:
        channel: On which it is published.
        answered: Whether the primary answered the last time: if not, that loops fail says nothing.
        deaf: Whether publishing works but nothing came back for `deaf_after` seconds.
        heard_until: Nothing that was published to us before this loop time was missed.
    """

    def __init__(
        self,
        redis: Redis | CommandPipe,
        subscriber: Subscriber,
        channel: str,
        *,
        interval: float,
        deaf_after: float,
        primary: Primary | None = None,
        server: str = "",
    ) -> None:
        """`interval` is the time between two canaries; both times are in seconds.

        `server`: which primary of a cluster this is, for /health/ready.
        """
        self._deafness = f"deaf to {server}" if server else "deaf"
        self._absence = f"no primary at {server}" if server else "no primary"
        self._redis = redis
        self._primary = primary or Primary()
        self._subscriber = subscriber
        self.channel = channel
        self._interval = interval
        self._deaf_after = deaf_after
        self._throttled_log = ThrottledLog(log)
        self.answered = False
        self._missing_since: float | None = None
        self._restarted_at = float("-inf")
        self._echoed = float("-inf")
        self._count: _Count | None = None
        self.deaf = False
        self.heard_until = float("-inf")

    def received(self, payload: bytes) -> None:
        """Note that a canary came back. What comes while channels are missing says nothing."""
        self._echoed = float(payload.removeprefix(CANARY_PREFIX))
        if self._subscriber.is_whole:
            self.heard_until = self._echoed
        self._missing_since = None
        self._set_deaf(False)

    def not_ready(self) -> list[str]:
        """Return why the instance is not ready; Redis being away is no reason (R8)."""
        if self._primary.missing(self._deaf_after):
            return [self._absence]
        return [self._deafness] if self.deaf else []

    async def run_forever(self) -> None:
        """Publish canaries; when none comes back, reconnect the subscriber until one does."""
        try:
            await repeat_forever("canary", self._publish_and_check)
        finally:
            self._set_deaf(False)

    def _set_deaf(self, deaf: bool) -> None:
        self.deaf = deaf
        (_deaf.add if deaf else _deaf.discard)(self)
        metrics.DEAF.set(bool(_deaf))

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
        now = CANARY_PREFIX + str(asyncio.get_running_loop().time()).encode()
        publication = channels_of(self._redis).publication(self.channel, now)
        _, server, replication = await self._ask(
            publication, ("INFO", "server"), ("INFO", "replication")
        )
        return info_field(server, "run_id"), info_field(replication, "role")

    async def _ask(self, *commands: Command) -> list[Any]:
        """Return the replies of the server of the channel. Raises the first error among them."""
        replies = await replies_at(self._redis, self.channel, commands)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    def _check_echo(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._missing_since is None:
            self._missing_since = now
            return
        if now - self._missing_since > self._deaf_after and not self.deaf:
            log.error(f"{self._deafness}: the canary does not come back")
            self._set_deaf(True)
        # A new connection gets its full time.
        since = max(self._missing_since, self._restarted_at)
        if now - since > self._deaf_after * RESTART_SHARE:
            self._restarted_at = now
            self._subscriber.restart()

    async def _check_channels(self) -> None:
        """Reconnect the subscriber if Redis has fewer channels of it than it confirmed.

        The link may still have to bring that some are gone: their slot has moved. So a count is
        judged when a canary that was sent after it has come back on the link.
        """
        if (count := self._count) is not None:
            if self._echoed < count.at:
                return
            self._count = None
            if self._subscriber.misses_some(count.before, count.channels):
                log.error("a subscription is missing")
                self.heard_until = float("-inf")  # since when is not known
                self._subscriber.restart()
                return
        before = self._subscriber.state
        channels = await self._channels_of(before.client_id) if before.client_id else None
        if channels is not None and self._subscriber.misses_some(before, channels):
            self._count = _Count(before, channels, asyncio.get_running_loop().time())

    async def _channels_of(self, client_id: int) -> int | None:
        """Return how many channels Redis has of the link: -1 without the link, None if not told."""
        try:
            (found,) = await self._ask(("CLIENT", "LIST", "ID", client_id))
        except ResponseError as error:
            self._throttled_log.warning("channels cannot be counted", error)
            return None
        except (RedisError, OSError):
            return None
        counts = [int(count) for count in _CHANNELS.findall(found)]
        return sum(counts) if counts else -1
