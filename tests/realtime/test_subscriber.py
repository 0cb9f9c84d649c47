"""The subscriber on a real Valkey: confirmed, in order, and resumed after a break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from rts_server.realtime import subscriber as module
from rts_server.realtime.subscriber import Subscriber
from rts_server.runtime import backoff
from tests.helpers.waiting import PATIENCE, Changes


class Ear:
    """A subscriber, and everything it reported."""

    def __init__(self, url: str) -> None:
        self.owned: set[str] = set()
        self.heard: list[tuple[str, bytes]] = []
        self.resumed = 0
        self._changes = Changes()
        self.until = self._changes.until
        self.subscriber = Subscriber(url, self._hear, self._resume, owned=self.owned)

    def _hear(self, channel: str, data: bytes) -> None:
        self.heard.append((channel, data))
        self._changes.notify()
        if data == b"bad":
            raise ValueError(data)

    def _resume(self) -> None:
        self.resumed += 1
        self._changes.notify()


@pytest.fixture
async def ear(redis: Redis, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ear]:
    """Listening."""
    monkeypatch.setattr(backoff, "MAX_BACKOFF_SECONDS", 0.05)
    made = Ear(valkey_url)
    made.subscriber.start()
    yield made
    await made.subscriber.close()


async def cut(redis: Redis) -> None:
    """Drop all subscribers in Redis."""
    await redis.client_kill_filter(_type="pubsub")


async def test_publishes_after_subscribe_arrive_in_order(ear: Ear, redis: Redis) -> None:
    """Nothing is missed from the moment `subscribe` returned."""
    await ear.subscriber.subscribe(["a", "b"])
    for n in range(200):
        await redis.publish("ab"[n % 2], str(n))
    await ear.until(lambda: len(ear.heard) == 200)
    assert ear.heard == [("ab"[n % 2], str(n).encode()) for n in range(200)]
    assert ear.resumed == 0


async def test_many_channels_at_once(ear: Ear, redis: Redis) -> None:
    """More channels than one command takes; concurrent calls are all confirmed."""
    channels = [f"c{n}" for n in range(2 * module.CHANNELS_PER_COMMAND + 10)]
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(ear.subscriber.subscribe(channels) for _ in range(5)))
    assert len(await redis.pubsub_channels("c*")) == len(channels)


async def test_few_channels_are_unconfirmed_at_once(
    ear: Ear, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis cuts a subscriber for which too much waits; after a break all are asked for (R7)."""
    monkeypatch.setattr(module, "CHANNELS_PER_COMMAND", 10)
    monkeypatch.setattr(module, "MAX_UNCONFIRMED_CHANNELS", 25)
    waiting: list[int] = []
    confirm = ear.subscriber._confirm

    def noting(channel: str) -> None:
        waiting.append(ear.subscriber._unconfirmed + 1)
        confirm(channel)

    monkeypatch.setattr(ear.subscriber, "_confirm", noting)
    channels = [f"c{n}" for n in range(200)]
    await ear.subscriber.subscribe(channels)
    assert not ear.subscriber._unsent
    await cut(redis)
    await ear.until(lambda: ear.resumed == 1)
    assert len(await redis.pubsub_channels("c*")) == 200
    assert len(waiting) == 400
    assert 10 < max(waiting) <= 25


async def test_a_channel_given_up_before_it_was_asked_for_is_not_subscribed(
    ear: Ear, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that is wanted again is."""
    monkeypatch.setattr(module, "CHANNELS_PER_COMMAND", 10)
    monkeypatch.setattr(module, "MAX_UNCONFIRMED_CHANNELS", 10)
    channels = [f"c{n}" for n in range(30)]
    asked = asyncio.create_task(ear.subscriber.subscribe(channels))
    await asyncio.sleep(0)
    ear.subscriber.unsubscribe(["c28", "c29"])
    again = asyncio.create_task(ear.subscriber.subscribe(["c29"]))
    await again
    asked.cancel()
    assert set(await redis.pubsub_channels("c*")) == {f"c{n}".encode() for n in range(30)} - {
        b"c28"
    }


async def test_a_channel_that_redis_forgot_is_missed(ear: Ear, redis: Redis) -> None:
    """Channels that come or go while Redis counts are no loss."""
    await ear.subscriber.subscribe(["a", "b", "c"])
    before = ear.subscriber.state
    assert before.confirmed == 3
    assert before.client_id in {int(one["id"]) for one in await redis.client_list("pubsub")}
    assert not ear.subscriber.misses_some(before, 3)
    assert ear.subscriber.misses_some(before, 2)
    await ear.subscriber.subscribe(["d"])
    assert not ear.subscriber.misses_some(before, 3)
    ear.subscriber.unsubscribe(["a"])
    assert not ear.subscriber.misses_some(before, 2)
    await cut(redis)
    await ear.until(lambda: ear.resumed == 1)
    assert not ear.subscriber.misses_some(before, 0)


async def test_after_a_break_all_channels_are_subscribed_then_reported_once(
    ear: Ear, redis: Redis
) -> None:
    """Each break is reported once, after the last confirmation."""
    await ear.subscriber.subscribe([f"c{n}" for n in range(50)])
    for round_ in range(1, 4):
        await cut(redis)
        await ear.until(lambda wanted=round_: ear.resumed == wanted)  # type: ignore[misc]
        assert len(await redis.pubsub_channels("c*")) == 50
        await redis.publish("c7", str(round_))
        await ear.until(lambda wanted=round_: len(ear.heard) == wanted)  # type: ignore[misc]


async def test_channels_whose_names_others_keep_are_subscribed_as_all(
    ear: Ear, redis: Redis
) -> None:
    """Also again after a break; one that was given up is not, and counts no more."""
    await ear.subscriber.subscribe(["a"])
    ear.owned |= {"b", "c"}
    ear.subscriber.request(["b", "c"])
    await ear.subscriber.confirmed(["b", "c"])
    await redis.publish("b", "x")
    await ear.until(lambda: ear.heard == [("b", b"x")])
    before = ear.subscriber.state
    ear.owned.discard("c")
    ear.subscriber.release(["c"])
    assert (before.confirmed, ear.subscriber.state.confirmed) == (3, 2)
    assert not ear.subscriber.misses_some(before, 2)
    await cut(redis)
    await ear.until(lambda: ear.resumed == 1)
    assert set(await redis.pubsub_channels("?")) == {b"a", b"b"}


async def test_a_subscription_asked_for_during_a_break_is_kept(ear: Ear, redis: Redis) -> None:
    """It is confirmed once the connection is back."""
    await ear.subscriber.subscribe(["a"])
    await cut(redis)
    async with asyncio.timeout(PATIENCE):
        await ear.subscriber.subscribe(["b"])
    await redis.publish("b", "x")
    await ear.until(lambda: ("b", b"x") in ear.heard)


async def test_a_restart_replaces_the_connection(ear: Ear, redis: Redis) -> None:
    """A restart is handled like any other break."""
    await ear.subscriber.subscribe(["a"])
    ear.subscriber.restart()
    await ear.until(lambda: ear.resumed == 1)
    await redis.publish("a", "x")
    await ear.until(lambda: ear.heard == [("a", b"x")])


async def test_unsubscribing_and_subscribing_again_keep_their_order(ear: Ear, redis: Redis) -> None:
    """Commands keep their order without waiting in between."""
    await ear.subscriber.subscribe(["a", "end"])
    ear.subscriber.unsubscribe(["a", "never asked for"])
    await ear.subscriber.subscribe(["other"])
    assert await redis.publish("a", "lost") == 0
    ear.subscriber.unsubscribe(["other"])
    await ear.subscriber.subscribe(["a"])
    await redis.publish("a", "heard")
    await ear.until(lambda: bool(ear.heard))
    assert ear.heard == [("a", b"heard")]


async def test_a_handler_that_raises_does_not_stop_the_subscriber(ear: Ear, redis: Redis) -> None:
    """An error of the handler is logged, and the next message is handled."""
    await ear.subscriber.subscribe(["a"])
    for data in ("bad", "good"):
        await redis.publish("a", data)
    await ear.until(lambda: len(ear.heard) == 2)
    assert ear.resumed == 0


async def test_a_redis_that_is_away_at_the_start_is_waited_for(
    tmp_path: object, unused_tcp_port: int
) -> None:
    """Closing while there is no Redis leaves nothing behind."""
    lonely = Ear(f"redis://127.0.0.1:{unused_tcp_port}/0")
    lonely.subscriber.start()
    asking = asyncio.create_task(lonely.subscriber.subscribe(["a"]))
    await asyncio.sleep(0)
    assert not lonely.subscriber.ever_subscribed
    await lonely.subscriber.close()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
