"""`message.status` reaches the sender of a message that was acked `accepted`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.domain.message import MessageDraft
from rts_server.persistence import message_status as statuses
from rts_server.persistence.message_status import StatusPublisher
from rts_server.relay import relay
from rts_server.roomlog.message_events import message_new
from rts_server.roomlog.script import APPEND
from rts_server.types.events import MessageStatusData
from tests.helpers.bench import Bench, append
from tests.helpers.post import Post
from tests.helpers.proxy import Proxy
from tests.helpers.relays import relay_on
from tests.helpers.valkey import connect
from tests.helpers.waiting import PATIENCE
from tests.helpers.world import free_port

STATUS: MessageStatusData = {"message_id": "m", "client_msg_id": "c", "status": "queued"}


@asynccontextmanager
async def listening(redis: Redis, channel: str) -> AsyncIterator[list[dict[str, Any]]]:
    """Collect the events that are published on a user's channel, as clients get them."""
    received: list[dict[str, Any]] = []
    async with redis.pubsub() as subscription:
        await subscription.subscribe(channel)

        async def receive() -> None:
            async for message in subscription.listen():
                publish = orjson.loads(message["data"]) if message["type"] == "message" else {}
                if publish.get("kind") == "event":
                    received.append(orjson.loads(publish["text"]))

        task = asyncio.create_task(receive())
        try:
            yield received
        finally:
            task.cancel()
            await asyncio.wait([task])


async def until_received(received: list[dict[str, Any]]) -> None:
    """Wait until an event was received."""
    async with asyncio.timeout(PATIENCE):
        while not received:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_status_is_published_until_an_instance_receives_it(redis: Redis) -> None:
    """An instance that reconnects after a lost connection receives it once it is back."""
    publisher = StatusPublisher(redis)
    publisher.publish_soon("r", "alice", STATUS)
    await asyncio.sleep(0)
    assert publisher._publishing
    async with listening(redis, keys.user_channel("alice")) as received:
        await until_received(received)
        await publisher.settled()
    assert received[0]["type"] == "message.status"
    assert received[0]["room_id"] == "r"
    assert received[0]["data"] == STATUS
    await publisher.close()


async def test_a_status_outlives_a_redis_that_is_away(redis: Redis, valkey_url: str) -> None:
    """The publish fails until Redis is back, and then succeeds."""
    port, target = free_port(), valkey_url.removeprefix("redis://").partition("/")[0]
    client = connect(f"redis://127.0.0.1:{port}/0", 2)
    publisher = StatusPublisher(client)
    async with listening(redis, keys.user_channel("alice")) as received:
        publisher.publish_soon("r", "alice", STATUS)
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.1)
        assert publisher._publishing
        host, _, at = target.partition(":")
        async with Proxy((host, int(at)), port):
            await until_received(received)
            await publisher.settled()
    assert received[0]["data"] == STATUS
    await publisher.close()
    await client.aclose()


async def test_a_status_without_a_subscriber_is_given_up(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender without a connection gets the status by sending the message again."""
    monkeypatch.setattr(statuses, "STATUS_RETRY_SECONDS", (0.0,))
    publisher = StatusPublisher(redis)
    publisher.publish_soon("r", "alice", STATUS)
    async with asyncio.timeout(PATIENCE):
        await publisher.settled()
    await publisher.close()


@pytest.mark.parametrize("age", [0, 10])
async def test_the_relay_publishes_the_status_when_the_origin_is_gone(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, age: int
) -> None:
    """It does so if no instance receives its notice, and only for messages acked `accepted`."""
    post = Post()
    monkeypatch.setattr(relay, "SqsEndpoint", lambda *_: post)
    bench = Bench(redis)
    room_id = await bench.group("alice", "bob")
    draft: MessageDraft = {"client_msg_id": "m", "text": "hi"}
    request = message_new(room_id, "alice", draft)
    call = append(request, bench.settings, origin="gone")
    assert (await appended(redis, call))[0] == b"ok"
    outbox = keys.room(room_id).outbox
    waiting: Any = await redis.xrange(outbox)
    await redis.delete(outbox)
    at = int(time.time() * 1000) - age * 1000
    for n, (_, fields) in enumerate(waiting):
        await redis.xadd(outbox, fields, id=f"{at}-{n}")
    async with (
        listening(redis, keys.user_channel("alice")) as received,
        relay_on(redis, relay_lease=1.0) as one,
    ):
        task = asyncio.create_task(one.run_forever())
        async with asyncio.timeout(PATIENCE):
            while await redis.xlen(outbox):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        if age:
            await until_received(received)
        one.stop()
        await task
    assert [one["data"] for one in received] == [
        {"message_id": request.request_id, "client_msg_id": "m", "status": "queued"}
    ] * bool(age)


async def appended(redis: Redis, call: Any) -> list[Any]:
    """Run append.lua and return its reply."""
    answer: list[Any] = await APPEND.evaluate(redis, *call)
    return answer
