"""The pipeline: every command gets exactly one reply, in order, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable

import pytest
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import NoScriptError, ResponseError

from rts_server.redis_client import pipeline as module
from rts_server.redis_client.connection import packed, unpacked
from rts_server.redis_client.pipeline import RedisPipeline, replies_to
from tests.helpers.waiting import PATIENCE, eventually


def to(url: str) -> RedisPipeline:
    """Return a pipeline to an address."""
    return RedisPipeline(
        BlockingConnectionPool.from_url(url, protocol=2, socket_connect_timeout=0.5)
    )


@pytest.fixture
async def pipe(redis: Redis, valkey_url: str) -> AsyncIterator[RedisPipeline]:
    """A pipeline to an empty Redis."""
    made = to(valkey_url)
    yield made
    await made.close()


async def gathered(*answers: Awaitable[object]) -> list[object]:
    """Await all; return results, and errors as exceptions."""
    async with asyncio.timeout(PATIENCE):
        return list(await asyncio.gather(*answers, return_exceptions=True))


async def test_replies_come_in_order(pipe: RedisPipeline) -> None:
    """Replies match their commands, before and after the connection is open; so do errors."""
    for _ in range(2):
        before = int(await pipe.execute_command("INCR", "n"))
        answers = await gathered(*(pipe.execute_command("INCR", "n") for _ in range(1_000)))
        assert answers == list(range(before + 1, before + 1_001))
    text, wrong, unknown, last = await gathered(
        pipe.execute_command("SET", "text", "x" * 100_000),
        pipe.execute_command("INCR", "text"),
        pipe.execute_command("EVALSHA", "0" * 40, 0),
        pipe.execute_command("STRLEN", "text"),
    )
    assert (text, last) == (b"OK", 100_000)
    assert isinstance(wrong, ResponseError)
    assert isinstance(unknown, NoScriptError)


async def test_a_cancelled_caller_takes_no_other_reply(pipe: RedisPipeline) -> None:
    """The reply of a cancelled caller is skipped."""
    answers = [pipe.execute_command("ECHO", str(n)) for n in range(10)]
    answers[3].cancel()
    told = await gathered(*answers)
    assert isinstance(told.pop(3), asyncio.CancelledError)
    assert told == [str(n).encode() for n in range(10) if n != 3]


async def test_a_lost_connection_fails_its_commands_and_is_replaced(
    pipe: RedisPipeline, redis: Redis
) -> None:
    """Unanswered commands raise Lost; the next command opens a new connection."""
    await pipe.execute_command("PING")
    blocked = [pipe.execute_command("BLPOP", "nothing", 0), pipe.execute_command("INCR", "n")]
    await eventually(lambda: _blocked(redis))
    await redis.client_kill_filter(_type="normal", skipme=True)
    assert [type(one) for one in await gathered(*blocked)] == [Lost, Lost]
    assert await pipe.execute_command("EXISTS", "n") == 0


async def _blocked(redis: Redis) -> bool:
    return bool((await redis.info("clients"))["blocked_clients"])


async def test_a_silent_connection_is_dropped(
    pipe: RedisPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection without any reply is dropped; a late reply in time keeps it."""
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.6)
    began = await pipe.execute_command("CLIENT", "ID")
    for _ in range(3):
        assert await pipe.execute_command("BLPOP", "nothing", "0.1") is None
    assert await pipe.execute_command("CLIENT", "ID") == began
    assert [type(one) for one in await gathered(pipe.execute_command("BLPOP", "nothing", 0))] == [
        Lost
    ]
    assert await pipe.execute_command("CLIENT", "ID") != began


async def test_a_long_queue_is_no_silence(
    pipe: RedisPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last of eight commands may wait longer, because the others are answered meanwhile."""
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.3)
    began = await pipe.execute_command("CLIENT", "ID")
    line = await gathered(*(pipe.execute_command("BLPOP", "nothing", "0.1") for _ in range(8)))
    assert line == [None] * 8
    assert await pipe.execute_command("CLIENT", "ID") == began


async def test_several_commands_are_answered_together(pipe: RedisPipeline) -> None:
    """Replies and errors come in order; a cancelled caller is skipped."""
    gone = pipe.execute_commands([("SET", "text", "x"), ("STRLEN", "text")])
    gone.cancel()
    text, wrong, size = await pipe.execute_commands(
        [("GET", "text"), ("INCR", "text"), ("STRLEN", "text")]
    )
    assert (text, size) == (b"x", 1)
    assert isinstance(wrong, ResponseError)


async def test_no_commands_have_no_replies_and_take_none(pipe: RedisPipeline, redis: Redis) -> None:
    """The next command gets its own reply."""
    await pipe.execute_command("PING")
    empty = pipe.execute_commands([])
    assert await gathered(empty, pipe.execute_command("ECHO", "next")) == [[], b"next"]
    assert await replies_to(pipe, []) == await replies_to(redis, []) == []


async def test_a_packed_command_is_the_command(pipe: RedisPipeline, redis: Redis) -> None:
    """By the pipeline as by redis-py."""
    words = ("SET", "text", "a b\r\n")
    for client in (pipe, redis):
        replies = await replies_to(client, [packed(*words), packed("STRLEN", "text")])
        assert replies[1] == 5
    assert unpacked(packed(*words)) == [word.encode() for word in words]


async def test_a_lost_connection_ends_commands_sent_together(
    pipe: RedisPipeline, redis: Redis
) -> None:
    """What was answered before is kept; the others are `Lost`."""
    both = pipe.execute_commands([("INCR", "n"), ("BLPOP", "nothing", 0), ("INCR", "n")])
    await eventually(lambda: _blocked(redis))
    await redis.client_kill_filter(_type="normal", skipme=True)
    async with asyncio.timeout(PATIENCE):
        first, *others = await both
    assert first == 1
    assert [type(one) for one in others] == [Lost, Lost]


async def test_a_new_connection_has_its_own_silence_timer(
    pipe: RedisPipeline, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The timer of a lost connection does not drop the next one."""
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.6)
    blocked = pipe.execute_command("BLPOP", "nothing", 0)
    await redis.blpop("a while", timeout=0.35)
    await redis.client_kill_filter(_type="normal", skipme=True)
    assert [type(one) for one in await gathered(blocked)] == [Lost]
    assert await pipe.execute_command("BLPOP", "nothing", "0.3") is None


async def test_an_unreachable_redis_fails_at_once(unused_tcp_port: int) -> None:
    """The next command tries to connect again."""
    away = to(f"redis://127.0.0.1:{unused_tcp_port}/0")
    for _ in range(2):
        answers = await gathered(*(away.execute_command("PING") for _ in range(3)))
        assert [type(one) for one in answers] == [Lost] * 3
    await away.close()


async def test_closing_fails_the_waiting_commands(valkey_url: str, redis: Redis) -> None:
    """Commands raise Lost, both before a connection is open and on one."""
    early, late = to(valkey_url), to(valkey_url)
    asked = [early.execute_command("PING")]
    await early.close()
    await late.execute_command("PING")
    asked.append(late.execute_command("BLPOP", "nothing", 0))
    await late.close()
    assert [type(one) for one in await gathered(*asked)] == [Lost, Lost]


async def test_a_closed_pipe_opens_nothing(valkey_url: str) -> None:
    """Commands that come late, such as those of a callback of the close, are lost at once."""
    pipe = to(valkey_url)
    await pipe.execute_command("PING")
    late: list[asyncio.Future[object]] = []
    pipe.send(("BLPOP", "nothing", "0"), lambda _: late.append(pipe.execute_command("PING")))
    await pipe.close()
    with pytest.raises(Lost):
        await late[0]
    assert pipe._opening is None
