"""The word behind an ack `accepted` reaches the sender, whatever happens to who says it."""

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
from rts_server.config import Settings
from rts_server.persistence import message_status as statuses
from rts_server.persistence.message_status import StatusPublisher
from rts_server.relay import relay
from rts_server.relay.relay import Relay
from rts_server.roomlog import events
from rts_server.roomlog.script import APPEND
from rts_server.services import connect
from tests.helpers.bench import Bench, append
from tests.helpers.post import Post
from tests.helpers.proxy import Proxy
from tests.helpers.waiting import PATIENCE
from tests.helpers.world import free_port

STATUS = {"message_id": "m", "client_msg_id": "c", "status": "queued"}


@asynccontextmanager
async def listening(redis: Redis, channel: str) -> AsyncIterator[list[dict[str, Any]]]:
    """What is told on a user's channel from now on, as clients get it."""
    heard: list[dict[str, Any]] = []
    async with redis.pubsub() as ears:
        await ears.subscribe(channel)

        async def hear() -> None:
            async for message in ears.listen():
                said = orjson.loads(message["data"]) if message["type"] == "message" else {}
                if said.get("kind") == "event":
                    heard.append(orjson.loads(said["text"]))

        task = asyncio.create_task(hear())
        try:
            yield heard
        finally:
            task.cancel()
            await asyncio.wait([task])


async def something(heard: list[dict[str, Any]]) -> None:
    """Wait until something was heard."""
    async with asyncio.timeout(PATIENCE):
        while not heard:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_status_is_said_until_somebody_hears_it(redis: Redis) -> None:
    """Whoever is on the way back from a lost link hears it when he is there."""
    said = StatusPublisher(redis)
    said.tell("r", "alice", STATUS)
    await asyncio.sleep(0)
    assert said._telling
    async with listening(redis, keys.user_channel("alice")) as heard:
        await something(heard)
        await said.settled()
    assert heard[0]["type"] == "message.status"
    assert heard[0]["room_id"] == "r"
    assert heard[0]["data"] == STATUS
    await said.close()


async def test_a_status_outlives_a_redis_that_is_away(redis: Redis, valkey_url: str) -> None:
    """Its publish fails until Redis is there, and then it is said."""
    port, target = free_port(), valkey_url.removeprefix("redis://").partition("/")[0]
    client = connect(Settings(redis_url=f"redis://127.0.0.1:{port}/0"), 2)
    said = StatusPublisher(client)
    async with listening(redis, keys.user_channel("alice")) as heard:
        said.tell("r", "alice", STATUS)
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.1)
        assert said._telling
        host, _, at = target.partition(":")
        async with Proxy((host, int(at)), port):
            await something(heard)
            await said.settled()
    assert heard[0]["data"] == STATUS
    await said.close()
    await client.aclose()


async def test_one_who_is_nowhere_is_not_waited_for(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender without any connection learns it by sending again."""
    monkeypatch.setattr(statuses, "RETRY_SECONDS", (0.0,))
    said = StatusPublisher(redis)
    said.tell("r", "alice", STATUS)
    async with asyncio.timeout(PATIENCE):
        await said.settled()
    await said.close()


@pytest.mark.parametrize("age", [0, 10])
async def test_the_relay_tells_the_senders_of_an_origin_that_is_gone(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, age: int
) -> None:
    """Where nobody hears its notice; only of what is so old that its ack was `accepted`."""
    post = Post()
    monkeypatch.setattr(relay, "connect", lambda *_: post)
    bench = Bench(redis)
    room_id = await bench.group("alice", "bob")
    command = {"client_msg_id": "m", "text": "hi"}
    request = events.message_new(room_id, "alice", command)
    call = append(request, bench.settings, origin="gone")
    assert (await appended(redis, call))[0] == b"ok"
    outbox = keys.room(room_id).outbox
    waiting: Any = await redis.xrange(outbox)
    await redis.delete(outbox)
    at = int(time.time() * 1000) - age * 1000
    for n, (_, fields) in enumerate(waiting):
        await redis.xadd(outbox, fields, id=f"{at}-{n}")
    async with listening(redis, keys.user_channel("alice")) as heard:
        one = Relay(Settings(relay_lease=1.0), redis)
        task = asyncio.create_task(one.run_forever())
        async with asyncio.timeout(PATIENCE):
            while await redis.xlen(outbox):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        if age:
            await something(heard)
        one.stop()
        await task
    assert [one["data"] for one in heard] == [
        {"message_id": request.request_id, "client_msg_id": "m", "status": "queued"}
    ] * bool(age)


async def appended(redis: Redis, call: Any) -> list[Any]:
    """The answer of append.lua."""
    answer: list[Any] = await APPEND.run(redis, *call)
    return answer
