"""Scripts run where Redis has them and where it has lost them, by a client and by a pipe."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import ResponseError

from rts_server.persistence.scripts import Script, ScriptCall
from rts_server.redis_client.pipeline import RedisPipeline


@pytest.fixture(params=["client", "pipe"])
async def way(request: Any, redis: Redis, valkey_url: str) -> AsyncIterator[Redis | RedisPipeline]:
    """Either way to the same Redis."""
    if request.param == "client":
        yield redis
        return
    pipe = RedisPipeline(BlockingConnectionPool.from_url(valkey_url, protocol=2))
    yield pipe
    await pipe.close()


@pytest.fixture
def said(tmp_path: Path) -> Script:
    """Says its argument; `bad` is an error."""
    file = tmp_path / "said.lua"
    file.write_text("if ARGV[1] == 'bad' then return {err = 'no'} end return KEYS[1] .. ARGV[1]")
    return Script(file)


def calls(*args: str) -> list[ScriptCall]:
    """A run of each argument."""
    return [(["k"], [arg]) for arg in args]


async def test_a_lost_script_is_loaded_and_run(
    way: Redis | RedisPipeline, redis: Redis, said: Script
) -> None:
    """As often as Redis loses it; answers come in order, and of nothing asked there are none."""
    for _ in range(2):
        await redis.script_flush()
        assert await said.evaluate_many(way, calls("1", "2", "3")) == [b"k1", b"k2", b"k3"]
        assert await said.evaluate(way, ["k"], ["4"]) == b"k4"
        assert await said.evaluate_many(way, []) == []


async def test_the_first_error_is_raised(way: Redis | RedisPipeline, said: Script) -> None:
    """The others have run."""
    with pytest.raises(ResponseError, match="no"):
        await said.evaluate_many(way, calls("1", "bad", "3"))
    assert await said.evaluate(way, ["k"], ["1"]) == b"k1"


async def test_a_lost_link_is_said(said: Script, unused_tcp_port: int) -> None:
    """By a pipe at once: whoever asked may ask again."""
    pipe = RedisPipeline(BlockingConnectionPool.from_url(f"redis://127.0.0.1:{unused_tcp_port}/0"))
    with pytest.raises(Lost):
        await said.evaluate_many(pipe, calls("1", "2"))
    await pipe.close()
