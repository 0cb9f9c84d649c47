"""Calls of append.lua on a real Valkey that loses its functions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import BlockingConnectionPool, Redis

from rts_server import keys
from rts_server.config import Settings
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.roomlog.script import AppendScript
from tests.helpers.bench import Bench, group, message
from tests.helpers.waiting import eventually


@pytest.fixture
async def appender(redis: Redis, valkey_url: str) -> AsyncIterator[AppendScript]:
    """An appender on a link of its own."""
    pipe = RedisPipeline(BlockingConnectionPool.from_url(valkey_url, protocol=2))
    made = AppendScript(Settings(jwt_secret="x"), "origin", pipe, redis)
    yield made
    await made.close()


async def test_a_lost_library_is_loaded_and_each_call_runs_once(
    bench: Bench, appender: AppendScript
) -> None:
    """A hundred calls of one turn find no library; as many more find it."""
    room_id = await bench.group("alice", "bob")
    seqs = []
    for half in ("a", "b"):
        await bench.redis.function_flush()
        requests = [message(room_id, "alice", f"{half}-{n}") for n in range(100)]
        replies = await asyncio.gather(
            *(appender.append(one, nonce="nonce", max_wait=60) for one in requests)
        )
        assert {reply.outcome for reply in replies} == {"ok"}
        seqs += [reply.seq for reply in replies]
    assert seqs == list(range(1, 201))


async def test_the_claim_of_a_cancelled_append_is_released(
    bench: Bench, appender: AppendScript
) -> None:
    """The command ended before its reply `cold`; the next command loads the room."""
    request = group("alice")
    claim = keys.room(request.room_id).claim
    appender.append(request, nonce="gone", max_wait=60).cancel()
    await appender.append(message("other", "alice"), nonce="n", max_wait=60)
    await eventually(lambda: _free(bench.redis, claim))


async def _free(redis: Redis, claim: str) -> bool:
    return await redis.get(claim) is None
