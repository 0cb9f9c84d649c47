"""Replies that say "not the primary": their link ends, and every other of the process with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis as Blocking
from redis.exceptions import RedisError, ResponseError

from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.redis_client.primary import Primary
from rts_server.redis_client.servers import pool
from rts_server.redis_client.transport import NOT_PRIMARY_CODES, NotPrimary, error_of_reply
from tests.helpers import valkey
from tests.helpers.valkey import connect
from tests.helpers.waiting import eventually

NOWHERE = ("127.0.0.1", "1")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A Redis that can be made to refuse writes."""
    with valkey.running(tmp_path) as url:
        yield url


class Links:
    """A pool and two pipes of one process."""

    def __init__(self, url: str) -> None:
        self.primary = Primary()
        self.redis = connect(url, 4, self.primary)
        self.pipes = [RedisPipeline(pool(url, self.primary), self.primary) for _ in ("one", "two")]

    async def ids(self) -> list[int]:
        """Return the client id of each connection, as Redis counts them."""
        pipes = [pipe.execute_command("CLIENT", "ID") for pipe in self.pipes]
        return [await self.redis.client_id(), *[await answer for answer in pipes]]

    async def close(self) -> None:
        """Close them."""
        for pipe in self.pipes:
            await pipe.close()
        await self.redis.aclose()


@pytest.fixture
async def links(server: str) -> AsyncIterator[Links]:
    """Connections of all kinds to one Redis."""
    made = Links(server)
    yield made
    await made.close()


def make_unfit(url: str, code: str) -> None:
    """Let a Redis refuse writes with this code."""
    with Blocking.from_url(url) as redis:
        if code == "NOREPLICAS":
            redis.config_set("min-replicas-to-write", 1)
            return
        if code == "MASTERDOWN":
            redis.config_set("replica-serve-stale-data", "no")
        redis.replicaof(*NOWHERE)


def make_fit(url: str) -> None:
    """Let a Redis accept writes again."""
    with Blocking.from_url(url) as redis:
        redis.config_set("min-replicas-to-write", 0)
        redis.replicaof("NO", "ONE")


REFUSED = ["READONLY", "NOREPLICAS", "MASTERDOWN"]


@pytest.mark.parametrize("way", ["pool", "pipe", "script"])
@pytest.mark.parametrize("code", REFUSED)
async def test_one_refusal_closes_every_connection_of_the_process(
    server: str, links: Links, code: str, way: str
) -> None:
    """Commands raise RedisError; new connections go where the address leads by then."""
    before = await links.ids()
    assert await links.ids() == before
    make_unfit(server, code)
    command = ("GET", "a") if code == "MASTERDOWN" else ("SET", "a", "x")
    script = f"return redis.call({', '.join(map(repr, command))})"
    ask: dict[str, Any] = {
        "pool": lambda: links.redis.execute_command(*command),  # type: ignore[no-untyped-call]
        "pipe": lambda: links.pipes[0].execute_command(*command),
        "script": lambda: links.pipes[0].execute_command("EVAL", script, 0),
    }
    with pytest.raises(NotPrimary, match=f"^{code}"):
        await ask[way]()
    assert links.primary.missing(0)
    make_fit(server)
    after = await links.ids()
    assert not set(before) & set(after)
    assert await links.ids() == after
    assert await links.redis.set("a", "x")


async def test_many_refusals_of_one_connection_count_once(server: str, links: Links) -> None:
    """Otherwise late replies of an old connection would close the new ones."""
    await links.ids()
    make_unfit(server, "READONLY")
    asked = [links.pipes[0].execute_command("SET", "a", n) for n in range(50)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(answer, RedisError) for answer in answers)
    assert links.primary.refusals == 1


async def test_unblocked_closes_the_connection_of_a_blocking_read(
    server: str, links: Links
) -> None:
    """Redis replies UNBLOCKED when it becomes a replica."""
    before = await links.ids()
    reading = links.pipes[0].execute_command("XREAD", "BLOCK", 0, "STREAMS", "outbox", "$")
    with Blocking.from_url(server) as redis:
        await eventually(lambda: redis.info("clients")["blocked_clients"])
    make_unfit(server, "READONLY")
    with pytest.raises(RedisError):
        await reading
    make_fit(server)
    assert not set(before) & set(await links.ids())


def test_other_error_replies_keep_their_exception() -> None:
    """Only the code at the beginning decides."""
    for code in NOT_PRIMARY_CODES:
        assert isinstance(error_of_reply(f"{code} whatever it says"), NotPrimary)
    for text in ("ERR READONLY", "WRONGTYPE x", "NOSCRIPT x", "OOM x", "", "READONLYX y"):
        assert not isinstance(error_of_reply(text), NotPrimary)
        assert isinstance(error_of_reply(text), ResponseError)
