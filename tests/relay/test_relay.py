"""The relay on a real Valkey: order, exact deletes, notices, leases, and every kind of trouble."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from rts_server import keys
from rts_server.config_loading import load
from rts_server.realtime.subscriber import Subscriber
from rts_server.redis_client.pipeline import replies_to
from rts_server.relay import ack_processor, outbox_reader, quiet_heads, relay, room_queues
from rts_server.relay.relay import Relay
from tests.helpers import aws
from tests.helpers.post import Message, Post
from tests.helpers.relays import only_shard, relay_on
from tests.helpers.waiting import PATIENCE, eventually, promised
from tests.relay.outbox_log import OutboxLog
from tests.relay.queues import MESSAGES, ROOMS, received

LEASE = 1.0


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Post:
    made = Post()
    monkeypatch.setattr(relay, "SqsEndpoint", lambda *_: made)
    return made


@asynccontextmanager
async def running(redis: Redis, **changes: Any) -> AsyncIterator[Relay]:
    async with relay_on(redis, **{"relay_lease": LEASE, **changes}) as one:
        task = asyncio.create_task(one.run_forever())
        try:
            yield one
        finally:
            one.stop()
            await task


@pytest.fixture
def log(redis: Redis) -> OutboxLog:
    return OutboxLog(redis)


async def test_records_are_sent_in_order_and_batches_then_deleted(
    redis: Redis, log: OutboxLog, post: Post
) -> None:
    """Every record arrives once and in order, batches are full, origins are notified."""
    rooms = [f"room-{i}" for i in range(7)]
    sent: dict[str, list[str]] = {room: [] for room in rooms}
    for i in range(210):
        sent[rooms[i % 7]].append(await log.add(rooms[i % 7]))
    async with redis.pubsub() as heard:
        await heard.subscribe(keys.instance_channel("origin"))
        async with running(redis):
            await eventually(log.empty)
        told: list[Any] = []
        async with asyncio.timeout(PATIENCE):
            while len(told) < 210:
                if line := await heard.get_message(
                    ignore_subscribe_messages=True, timeout=PATIENCE
                ):
                    told += json.loads(line["data"])["queued"]
    assert {room: post.bodies(room) for room in rooms} == sent
    assert all(len(batch) <= 10 for _, batch in post.batches)
    assert len(post.batches) <= 40
    assert {one["MessageDeduplicationId"] for one in post.sent} == {
        f"{room}:1:{i}" for room in rooms for i in range(1, 31)
    }
    assert {tuple(one) for one in told} == {
        (room, f"k{i}", log.ids[record].decode())
        for room in rooms
        for i, record in enumerate(sent[room], 1)
    }


async def test_messages_that_come_within_the_linger_share_one_request(
    redis: Redis, log: OutboxLog, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a low rate, too, and of different rooms: a request costs as much for one as for ten."""
    monkeypatch.setattr(outbox_reader, "SPARSE_READ_LINGER_SECONDS", 1.0)
    async with running(redis) as one:
        await eventually(lambda: has_read_all(one))
        await log.add("first")
        await eventually(lambda: post.bodies("first"))  # the linger began
        for n in range(8):
            await log.add(f"room-{n}")
            await asyncio.sleep(0.01)  # as messages come, one by one
        await eventually(log.empty)
    assert [len(batch) for _, batch in post.batches] == [1, 8]


async def test_a_room_with_many_entries_blocks_no_other(
    redis: Redis, log: OutboxLog, post: Post
) -> None:
    """More entries of one room than the relay holds keep their order."""
    sent = await log.many("flood", room_queues.MAX_ROOM_ENTRIES * 2 + 50)
    other = await log.many("trickle", 3)
    async with running(redis):
        sent += await log.many("flood", 40)
        await eventually(log.empty)
    assert post.bodies("flood") == sent
    assert post.bodies("trickle") == other


async def test_a_member_record_updates_the_user_index_before_its_deletion(
    redis: Redis, log: OutboxLog, post: Post
) -> None:
    """A member record goes to the standard queue."""
    await redis.set(keys.user_rooms("eve"), "not a hash")
    await log.add("r1", "r", u='[["alice","in"]]')
    stuck = await log.add("r1", "r", u='[["eve","out"]]')
    free = await log.add("r2")
    async with running(redis):

        async def only_eve() -> bool:
            return await log.left() == {stuck}

        await eventually(only_eve)
        assert post.bodies("r2") == [free]
        await redis.delete(keys.user_rooms("eve"))
        await eventually(log.empty)
    assert await redis.hget(keys.user_rooms("alice"), "r1") == b"1:1:in"
    assert await redis.hget(keys.user_rooms("eve"), "r1") == b"1:2:out"
    names = [(name, set(one)) for name, batch in post.batches for one in batch]
    assert names.count((ROOMS, {"Id", "MessageBody"})) == 2


async def test_a_barrier_overtakes_nothing(redis: Redis, log: OutboxLog, post: Post) -> None:
    """Refused records before a barrier are accepted before the barrier is."""
    left = [3]

    def refuses(entry: Message) -> bool:
        left[0] -= 1
        return left[0] >= 0

    post.refuses = refuses
    sent = [*await log.many("r", 2), await log.add("r", nonce="n"), await log.add("r")]
    async with running(redis):
        await eventually(log.empty)
    ids = [one["MessageDeduplicationId"] for one in post.sent]
    assert sorted(ids[:2]) == ["r:1:1", "r:1:2"]
    assert ids[2:] == ["r:barrier:n", "r:1:4"]
    assert len(sent) == len(ids)
    assert all(len(batch) <= 1 for _, batch in post.batches[-2:])


async def test_a_refused_room_waits_alone(redis: Redis, log: OutboxLog, post: Post) -> None:
    """Its records wait in order and are sent soon after; other rooms go on."""
    post.refuses = lambda entry: entry["MessageGroupId"] == "sick"
    sick, well = await log.many("sick", 25), await log.many("well", 25)
    async with running(redis):
        await eventually(lambda: post.bodies("well") == well)

        async def only_sick() -> bool:
            return len(await log.left()) == 25

        await eventually(only_sick)
        well += await log.many("well", 5)
        await eventually(lambda: post.bodies("well") == well)
        post.refuses = lambda entry: False
        await eventually(lambda: post.bodies("sick") == sick)
        await eventually(log.empty)


async def test_an_outage_of_sqs_loses_nothing(
    redis: Redis, log: OutboxLog, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is deleted, memory is bounded, everything is sent after the return (Q5)."""
    monkeypatch.setattr(outbox_reader, "MAX_HELD_ENTRIES", 100)
    post.away = True
    sent = {room: await log.many(room, 30) for room in (f"room-{i}" for i in range(20))}
    async with running(redis) as one:

        def in_memory() -> int:
            return sum(sender.room_queues.held for sender in one._senders.values())

        await eventually(lambda: in_memory() >= 100)
        await eventually(lambda: one._senders["m"].room_queues._failures >= 3)
        assert in_memory() < 100 + 64
        assert len(await log.left()) == 600
        post.away = False
        await eventually(log.empty)
    assert {room: post.bodies(room) for room in sent} == sent


async def test_heads_are_published_while_sqs_is_away_and_memory_is_full(
    redis: Redis, log: OutboxLog, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of rooms, too, whose entries the relay cannot hold; each is sent once in the end (D5)."""
    monkeypatch.setattr(outbox_reader, "MAX_HELD_ENTRIES", 10)
    monkeypatch.setattr(outbox_reader, "AHEAD_SECONDS", 0.05)
    monkeypatch.setattr(quiet_heads, "QUIET_SECONDS", 0.1)
    post.away = True
    for n in range(60):
        await log.many(f"room-{n}", 3)
    found: set[bytes] = set()
    async with redis.pubsub() as channel:
        await channel.psubscribe(keys.room_channel("*"))
        async with running(redis), asyncio.timeout(PATIENCE):
            while len(found) < 60:
                word = await channel.get_message(timeout=PATIENCE)
                if word and word["data"] == b"1 3 ~head@- {}":
                    found.add(word["channel"])
            post.away = False
            await eventually(log.empty)
    assert all(len(post.bodies(f"room-{n}")) == 3 for n in range(60))


def has_read_all(one: Relay) -> bool:
    """Whether the relay waits for the doorbell of all partitions."""
    subscriber = one._doorbell._subscriber
    assert isinstance(subscriber, Subscriber)
    listening = subscriber.state.confirmed > keys.PARTITIONS
    return listening and not only_shard(one)._reader._rung


def held(one: Relay) -> set[int]:
    """The partitions of a relay."""
    return set(one.partitions())


async def test_relays_share_the_partitions(redis: Redis, post: Post) -> None:
    """Two relays hold half of them each, none twice; if one stops the other takes all."""
    async with running(redis) as one:
        async with running(redis) as two:
            await eventually(lambda: len(held(one)) == len(held(two)) == keys.PARTITIONS // 2)
            assert held(one) | held(two) == set(range(keys.PARTITIONS))
        await eventually(lambda: len(held(one)) == keys.PARTITIONS)
    assert await redis.keys("*") == []


async def test_a_killed_relay_is_replaced_within_the_lease(
    redis: Redis, log: OutboxLog, post: Post, valkey_url: str
) -> None:
    """After SIGKILL another relay sends its entries within one lease, and loses none."""
    code = (
        "from rts_server.config_loading import load;"
        "from rts_server.processes import run_relay; run_relay(load())"
    )
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "RTS_RELAY_LEASE": str(LEASE)}
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        env={**os.environ, **aws.ENVIRONMENT, **nowhere, "RTS_REDIS_URL": valkey_url},
    )

    async def leased() -> bool:
        return bool(await redis.exists(keys.group_lease(0)))

    sent = await log.many("r", 30)
    await eventually(leased)
    async with running(redis) as one:
        await eventually(lambda: len(held(one)) == keys.PARTITIONS // 2)
        child.send_signal(signal.SIGKILL)
        with promised(LEASE + 0.2):
            await child.wait()
            await eventually(lambda: len(held(one)) == keys.PARTITIONS and post.bodies("r") == sent)
        await eventually(log.empty)


async def test_nothing_is_lost_when_the_relay_is_cancelled_at_any_point(
    redis: Redis, log: OutboxLog, post: Post
) -> None:
    """Each record is in SQS or in the outbox at any time; in the end all are sent (Q2)."""
    sent = {room: await log.many(room, 60) for room in ("a", "b", "c")}
    every = set(log.ids)
    chance = random.Random(7)
    post.before = lambda: asyncio.sleep(0.004)
    for _ in range(25):
        async with relay_on(redis, relay_lease=LEASE) as one:
            task = asyncio.create_task(one.run_forever())
            await asyncio.sleep(chance.random() * 0.03)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        accepted = {one["MessageBody"] for one in post.sent}
        assert await log.left() | accepted == every
    async with running(redis):
        await eventually(log.empty)
    for room, records in sent.items():
        assert list(dict.fromkeys(post.bodies(room))) == records


async def test_entries_of_another_redis_are_dropped(
    redis: Redis, log: OutboxLog, post: Post
) -> None:
    """If the identity of Redis changes, held entries are dropped and the new one is read."""
    post.away = True
    old = await log.many("r", 5)
    async with running(redis) as one:
        await eventually(lambda: one._senders["m"].room_queues.held == 5)
        await redis.flushall()
        await redis.execute_command("DEBUG", "CHANGE-REPL-ID")  # type: ignore[no-untyped-call]
        fresh = await log.many("r", 5)
        identity = only_shard(one)._identity
        await eventually(lambda: only_shard(one)._identity != identity)
        post.away = False
        await eventually(log.empty)
    assert post.bodies("r") == fresh
    assert not set(old) & set(post.bodies("r"))


async def test_an_entry_below_the_cursor_is_found(
    redis: Redis, log: OutboxLog, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a cut connection the relay goes on, and reads what it never saw from the start."""
    monkeypatch.setattr(outbox_reader, "TURN_SECONDS", 0.005)
    async with running(redis):
        first = await log.add("r")
        await eventually(log.empty)
        await redis.client_kill_filter(_type="normal", skipme=True)
        await redis.connection_pool.disconnect()  # the others of this test are dead as well
        second = await log.add("r")
        await eventually(log.empty)
        key = keys.outbox(keys.partition("r"))
        await redis.delete(key)
        low: Any = {"q": "m", "r": "r", "e": "1:9", "k": "k", "o": "o", "d": "{}"}
        await redis.xadd(key, low, id="2-0")
        await eventually(log.empty)
    assert post.bodies("r") == [first, second, "{}"]


async def test_failures_of_the_relays_loops_are_counted_and_repeated(
    redis: Redis, log: OutboxLog, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read and a deletion that fail show in `rts_loop_failures_total`, and are made again."""

    async def fail_once(*given: Any) -> Any:
        monkeypatch.setattr(ack_processor, "replies_to", replies_to)
        raise RuntimeError("the handler is closed")

    before = failures("outbox"), failures("outbox deletion")
    async with running(redis) as one:
        await eventually(lambda: bool(held(one)))
        await redis.client_kill_filter(_type="normal", skipme=True)
        await redis.connection_pool.disconnect()
        await eventually(lambda: failures("outbox") > before[0])
        monkeypatch.setattr(ack_processor, "replies_to", fail_once)
        body = await log.add("r")
        await eventually(log.empty)
    assert failures("outbox deletion") == before[1] + 1
    assert post.bodies("r") == [body]


def failures(loop: str) -> float:
    """Steps of a background loop of this process that failed."""
    return REGISTRY.get_sample_value("rts_loop_failures_total", {"loop": loop}) or 0.0


async def test_an_unreadable_entry_stays_in_the_outbox(
    redis: Redis, log: OutboxLog, post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once and does not block its partition."""
    key = keys.outbox(keys.partition("r"))
    bad: Any = await redis.xadd(key, {"what": "a secret text"})
    good = await log.add("r")
    async with running(redis):
        await eventually(lambda: post.bodies("r") == [good])

        async def only_bad() -> bool:
            return await redis.xrange(key) == [(bad, {b"what": b"a secret text"})]

        await eventually(only_bad)
    lines = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert [one.__dict__["entry"] for one in lines] == [bad.decode()]
    assert "secret" not in caplog.text


async def test_the_relay_sends_by_the_real_protocol_of_sqs(
    redis: Redis, log: OutboxLog, sqs: Any
) -> None:
    """boto3 and moto agree with what the relay assumes."""
    sent = await log.many("r", 25)
    await log.add("r", d='{"at":"Größe 😀"}')
    other = await log.add("r", "r")
    async with running(redis, aws_endpoint_url=load().aws_endpoint_url):
        await eventually(log.empty)
    bodies = await asyncio.to_thread(received, sqs, MESSAGES)
    assert bodies[:25] == sent
    assert json.loads(bodies[25]) == {"at": "Größe 😀"}
    assert bodies[25].isascii()
    assert await asyncio.to_thread(received, sqs, ROOMS) == [other]
