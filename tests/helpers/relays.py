"""Relays in a test's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import ConnectionPool, Redis

from rts_server.config import Settings
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.relay.relay import Relay


@asynccontextmanager
async def relay_on(redis: Redis, **settings: Any) -> AsyncIterator[Relay]:
    """Return a relay that does not run yet, with connections like that of `redis`."""
    known = redis.connection_pool.connection_kwargs
    arguments = {name: known[name] for name in ("host", "port", "db") if name in known}
    url = "redis://{host}:{port}/{db}".format(**arguments)
    pipe = RedisPipeline(ConnectionPool(**arguments, protocol=2))
    try:
        yield Relay(Settings(redis_url=url, **settings), redis, pipe)
    finally:
        await pipe.close()
