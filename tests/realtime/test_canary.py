"""The canary: an instance that receives no publishes is deaf until it receives them again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from rts_server.realtime.canary import CANARY_PAYLOAD, Canary
from rts_server.realtime.subscriber import Subscriber
from rts_server.runtime import backoff
from rts_server.runtime.tasks import cancelled
from tests.helpers.proxy import Proxy
from tests.helpers.waiting import PATIENCE

CHANNEL = "instance:me"
INTERVAL, DEAF_AFTER = 0.01, 0.05


class Link:
    """A subscriber behind a proxy that can go silent, and its canary."""

    def __init__(self, url: str, redis: Redis) -> None:
        self.changed = asyncio.Event()
        self.resumed = 0
        self.subscriber = Subscriber(url, self._on_message, self._resumed)
        self.canary = Canary(
            redis, self.subscriber, CHANNEL, interval=INTERVAL, deaf_after=DEAF_AFTER
        )

    def _on_message(self, channel: str, data: bytes) -> None:
        assert (channel, data) == (CHANNEL, CANARY_PAYLOAD)
        self.canary.received()
        self.changed.set()

    def _resumed(self) -> None:
        self.resumed += 1

    async def hears(self) -> None:
        """Return when a canary came back."""
        self.changed.clear()
        async with asyncio.timeout(PATIENCE):
            await self.changed.wait()


@asynccontextmanager
async def singing(link: Link) -> AsyncIterator[None]:
    """Run the canary."""
    link.subscriber.start()
    await link.subscriber.subscribe([CHANNEL])
    song = asyncio.create_task(link.canary.run_forever())
    yield
    await cancelled(song)
    await link.subscriber.close()


async def until_deaf(link: Link) -> None:
    """Return when the instance is deaf."""
    async with asyncio.timeout(PATIENCE):
        while not link.canary.deaf:  # noqa: ASYNC110
            await asyncio.sleep(INTERVAL)


async def test_a_deaf_instance_reconnects_until_its_canary_returns(
    redis: Redis, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each new connection gets its full time."""
    monkeypatch.setattr(backoff, "MAX_BACKOFF_SECONDS", 0.01)
    where = urlsplit(valkey_url)
    assert where.hostname is not None
    assert where.port is not None
    async with Proxy((where.hostname, where.port)) as proxy:
        link = Link(f"redis://127.0.0.1:{proxy.port}/0", redis)
        async with singing(link):
            for _ in range(5):
                await link.hears()
                assert not link.canary.deaf
                proxy.cut()
                await until_deaf(link)
                proxy.heal()
                await link.hears()
                assert not link.canary.deaf
        assert link.resumed >= 5


async def test_redis_away_is_not_deaf(valkey_url: str) -> None:
    """While publishing fails, no instance is deaf."""
    async with Redis.from_url("redis://127.0.0.1:1/0") as away:
        link = Link(valkey_url, away)
        async with singing(link):
            await asyncio.sleep(4 * DEAF_AFTER)  # the time itself is what is tested
            assert not link.canary.deaf
            assert link.resumed == 0
