"""Links that break while they are opened, on the loop of the processes: errors callers expect."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop
from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server.realtime.subscriber import Subscriber
from rts_server.redis_client.connection import RedisConnection
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.redis_client.primary import Primary
from rts_server.redis_client.servers import pool
from tests.helpers.hangups import hanging_up
from tests.helpers.valkey import connect
from tests.helpers.waiting import PATIENCE, eventually

ASKED = 60

Scenario = Callable[[str], Awaitable[None]]


async def by_pool(url: str) -> None:
    """Run a command on a pooled connection."""
    redis = connect(url, 4)
    for _ in range(ASKED):
        with pytest.raises((RedisError, OSError)):
            await redis.ping()
    await redis.aclose()


async def by_link(url: str) -> None:
    """Open a RedisConnection, and wait until it is gone."""
    links = pool(url, Primary())
    for _ in range(ASKED):
        try:
            link = await RedisConnection.open(links, lambda reply: None)
        except (RedisError, OSError):
            continue
        async with asyncio.timeout(PATIENCE):
            await link.gone


async def by_pipe(url: str) -> None:
    """Run a command on a pipeline."""
    pipe = RedisPipeline(pool(url, Primary()))
    for _ in range(ASKED):
        with pytest.raises((RedisError, OSError)):
            await pipe.execute_command("PING")
    await pipe.close()


@pytest.mark.parametrize("way", [by_pool, by_link, by_pipe])
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("replies", [0, 1, 2])
def test_a_connection_closed_in_its_handshake_raises_expected_errors(
    way: Scenario, reset: bool, replies: int
) -> None:
    """uvloop raises a bare RuntimeError at some of these moments."""
    with hanging_up(replies, reset) as server:
        uvloop.run(way(f"redis://127.0.0.1:{server.port}/0"))  # type: ignore[arg-type]


async def closed_before_use(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Close every connection before its first use, which otherwise happens by chance."""
    opened = asyncio.open_connection

    async def gone(*given: Any, **named: Any) -> Any:
        reader, writer = await opened(*given, **named)
        writer.transport.abort()
        await asyncio.sleep(0.01)
        return reader, writer

    monkeypatch.setattr(asyncio, "open_connection", gone)
    await by_pool(url)
    await by_pipe(url)


def test_a_transport_closed_at_once_raises_expected_errors(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It happens on every run, not by chance."""
    monkeypatch.setattr("tests.redis_client.test_transport.ASKED", 3)
    uvloop.run(closed_before_use(valkey_url, monkeypatch))


async def lost_in_the_handshake(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Break the first handshakes of a subscriber, which then connects all the same."""
    opened, broken = asyncio.open_connection, 3

    async def gone(*given: Any, **named: Any) -> Any:
        nonlocal broken
        reader, writer = await opened(*given, **named)
        if broken:
            broken -= 1
            writer.transport.abort()
            await asyncio.sleep(0.01)
        return reader, writer

    monkeypatch.setattr(asyncio, "open_connection", gone)
    heard: list[bytes] = []
    subscriber = Subscriber(url, lambda channel, data: heard.append(data), lambda: None)
    subscriber.start()
    async with asyncio.timeout(PATIENCE):
        await subscriber.subscribe(["a"])
    monkeypatch.undo()
    async with Redis.from_url(url) as redis:
        await redis.publish("a", "x")
        await eventually(lambda: heard == [b"x"])
    await subscriber.close()


def test_a_subscriber_survives_a_broken_handshake(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other task would start it again."""
    uvloop.run(lost_in_the_handshake(valkey_url, monkeypatch))
