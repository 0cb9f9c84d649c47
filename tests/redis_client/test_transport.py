"""Links that break while they are opened, on the loop of the processes: errors callers expect."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop
from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server.config import Settings
from rts_server.realtime.subscriber import Subscriber
from rts_server.redis_client.connection import RedisConnection
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.redis_client.primary import Primary
from rts_server.services import connect, pool
from tests.helpers.hangups import hanging_up
from tests.helpers.waiting import PATIENCE, eventually

ASKED = 60

Scenario = Callable[[str], Awaitable[None]]


async def by_pool(url: str) -> None:
    """What a command on a pooled connection raises."""
    redis = connect(Settings(redis_url=url), 4)
    for _ in range(ASKED):
        with pytest.raises((RedisError, OSError)):
            await redis.ping()
    await redis.aclose()


async def by_link(url: str) -> None:
    """What opening a link raises; one that opened is told to be gone."""
    links = pool(Settings(redis_url=url), 1, 0, Primary())
    for _ in range(ASKED):
        try:
            link = await RedisConnection.open(links, lambda reply: None)
        except (RedisError, OSError):
            continue
        async with asyncio.timeout(PATIENCE):
            await link.gone


async def by_pipe(url: str) -> None:
    """What a command on a pipe raises."""
    pipe = RedisPipeline(pool(Settings(redis_url=url), 1, 0, Primary()))
    for _ in range(ASKED):
        with pytest.raises((RedisError, OSError)):
            await pipe.execute_command("PING")
    await pipe.close()


@pytest.mark.parametrize("way", [by_pool, by_link, by_pipe])
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("replies", [0, 1, 2])
def test_a_link_that_is_closed_in_its_handshake_raises_what_callers_expect(
    way: Scenario, reset: bool, replies: int
) -> None:
    """uvloop raises a bare RuntimeError in some of these moments."""
    with hanging_up(replies, reset) as server:
        uvloop.run(way(f"redis://127.0.0.1:{server.port}/0"))  # type: ignore[arg-type]


async def closed_before_use(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every connection is gone before its first word, which is met by chance otherwise."""
    opened = asyncio.open_connection

    async def gone(*given: Any, **named: Any) -> Any:
        reader, writer = await opened(*given, **named)
        writer.transport.abort()
        await asyncio.sleep(0.01)
        return reader, writer

    monkeypatch.setattr(asyncio, "open_connection", gone)
    await by_pool(url)
    await by_pipe(url)


def test_a_transport_that_is_closed_at_once_raises_what_callers_expect(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time, not by chance."""
    monkeypatch.setattr("tests.redis_client.test_transport.ASKED", 3)
    uvloop.run(closed_before_use(valkey_url, monkeypatch))


async def lost_in_the_handshake(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The subscriber comes through when the transports of its first links broke."""
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


def test_a_subscriber_survives_a_handshake_that_breaks(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no second task that would begin it again."""
    uvloop.run(lost_in_the_handshake(valkey_url, monkeypatch))
