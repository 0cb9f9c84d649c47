"""Relays in a test's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import ConnectionPool, Redis

from rts_server.config import Settings
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.redis_client.servers import RedisServers
from rts_server.relay.relay import Relay
from rts_server.relay.shard_relay import ShardRelay


@asynccontextmanager
async def relay_on(redis: Redis, **settings: Any) -> AsyncIterator[Relay]:
    """Return a relay that does not run yet, with connections like that of `redis`."""
    known = redis.connection_pool.connection_kwargs
    arguments = {name: known[name] for name in ("host", "port", "db") if name in known}
    url = "redis://{host}:{port}/{db}".format(**arguments)
    pipe = RedisPipeline(ConnectionPool(**arguments, protocol=2))
    try:
        loaded = Settings(redis_url=url, **settings)
        yield Relay(loaded, redis, pipe, RedisServers(loaded))
    finally:
        await pipe.close()


def only_shard(one: Relay) -> ShardRelay:
    """Return the part of a relay for its only shard."""
    (shard,) = one._shards
    return shard
