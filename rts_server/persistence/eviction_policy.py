"""Redis must refuse rather than forget: an evicted key is a promise broken."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from redis.asyncio import Redis

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0


async def must_not_evict(redis: Redis) -> None:
    """Ask Redis for its policy, until it answers. Raises SystemExit unless it is `noeviction`."""
    while True:
        try:
            memory: dict[str, Any] = await redis.info("memory")
            break
        except Exception:  # whatever it is: the question stays
            await asyncio.sleep(RETRY_SECONDS)
    policy = memory.get("maxmemory_policy")
    if policy != "noeviction":
        log.critical("redis evicts", extra={"maxmemory_policy": policy})
        raise SystemExit(f"Redis has maxmemory-policy {policy}; it must be noeviction.")
