"""Checks that Redis refuses writes when its memory is full, and never evicts keys (D1)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from redis.asyncio import Redis

log = logging.getLogger(__name__)

POLICY_RETRY_SECONDS = 1.0
"""Time between two tries while Redis is away."""


async def check_eviction_policy(redis: Redis) -> None:
    """Wait for Redis and read its policy. Raises SystemExit unless that is `noeviction`."""
    while True:
        try:
            memory: dict[str, Any] = await redis.info("memory")
            break
        except Exception:  # whatever it is, the policy is still unknown
            await asyncio.sleep(POLICY_RETRY_SECONDS)
    policy = memory.get("maxmemory_policy")
    if policy != "noeviction":
        log.critical("redis evicts", extra={"maxmemory_policy": policy})
        raise SystemExit(f"Redis has maxmemory-policy {policy}; it must be noeviction.")
