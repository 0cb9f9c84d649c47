"""Which primary of a cluster serves which slot, as far as is known."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import REDIS_CLUSTER_HASH_SLOTS
from redis.exceptions import RedisError

from rts_server.redis_client.primary import Primary
from rts_server.runtime.tasks import Tasks
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

REFRESH_SECONDS = 0.1
"""Time between two questions to the cluster, at least."""


class Address(NamedTuple):
    """Where a node listens. `host`: a name or an IP address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Topology:
    """The owner of each slot, from CLUSTER SLOTS of any node that answers.

    What a node replies with MOVED is newer than that, and counts at once.

    Attributes:
        is_known: Whether it was ever read.
        on_read: Called when it was read, or changed by a MOVED.
    """

    def __init__(self, url: str) -> None:
        """`url`: of any node; a configuration endpoint leads to one."""
        self._url = url
        self._seed = _address_of(url)
        self._owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._refreshing: asyncio.Task[None] | None = None
        self._next_at = 0.0
        self._tasks = Tasks()
        self._throttled_log = ThrottledLog(log)
        self._states: dict[Address, Primary] = {}
        self.is_known = False
        self.on_read: list[Callable[[], None]] = []

    async def close(self) -> None:
        """Stop asking."""
        await self._tasks.close()

    @property
    def primaries(self) -> set[Address]:
        """Those that serve a slot."""
        return {one for one in self._owners if one is not None}

    def owner(self, slot: int) -> Address | None:
        """Return the primary of a slot; None if nobody serves it."""
        return self._owners[slot]

    def state_of(self, address: Address) -> Primary:
        """Return the state of a primary, which all connections of the process to it share."""
        if address not in self._states:
            self._states[address] = Primary(of_cluster=True)
        return self._states[address]

    def url_of(self, address: Address) -> str:
        """Return the URL of a node: with the scheme and the password of the cluster's."""
        return _url_at(self._url, address)

    def moved(self, slot: int, address: Address) -> None:
        """Note what MOVED says of a slot. It is seldom the only slot that moved."""
        if self._owners[slot] != address:
            self._owners[slot] = address
            self._call_on_read()
        self.refresh_soon()

    def refresh_soon(self) -> asyncio.Task[None]:
        """Ask the cluster, unless it is being asked. Return the task that does."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = self._tasks.keep(self._refresh())
        return self._refreshing

    async def _refresh(self) -> None:
        # Every command that meets a dead primary asks for this.
        await asyncio.sleep(self._next_at - asyncio.get_running_loop().time())
        nodes = [*self.primaries | {self._seed}]
        random.shuffle(nodes)  # one that is cut off from the others has an old answer
        for node in nodes:
            try:
                spans = await self._ask(node)
            except (RedisError, OSError) as error:
                self._throttled_log.warning("a node of the cluster does not answer", error)
                continue
            self._take(spans, node)
            break
        self._next_at = asyncio.get_running_loop().time() + REFRESH_SECONDS

    async def _ask(self, node: Address) -> Any:
        pool = ConnectionPool.from_url(
            self.url_of(node),
            protocol=2,
            socket_connect_timeout=0.5,
            socket_timeout=1.0,
            retry=Retry(NoBackoff(), 0),
        )
        # Without a client: the end of one waits, and so could be cancelled itself.
        connection = pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()
            await connection.send_command("CLUSTER SLOTS")
            return await connection.read_response()
        finally:
            await connection.disconnect(nowait=True)

    def _take(self, spans: Iterable[Any], asked: Address) -> None:
        owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        for first, last, (host, port, *_), *_replicas in spans:
            # A node that is alone in its cluster does not know its own address.
            name = (host or b"").decode() or asked.host
            address = Address(name, int(port))
            owners[first : last + 1] = [address] * (last + 1 - first)
        self._owners = owners
        self.is_known = True
        self._call_on_read()

    def _call_on_read(self) -> None:
        for one in self.on_read:
            one()


def _address_of(url: str) -> Address:
    parts = urlsplit(url)
    return Address(parts.hostname or "127.0.0.1", parts.port or 6379)


def _url_at(url: str, address: Address) -> str:
    parts = urlsplit(url)
    login, at, _ = parts.netloc.rpartition("@")
    host = f"[{address.host}]" if ":" in address.host else address.host
    return urlunsplit(parts._replace(netloc=f"{login}{at}{host}:{address.port}"))
