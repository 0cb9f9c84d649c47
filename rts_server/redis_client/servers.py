"""The Redis of a process, one server or a cluster, and the pipes to it."""

from __future__ import annotations

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from rts_server.config import Settings
from rts_server.redis_client.info import info_field
from rts_server.redis_client.pipeline import CommandPipe, RedisPipeline
from rts_server.redis_client.primary import Primary
from rts_server.redis_client.sharded_pipeline import ShardedPipeline
from rts_server.redis_client.topology import Topology
from rts_server.redis_client.transport import use_checked_connections

SERVER_CONNECT_SECONDS = 0.5
"""How long a connection to a server may take."""
SERVER_ANSWER_SECONDS = 1.0
"""How long redis-py waits for a reply; a pipe has a bound of its own."""


class RedisServers:
    """What all connections of a process to Redis share.

    Attributes:
        primary: The state of the primary; on a cluster each has one (`Topology.state_of`).
        topology: Of the cluster; None if it is one server.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.redis_url
        self.primary = Primary()
        self.topology = Topology(settings.redis_url) if settings.redis_cluster else None

    def pipe(self) -> CommandPipe:
        """Return a pipe, which connects on demand."""
        if self.topology is not None:
            return ShardedPipeline(self.topology, pool)
        return RedisPipeline(pool(self._url, self.primary), self.primary)

    async def close(self) -> None:
        """Stop asking where slots are, when the pipes are closed."""
        if self.topology is not None:
            await self.topology.close()


def pool(
    url: str, primary: Primary, connections: int = 1, retries: int = 0
) -> BlockingConnectionPool:
    """Return a pool of connections with short timeouts."""
    new_pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=1.0,
        protocol=2,
        socket_connect_timeout=SERVER_CONNECT_SECONDS,
        socket_timeout=SERVER_ANSWER_SECONDS,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), retries),
    )
    use_checked_connections(new_pool, primary)
    return new_pool


async def check_kind(settings: Settings) -> None:
    """Check that Redis is what the settings say, one server or a cluster.

    Raises SystemExit if it is the other. Redis that is away is not checked.
    """
    client = Redis.from_url(
        settings.redis_url,
        protocol=2,
        socket_connect_timeout=SERVER_CONNECT_SECONDS,
        socket_timeout=SERVER_ANSWER_SECONDS,
    )
    async with client:
        try:
            # The name is bytes, so that redis-py does not parse the reply.
            info = await client.execute_command(b"INFO", "cluster")  # type: ignore[no-untyped-call]
        except (RedisError, OSError):
            return
    found = info_field(info, "cluster_enabled") == "1"
    if found and not settings.redis_cluster:
        raise SystemExit("RTS_REDIS_URL leads to a cluster: set RTS_REDIS_CLUSTER=1.")
    if settings.redis_cluster and not found:
        raise SystemExit("RTS_REDIS_CLUSTER=1 is set, but RTS_REDIS_URL leads to a single server.")
