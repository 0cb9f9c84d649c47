"""Checks that Redis refuses writes when its memory is full, and never evicts keys (D1)."""

from __future__ import annotations

import asyncio
import logging

from rts_server import keys
from rts_server.redis_client.info import info_field
from rts_server.redis_client.pipeline import CommandPipe, replies_beside

log = logging.getLogger(__name__)

POLICY_RETRY_SECONDS = 1.0
"""Time between two tries while Redis is away."""


async def check_eviction_policy(redis: CommandPipe) -> None:
    """Wait for Redis and read its policy. Raises SystemExit unless that is `noeviction`.

    On a cluster that of each primary that answers.
    """
    while True:
        # A pipe to a cluster knows the primaries only when it has sent something.
        await asyncio.wait([redis.execute_command("EXISTS", keys.outbox(0))])
        replies = await replies_beside(
            redis, map(keys.outbox, range(keys.PARTITIONS)), ("INFO", "memory")
        )
        policies = {info_field(one, "maxmemory_policy") for one in replies if type(one) is bytes}
        if policies:
            break
        await asyncio.sleep(POLICY_RETRY_SECONDS)
    for policy in policies - {"noeviction"}:
        log.critical("redis evicts", extra={"maxmemory_policy": policy})
        raise SystemExit(f"Redis has maxmemory-policy {policy}; it must be noeviction.")
