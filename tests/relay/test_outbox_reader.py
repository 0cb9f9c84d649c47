"""What the relay reads, and what that costs Redis, on a real Valkey."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import ConnectionPool, Redis

from rts_server import keys
from rts_server.persistence import outbox
from rts_server.persistence.outbox import Entry
from rts_server.redis_client.pipeline import CommandPipe, RedisPipeline
from rts_server.redis_client.sharded_pipeline import ShardedPipeline
from rts_server.relay import outbox_reader
from rts_server.relay.outbox_reader import OutboxReader
from rts_server.relay.room_queues import RoomQueues
from rts_server.relay.turns import PARTITIONS_PER_TURN
from tests.relay.outbox_log import OutboxLog

Reads = Callable[[], Awaitable[list[str]]]


@pytest.fixture
async def reader(redis: Redis, valkey_url: str) -> AsyncIterator[OutboxReader]:
    """A reader of all partitions, which has read them."""
    pipe = RedisPipeline(ConnectionPool.from_url(valkey_url, protocol=2))
    made = reader_of(pipe)
    await read_all(made)
    held.clear()
    yield made
    await pipe.close()


def reader_of(pipe: CommandPipe) -> OutboxReader:
    queues = {name: RoomQueues() for name in (outbox.MESSAGES, outbox.ROOMS)}
    made = OutboxReader(pipe, queues, on_read=lambda _: None, on_held=held.append)
    made.add(range(keys.PARTITIONS))
    return made


async def read_all(reader: OutboxReader) -> None:
    while reader._rung:
        await reader.read(time.monotonic())


held: list[Entry] = []
"""The entries that the reader holds."""


@pytest.fixture
def log(redis: Redis) -> OutboxLog:
    return OutboxLog(redis)


async def streams_asked(redis: Redis, work: Awaitable[Any]) -> tuple[int, int]:
    """The number of XREAD and of XLEN that something costs."""
    before: Any = await redis.info("commandstats")
    await work
    after: Any = await redis.info("commandstats")

    def calls(name: str) -> int:
        empty = {"calls": 0}
        name = f"cmdstat_{name}"
        return int(after.get(name, empty)["calls"] - before.get(name, empty)["calls"])

    return calls("xread"), calls("xlen")


async def test_only_partitions_that_rang_are_read(
    redis: Redis, log: OutboxLog, reader: OutboxReader
) -> None:
    """In the order of their outbox; what did not ring waits for its turn."""
    reader._look_at = float("inf")
    sent = [await log.add("a"), await log.add("a")]
    await log.add("b")
    reader.ring(keys.partition("a"))
    assert await streams_asked(redis, reader.read(time.monotonic() + 1)) == (1, 0)
    assert [entry.body for entry in held] == sent
    assert await streams_asked(redis, reader.read(time.monotonic())) == (0, 0)


async def test_what_did_not_ring_is_found_in_its_turn(
    log: OutboxLog, reader: OutboxReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ring may be missed; all partitions are looked at, some at a time."""
    monkeypatch.setattr(outbox_reader, "TURN_SECONDS", 0.0)
    reader._look_at = 0.0
    sent = await log.add("a")
    for _ in range(keys.PARTITIONS // PARTITIONS_PER_TURN + 2):
        await reader.read(time.monotonic())
    assert [entry.body for entry in held] == [sent]


async def test_a_look_costs_the_same_however_many_partitions_there_are(
    redis: Redis, reader: OutboxReader
) -> None:
    """A relay on which nothing happens asks about a few partitions per second."""
    reader._look_at = 0.0
    assert await streams_asked(redis, reader.read(time.monotonic())) == (0, PARTITIONS_PER_TURN)
    assert await streams_asked(redis, reader.read(time.monotonic())) == (0, 0)


async def test_a_ring_during_a_read_is_not_lost(log: OutboxLog, reader: OutboxReader) -> None:
    """What is added behind the reply is read by the next read."""
    partition = keys.partition("a")
    first = await log.add("a")
    reader.ring(partition)
    reading = asyncio.create_task(reader.read(time.monotonic() + 1))
    await asyncio.sleep(0)  # the command is sent
    assert not reader._rung
    second = await log.add("a")
    reader.ring(partition)
    await reading
    await reader.read(time.monotonic())
    assert [entry.body for entry in held] == [first, second]


async def test_the_outboxes_of_all_primaries_are_read(shards: ShardedPipeline) -> None:
    """Of a cluster each partition is read by a command of its own, all in one round trip."""
    held.clear()
    reader = reader_of(shards)
    rooms = [f"room{n}" for n in range(100)]
    for room_id in rooms:
        fields = ("q", "m", "r", room_id, "e", "1:1", "k", "k", "o", "origin", "d", "{}")
        name = keys.outbox(keys.partition(room_id))
        await shards.execute_command("XADD", name, "*", *fields)
    await read_all(reader)
    assert sorted(entry.room_id for entry in held) == sorted(rooms)
