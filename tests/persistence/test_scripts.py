"""Scripts and functions run, and are loaded where Redis lost them, by client and pipeline."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import ResponseError

from rts_server.persistence.scripts import LuaFunction, Script, ScriptCall
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.redis_client.sharded_pipeline import ShardedPipeline
from rts_server.redis_client.slots import slot_of
from rts_server.tools.dev.valkey_cluster import ValkeyCluster
from tests.helpers import valkey


@pytest.fixture(params=["client", "pipe"])
async def client(
    request: Any, redis: Redis, valkey_url: str
) -> AsyncIterator[Redis | RedisPipeline]:
    """A client and a pipeline to the same Redis."""
    if request.param == "client":
        yield redis
        return
    pipe = RedisPipeline(BlockingConnectionPool.from_url(valkey_url, protocol=2))
    yield pipe
    await pipe.close()


@pytest.fixture(params=["script", "function"])
def echo(request: Any, tmp_path: Path) -> Script:
    """A script, or a function, that returns its argument; `bad` raises an error."""
    file = tmp_path / "echo.lua"
    body = "if ARGV[1] == 'bad' then return {err = 'no'} end return KEYS[1] .. ARGV[1]"
    if request.param == "script":
        file.write_text(body)
        return Script(file)
    file.write_text(f"local function echo(KEYS, ARGV) {body} end\n")
    return LuaFunction("echo", file)


def calls(*args: str) -> list[ScriptCall]:
    """Return one call per argument."""
    return [(["k"], [arg]) for arg in args]


async def test_a_lost_script_is_loaded_and_evaluated(
    client: Redis | RedisPipeline, redis: Redis, echo: Script
) -> None:
    """It works however often Redis loses it; replies come in order, and no calls give none."""
    for _ in range(2):
        await redis.script_flush()
        await redis.function_flush()
        assert await echo.evaluate_many(client, calls("1", "2", "3")) == [b"k1", b"k2", b"k3"]
        assert await echo.evaluate(client, ["k"], ["4"]) == b"k4"
        assert await echo.evaluate_many(client, []) == []


async def test_the_first_error_is_raised(client: Redis | RedisPipeline, echo: Script) -> None:
    """The other calls have been executed."""
    with pytest.raises(ResponseError, match="no"):
        await echo.evaluate_many(client, calls("1", "bad", "3"))
    assert await echo.evaluate(client, ["k"], ["1"]) == b"k1"


async def test_a_lost_connection_raises_at_once(echo: Script, unused_tcp_port: int) -> None:
    """The caller decides whether to repeat."""
    pipe = RedisPipeline(BlockingConnectionPool.from_url(f"redis://127.0.0.1:{unused_tcp_port}/0"))
    with pytest.raises(Lost):
        await echo.evaluate_many(pipe, calls("1", "2"))
    await pipe.close()


async def test_a_script_is_loaded_by_each_primary_that_is_asked(
    shards: ShardedPipeline, cluster: ValkeyCluster, echo: Script
) -> None:
    """Once by each that does not have it, however many calls it gets, and again after a loss."""
    many: list[ScriptCall] = [([f"key{n}"], ["x"]) for n in range(100)]
    replies = [f"key{n}x".encode() for n in range(100)]
    assert await echo.evaluate_many(shards, many) == replies
    loads = _loads(cluster)
    for lost in (cluster.primaries[:1], cluster.primaries):
        for node in lost:
            valkey.ask(node, "SCRIPT", "FLUSH")
            valkey.ask(node, "FUNCTION", "FLUSH")
        assert await echo.evaluate_many(shards, many) == replies
        loads += len(lost)
        assert _loads(cluster) == loads


async def test_a_script_publishes_to_the_subscribers_of_its_server(
    redis: Redis, shards: ShardedPipeline, cluster: ValkeyCluster, tmp_path: Path
) -> None:
    """The same text publishes by PUBLISH on one server, and by SPUBLISH on a cluster."""
    file = tmp_path / "say.lua"
    file.write_text("return redis.call(PUBLISH, KEYS[1], ARGV[1])\n")
    say = Script(file)
    async with redis.pubsub() as channel:
        await channel.subscribe("k")
        await channel.get_message(timeout=60)
        assert await say.evaluate(redis, ["k"], ["hello"]) == 1
    assert await say.evaluate(shards, ["k"], ["nobody hears"]) == 0
    owner = cluster.primaries[slot_of("k") * 3 // 16384]
    async with Redis(port=owner.port, protocol=2) as client:
        ear = client.pubsub()
        await ear.execute_command("SSUBSCRIBE", "k")
        assert (await ear.parse_response())[0] == b"ssubscribe"
        assert await say.evaluate(shards, ["k"], ["hello"]) == 1
        await ear.aclose()  # type: ignore[no-untyped-call]


def _loads(cluster: ValkeyCluster) -> int:
    found = [valkey.ask(node, "INFO", "commandstats") for node in cluster.primaries]
    names = ("cmdstat_script|load", "cmdstat_function|load")
    return sum(one.get(name, {}).get("calls", 0) for one in found for name in names)
