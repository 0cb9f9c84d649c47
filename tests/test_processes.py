"""The relay process: what it runs ends together, and completely."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.processes import _run_all
from tests.helpers.processes import clean_environment
from tests.helpers.waiting import eventually
from tests.helpers.world import Process

SLOW_TURNS = 5


async def test_a_loop_that_needs_longer_to_end_is_awaited() -> None:
    """Also if another one ends at once."""
    ended = []

    async def quick() -> None:
        await asyncio.Event().wait()

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(SLOW_TURNS):
                await asyncio.sleep(0)
            ended.append("slow")

    task = asyncio.create_task(_run_all(slow(), quick()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["slow"]


async def test_a_failure_ends_all_and_is_raised() -> None:
    """The process ends with a traceback, and its supervisor starts it again."""

    async def failing() -> None:
        raise OSError("disk")

    with pytest.raises(ExceptionGroup) as raised:
        await _run_all(failing(), asyncio.sleep(3600))
    assert raised.group_contains(OSError, match="disk")


async def test_a_relay_that_ends_leaves_no_lease(
    redis: Redis, valkey_url: str, tmp_path: Path
) -> None:
    """So its partitions are relayed by others at once, not after the leases' expiry."""
    given = {"RTS_REDIS_URL": valkey_url, "RTS_JWT_SECRET": "s" * 32}
    given |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    given |= {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_REGION": "us-east-1"}
    given |= {"RTS_RELAY_LEASE": "600"}
    relay = Process("relay", clean_environment() | given, tmp_path / "relay.log")
    leases = [keys.partition_lease(group) for group in range(keys.LEASE_GROUPS)]
    relay.start()
    try:
        await eventually(lambda: _all_held(redis, leases))
    finally:
        code = await asyncio.to_thread(relay.stop)
    assert code == 0, relay.log.read_text()
    assert await redis.exists(keys.RELAYS, *leases) == 0


async def _all_held(redis: Redis, leases: list[str]) -> bool:
    return await redis.exists(*leases) == len(leases)
