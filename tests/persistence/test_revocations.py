"""Revocations are stored before they are acknowledged, and never lost with Redis (A3)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.auth import Identity
from rts_server.config import Settings
from rts_server.errors import Unauthorized, Unavailable
from rts_server.persistence.archive import Archive
from rts_server.persistence.revocations import LIST_PARTITION, Revocations
from tests.helpers.world import free_port, name

Make = Callable[..., Revocations]


@pytest.fixture
async def make(tables: None, redis: Redis) -> AsyncIterator[Make]:
    """Return a function that makes instances on one table and one Redis."""
    archives: list[Archive] = []

    def revocations_of(
        settings: Settings | None = None, at: Redis | None = None, **given: Any
    ) -> Revocations:
        archives.append(Archive(settings or Settings()))
        return Revocations(settings or Settings(), at or redis, archives[-1], **given)

    yield revocations_of
    for archive in archives:
        await archive.close()


def token(user_id: str, age: int = 0) -> Identity:
    """Return the identity of a token that was issued `age` seconds ago."""
    now = int(time.time())
    return Identity(user_id, now + 3600, now - age)


def refuses(revocations: Revocations, identity: Identity) -> bool:
    """Return whether a token is refused."""
    try:
        revocations.check(identity)
    except Unauthorized:
        return True
    return False


async def test_a_revocation_reaches_all_instances(make: Make) -> None:
    """Older tokens are void at once here, after the next read elsewhere; newer ones are valid."""
    heard: list[dict[str, int]] = []
    here, there = make(), make(on_revoked=heard.append)
    await there.refresh()
    eve, old = name("eve"), token("eve", 100)
    old = replace(old, user_id=eve)
    before = await here.revoke(eve)
    assert refuses(here, old)
    assert not refuses(there, old)
    await there.refresh()
    assert refuses(there, old)
    assert heard[-1] == {eve: before}
    told = len(heard)
    await there.refresh()
    assert len(heard) == told
    assert refuses(there, replace(old, issued_at=before))
    assert not refuses(there, replace(old, issued_at=before + 1))
    assert not refuses(there, token(name("bob"), 100))


async def marks(redis: Redis) -> list[bytes]:
    """Return the marks of a complete mirror."""
    names: Any = await redis.zrange(keys.REVOKED, 0, -1)
    return [one for one in names if one.startswith(b"#complete ")]


@pytest.mark.parametrize("loss", ["all", "set", "mark", "type"])
async def test_revocations_that_redis_lost_are_read_from_the_table(
    make: Make, redis: Redis, loss: str
) -> None:
    """A new instance refuses the token however the mirror was lost, and rebuilds the mirror."""
    eve = name("eve")
    await make().refresh()
    before = await make().revoke(eve)
    if loss == "all":
        await redis.flushall()
    elif loss == "mark":
        await redis.zrem(keys.REVOKED, f"u:{eve}", *await marks(redis))
    else:
        await redis.delete(keys.REVOKED)
        if loss == "type":
            await redis.set(keys.REVOKED, "x")
    late = make()
    for _ in range(2):  # a key of a wrong type is only removed by the first look
        await late.refresh()
        assert refuses(late, Identity(eve, 0, before))
    assert await redis.zscore(keys.REVOKED, f"u:{eve}") == before
    assert len(await marks(redis)) == 1


async def test_a_mirror_lost_during_its_rebuild_is_not_complete(make: Make, redis: Redis) -> None:
    """The table was read before the revocation, and Redis lost it since: no mark is set."""
    eve, rebuilding = name("eve"), make()
    listed = rebuilding._read_list

    def slow(after: Any, table: Any) -> tuple[dict[str, int], Any]:
        page, after = listed(after, table)
        return {user: at for user, at in page.items() if user != eve}, after

    rebuilding._read_list = slow  # type: ignore[method-assign]
    await make().revoke(eve)
    note = rebuilding._note

    async def lost(*given: object) -> None:
        await redis.flushall()
        await note(*given)  # type: ignore[arg-type]

    rebuilding._note = lost  # type: ignore[method-assign,assignment]
    await rebuilding.refresh()
    late = make()
    await late.refresh()
    assert refuses(late, token(eve, 100))


async def test_without_redis_the_table_is_read(make: Make) -> None:
    """While Redis is away a revocation is stored, not confirmed, and instances find it."""
    nowhere = Redis.from_url(f"redis://127.0.0.1:{free_port()}")
    here, there = make(at=nowhere), make(at=nowhere)
    eve = name("eve")
    with pytest.raises(Unavailable):
        await here.revoke(eve)
    assert not there.known.is_set()
    await there.refresh()
    assert there.known.is_set()
    assert refuses(there, token(eve, 100))
    await nowhere.aclose()


async def test_without_redis_and_table_revocations_are_unavailable(tables: None) -> None:
    """`known` is not set, and a revocation raises Unavailable."""
    port = free_port()
    settings = Settings(aws_endpoint_url=f"http://127.0.0.1:{port}")
    nowhere, archive = Redis.from_url(f"redis://127.0.0.1:{port}"), Archive(settings)
    alone = Revocations(settings, nowhere, archive)
    with pytest.raises(Unavailable):
        await alone.refresh()
    with pytest.raises(Unavailable):
        await alone.revoke("eve")
    assert not alone.known.is_set()
    await archive.close()
    await nowhere.aclose()


async def test_a_revocation_older_than_any_token_is_forgotten(make: Make, redis: Redis) -> None:
    """It leaves memory and Redis; the item in the table has a time to live."""
    settings = replace(Settings(), longest_token=1.0)
    short, eve = make(settings), name("eve")
    before = await short.revoke(eve)
    assert refuses(short, Identity(eve, 0, before))
    item: Any = await short._archive.run_with_client(
        lambda table: table.get_item(
            TableName="chat-rooms", Key={"room_id": LIST_PARTITION, "sk": f"USER#{eve}"}
        )["Item"]
    )
    assert item["expires_at"] == before + 2
    await asyncio.sleep(before + 2.1 - time.time())
    await short.revoke(name("other"))
    assert not refuses(short, Identity(eve, 0, before))
    assert await redis.zscore(keys.REVOKED, f"u:{eve}") is None
