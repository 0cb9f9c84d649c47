"""What revocations cost: counted with few and with many of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.auth import Identity
from rts_server.config import Settings
from rts_server.errors import Unauthorized
from rts_server.persistence.archive import Archive
from rts_server.persistence.revocations import MIRROR_TRUST_SECONDS, Revocations, Revoked
from rts_server.persistence.scripts import Script
from tests.helpers.world import name

Make = Callable[..., Revocations]
FEW, MANY = 10, 3_500
PAGE = 1_000
NEW_BYTES = 400
"""Of a reply with one user."""


@pytest.fixture
async def make(tables: None, redis: Redis) -> AsyncIterator[Make]:
    """Return a function that makes instances on one table and one Redis."""
    archives: list[Archive] = []

    def revocations(**given: Any) -> Revocations:
        archives.append(Archive(Settings()))
        return Revocations(Settings(), redis, archives[-1], **given)

    yield revocations
    for archive in archives:
        await archive.close()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Numbers of arguments and of items in the reply, of each script."""
    seen: list[tuple[int, int]] = []
    evaluate = Script.evaluate

    async def counted(
        script: Script, redis: Redis, names: Sequence[str], args: Sequence[str | int]
    ) -> Any:
        answer = await evaluate(script, redis, names, args)
        seen.append((len(args), len(answer) if isinstance(answer, list) else 1))
        return answer

    monkeypatch.setattr(Script, "evaluate", counted)
    return seen


def users(number: int) -> Revoked:
    """Return revocations of some users, a second apart."""
    now = int(time.time())
    return {f"user-{n}": now - n for n in range(number)}


def is_refused(revocations: Revocations, user_id: str) -> bool:
    """Return whether tokens of the user that are old enough are refused."""
    try:
        revocations.check(Identity(user_id, 2**40, 0))
    except Unauthorized:
        return True
    return False


async def sent(redis: Redis) -> int:
    """Bytes that Redis has sent so far."""
    return int((await redis.info("stats"))["total_net_output_bytes"])


@pytest.mark.parametrize("number", [FEW, MANY])
async def test_an_instance_is_sent_only_what_is_new(make: Make, redis: Redis, number: int) -> None:
    """A revocation costs an instance a reply with one user, whatever was revoked before."""
    here, there = make(), make()
    await here.refresh()
    await here._note(users(number))
    await there.refresh()
    assert is_refused(there, f"user-{number - 1}")
    eve = name("eve")
    await here.revoke(eve)
    before = await sent(redis)
    cost = await sent(redis) - before
    await there.refresh()
    assert await sent(redis) - before - 2 * cost < NEW_BYTES
    assert is_refused(there, eve)


async def test_a_new_instance_reads_and_a_rebuild_writes_in_pages(
    make: Make, redis: Redis, calls: list[tuple[int, int]]
) -> None:
    """No script returns or takes more than a page of users."""
    revoked = users(MANY)
    here = make()
    here._read_list = lambda *given: (revoked, None)  # type: ignore[method-assign]
    await here.refresh()
    assert await redis.zcount(keys.REVOKED, 0, int(time.time())) == MANY
    late = make()
    await late.refresh()
    assert all(is_refused(late, user_id) for user_id in revoked)
    assert max(max(call) for call in calls) <= 2 * PAGE + 3
    assert len(calls) < 2 * MANY / PAGE + 8


async def test_one_instance_compares_the_mirror_with_the_table(
    make: Make, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is time, and not each: it finds what Redis was never told."""
    instances = [make() for _ in range(4)]
    for one in instances:
        await one.refresh()
    asked: list[Revocations] = []
    read = Revocations._read_list

    def counted(self: Revocations, *given: Any) -> Any:
        asked.append(self)
        return read(self, *given)

    monkeypatch.setattr(Revocations, "_read_list", counted)
    eve, before = name("eve"), int(time.time())
    await instances[0]._archive.run_with_client(
        lambda table: instances[0]._store(table, eve, before)
    )
    names: Any = await redis.zrange(keys.REVOKED, 0, -1)
    (mark,) = [one for one in names if one.startswith(b"#complete ")]
    await redis.zadd(keys.REVOKED, {mark: 1_000.0})
    for _ in range(2):
        await asyncio.gather(*(one.refresh() for one in instances))
    assert len(asked) == 1
    for one in instances:
        await one.refresh()
    assert all(is_refused(one, eve) for one in instances)
    again = await redis.zscore(keys.REVOKED, mark)
    assert again is not None
    assert again / 1000 > time.time() + MIRROR_TRUST_SECONDS / 2


async def test_an_instance_behind_a_lost_mirror_misses_nothing(make: Make, redis: Redis) -> None:
    """Another one rebuilt it before this one looked: its numbers begin behind the earlier ones."""
    here, there = make(), make()
    await here.refresh()
    await here._note(users(FEW))
    await there.refresh()
    await redis.flushall()
    await here.refresh()
    eve = name("eve")
    await here.revoke(eve)
    await there.refresh()
    assert is_refused(there, eve)


async def test_what_a_release_without_numbers_adds_is_found(make: Make, redis: Redis) -> None:
    """During a rolling deployment: the table is read then (A3)."""
    here, there = make(), make()
    await here.refresh()
    await there.refresh()
    eve, before = name("eve"), int(time.time())
    await here._archive.run_with_client(lambda table: here._store(table, eve, before))
    await redis.zadd(keys.REVOKED, {f"u:{eve}": before})
    await redis.zincrby(keys.REVOKED, 1, "#ver")
    for one in (there, here):
        await one.refresh()
        assert is_refused(one, eve)
    late = make()
    await late.refresh()
    assert is_refused(late, eve)
