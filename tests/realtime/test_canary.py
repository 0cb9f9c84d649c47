"""The canary: an instance that receives no publishes is deaf until it receives them again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError

from rts_server.realtime.canary import CANARY_PREFIX, Canary
from rts_server.realtime.subscriber import Subscriber
from rts_server.redis_client.primary import Primary
from rts_server.runtime import backoff
from rts_server.runtime.tasks import cancelled
from tests.helpers.proxy import Proxy
from tests.helpers.waiting import PATIENCE, eventually

CHANNEL = "instance:me"
INTERVAL, DEAF_AFTER = 0.01, 0.05


class Link:
    """A subscriber behind a proxy that can go silent, and its canary."""

    def __init__(self, url: str, redis: Redis, deaf_after: float = DEAF_AFTER) -> None:
        self.changed = asyncio.Event()
        self.resumed = 0
        self.heard_until: list[float] = []
        self.subscriber = Subscriber(url, self._on_message, self._resumed)
        self.canary = Canary(
            redis, self.subscriber, CHANNEL, interval=INTERVAL, deaf_after=deaf_after
        )

    def _on_message(self, channel: str, data: bytes) -> None:
        assert channel == CHANNEL
        assert data.startswith(CANARY_PREFIX)
        self.canary.received(data)
        self.changed.set()

    def _resumed(self) -> None:
        self.resumed += 1
        self.heard_until.append(self.canary.heard_until)

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


async def test_a_missing_subscription_ends_the_link(redis: Redis, valkey_url: str) -> None:
    """Redis has fewer channels than it confirmed; since when is not known (D5)."""
    link = Link(valkey_url, redis, deaf_after=PATIENCE)  # else a slow echo ends links too
    async with singing(link):
        await link.subscriber.subscribe(["room:r"])
        await link.hears()
        assert link.canary.heard_until > 0
        assert link.subscriber._link is not None
        link.subscriber._link.send(("UNSUBSCRIBE", "room:r"))
        await eventually(lambda: link.resumed == 1)
        assert await redis.pubsub_channels("room:*") == [b"room:r"]
        assert link.heard_until == [float("-inf")]


async def test_what_the_link_is_about_to_say_is_not_missing(
    redis: Redis, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slot has moved: Redis has fewer channels, and says so behind the count (D5)."""
    link = Link(valkey_url, redis, deaf_after=PATIENCE)
    counted: list[int] = []

    async def channels_of(client_id: int) -> int:
        if not counted:
            asyncio.get_running_loop().call_soon(link.subscriber._unsubscribed_from, "room:r")
        counted.append(client_id)
        return 1

    monkeypatch.setattr(link.canary, "_channels_of", channels_of)
    monkeypatch.setattr(link.subscriber, "_on_unserved", lambda slot, error: None)
    async with singing(link):
        await link.subscriber.subscribe(["room:r"])
        await eventually(lambda: len(counted) > 3)
        assert link.resumed == 0


async def test_what_was_heard_ends_with_the_break(redis: Redis, valkey_url: str) -> None:
    """A canary that comes back on a link whose channels are not all there yet says nothing."""
    link = Link(valkey_url, redis, deaf_after=PATIENCE)
    async with singing(link):
        await link.hears()
        began = asyncio.get_running_loop().time()
        await eventually(lambda: link.canary.heard_until > began)
        link.subscriber._resume_due = True
        before = link.canary.heard_until
        await link.hears()
        assert link.canary.heard_until == before


async def test_redis_away_is_not_deaf(valkey_url: str) -> None:
    """While publishing fails, no instance is deaf."""
    async with Redis.from_url("redis://127.0.0.1:1/0") as away:
        link = Link(valkey_url, away)
        async with singing(link):
            await asyncio.sleep(4 * DEAF_AFTER)  # the time itself is what is tested
            assert not link.canary.deaf
            assert link.resumed == 0


@pytest.mark.parametrize("refused_meanwhile", [True, False])
async def test_a_connection_that_a_refusal_closed_is_no_sign_of_a_primary(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch, refused_meanwhile: bool
) -> None:
    """Without a refusal Redis is away, and that is no reason to leave rotation (R8)."""
    primary = Primary()
    subscriber = Subscriber(valkey_url, lambda channel, data: None, lambda: None)
    async with Redis.from_url(valkey_url) as redis:
        canary = Canary(redis, subscriber, CHANNEL, interval=0.0, deaf_after=0.0, primary=primary)
        primary.refused(primary.refusals, "READONLY")

        async def cut() -> tuple[str, str]:
            if refused_meanwhile:
                primary.refused(primary.refusals, "READONLY")
            raise ConnectionError("closed")

        monkeypatch.setattr(canary, "_published", cut)
        await canary._publish_and_check()
        assert canary.not_ready() == (["no primary"] if refused_meanwhile else [])


@pytest.mark.parametrize(("role", "answered"), [("master", True), ("slave", False)])
async def test_only_a_primary_answers(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch, role: str, answered: bool
) -> None:
    """Loops fail on a replica, which is told as `no primary` and as nothing else."""
    subscriber = Subscriber(valkey_url, lambda channel, data: None, lambda: None)
    async with Redis.from_url(valkey_url) as redis:
        canary = Canary(redis, subscriber, CHANNEL, interval=0.0, deaf_after=0.0)

        async def published() -> tuple[str, str]:
            return "run id", role

        monkeypatch.setattr(canary, "_published", published)
        await canary._publish_and_check()
        assert canary.answered == answered
        assert canary.not_ready() == ([] if answered else ["no primary"])
