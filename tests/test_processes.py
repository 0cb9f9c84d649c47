"""Processes: what a relay runs ends together, and completely; a web process accepts crowds."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.processes import _run_all
from tests.helpers.processes import clean_environment
from tests.helpers.waiting import eventually
from tests.helpers.world import Process, free_port

SLOW_TURNS = 5
CROWD = 400


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
    leases = [keys.group_lease(group) for group in range(keys.LEASE_GROUPS)]
    relay.start()
    try:
        await eventually(lambda: _all_held(redis, leases))
    finally:
        code = await asyncio.to_thread(relay.stop)
    assert code == 0, relay.log.read_text()
    assert await redis.exists(keys.RELAYS, *leases) == 0


async def test_a_crowd_that_comes_at_once_waits_to_be_accepted(
    valkey_url: str, tmp_path: Path
) -> None:
    """While a web process is busy, here stopped, the kernel completes more connections than the
    128 of asyncio's default; beyond these a client's SYN is dropped (R5)."""
    port = free_port()
    given = {"RTS_REDIS_URL": valkey_url, "RTS_JWT_SECRET": "s" * 32, "RTS_PORT": str(port)}
    given |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    given |= {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_REGION": "us-east-1"}
    web = Process("serve", clean_environment() | given, tmp_path / "web.log")
    web.start()
    crowd: list[socket.socket] = []
    try:
        await eventually(lambda: _accepts(port))
        web.signal(signal.SIGSTOP)
        for _ in range(CROWD):
            crowd.append(socket.create_connection(("127.0.0.1", port), timeout=0.5))
        assert len(crowd) == CROWD
    finally:
        for one in crowd:
            one.close()
        web.signal(signal.SIGCONT)
        await asyncio.to_thread(web.stop)


async def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
        return True
    return False


async def _all_held(redis: Redis, leases: list[str]) -> bool:
    return await redis.exists(*leases) == len(leases)
