"""Commands pipelined on one link to a real Valkey: each is answered once, in order, or lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable

import pytest
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import NoScriptError, ResponseError

from rts_server.redis_client import pipeline as module
from rts_server.redis_client.pipeline import RedisPipeline
from tests.helpers.waiting import PATIENCE, eventually


def to(url: str) -> RedisPipeline:
    """A pipe to an address."""
    return RedisPipeline(
        BlockingConnectionPool.from_url(url, protocol=2, socket_connect_timeout=0.5)
    )


@pytest.fixture
async def pipe(redis: Redis, valkey_url: str) -> AsyncIterator[RedisPipeline]:
    """To an empty Redis."""
    made = to(valkey_url)
    yield made
    await made.close()


async def gathered(*answers: Awaitable[object]) -> list[object]:
    """What each came to, an error as it is."""
    async with asyncio.timeout(PATIENCE):
        return list(await asyncio.gather(*answers, return_exceptions=True))


async def test_each_is_answered_in_order(pipe: RedisPipeline) -> None:
    """A thousand before there is a link, and as many behind; an error is its own command's."""
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


async def test_who_waits_no_more_takes_nobodys_answer(pipe: RedisPipeline) -> None:
    """A caller that was cancelled is passed over."""
    answers = [pipe.execute_command("ECHO", str(n)) for n in range(10)]
    answers[3].cancel()
    told = await gathered(*answers)
    assert isinstance(told.pop(3), asyncio.CancelledError)
    assert told == [str(n).encode() for n in range(10) if n != 3]


async def test_a_lost_link_is_told_and_taken_anew(pipe: RedisPipeline, redis: Redis) -> None:
    """What was not answered is lost, for nobody knows; what is asked next finds a new link."""
    await pipe.execute_command("PING")
    blocked = [pipe.execute_command("BLPOP", "nothing", 0), pipe.execute_command("INCR", "n")]
    await eventually(lambda: _blocked(redis))
    await redis.client_kill_filter(_type="normal", skipme=True)
    assert [type(one) for one in await gathered(*blocked)] == [Lost, Lost]
    assert await pipe.execute_command("EXISTS", "n") == 0


async def _blocked(redis: Redis) -> bool:
    return bool((await redis.info("clients"))["blocked_clients"])


async def test_a_silent_redis_is_given_up(
    pipe: RedisPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an answer for so long the link is dropped; one that answers late enough is kept."""
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.6)
    began = await pipe.execute_command("CLIENT", "ID")
    for _ in range(3):
        assert await pipe.execute_command("BLPOP", "nothing", "0.1") is None
    assert await pipe.execute_command("CLIENT", "ID") == began
    assert [type(one) for one in await gathered(pipe.execute_command("BLPOP", "nothing", 0))] == [
        Lost
    ]
    assert await pipe.execute_command("CLIENT", "ID") != began


async def test_a_long_line_is_no_silence(
    pipe: RedisPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last waits for seven others, longer than a silence may be: they are heard meanwhile."""
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.3)
    began = await pipe.execute_command("CLIENT", "ID")
    line = await gathered(*(pipe.execute_command("BLPOP", "nothing", "0.1") for _ in range(8)))
    assert line == [None] * 8
    assert await pipe.execute_command("CLIENT", "ID") == began


async def test_many_are_answered_together(pipe: RedisPipeline) -> None:
    """In their order, an error among them as it is; a caller that is gone is passed over."""
    gone = pipe.execute_commands([("SET", "text", "x"), ("STRLEN", "text")])
    gone.cancel()
    text, wrong, size = await pipe.execute_commands(
        [("GET", "text"), ("INCR", "text"), ("STRLEN", "text")]
    )
    assert (text, size) == (b"x", 1)
    assert isinstance(wrong, ResponseError)


async def test_a_new_link_has_a_time_of_its_own(
    pipe: RedisPipeline, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was left of the lost one's does not end it: its first answer may take as long as any."""
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.6)
    blocked = pipe.execute_command("BLPOP", "nothing", 0)
    await redis.blpop("a while", timeout=0.35)
    await redis.client_kill_filter(_type="normal", skipme=True)
    assert [type(one) for one in await gathered(blocked)] == [Lost]
    assert await pipe.execute_command("BLPOP", "nothing", "0.3") is None


async def test_nobody_there_is_told_at_once(unused_tcp_port: int) -> None:
    """And asked again by who comes next."""
    away = to(f"redis://127.0.0.1:{unused_tcp_port}/0")
    for _ in range(2):
        answers = await gathered(*(away.execute_command("PING") for _ in range(3)))
        assert [type(one) for one in answers] == [Lost] * 3
    await away.close()


async def test_an_end_tells_who_waits(valkey_url: str, redis: Redis) -> None:
    """Before there is a link, and behind one."""
    early, late = to(valkey_url), to(valkey_url)
    asked = [early.execute_command("PING")]
    await early.close()
    await late.execute_command("PING")
    asked.append(late.execute_command("BLPOP", "nothing", 0))
    await late.close()
    assert [type(one) for one in await gathered(*asked)] == [Lost, Lost]
