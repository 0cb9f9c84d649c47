"""Heads of quiet rooms, published by the relay on a real Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.persistence import outbox
from rts_server.persistence.recent_changes import RecentChanges
from rts_server.persistence.user_rooms import UserRooms
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.relay import quiet_heads
from rts_server.relay.quiet_heads import QuietHeads
from rts_server.runtime.tasks import cancelled
from tests.helpers.waiting import PATIENCE

ROOM, CURSORS = keys.room_channel("r"), keys.room_channel("cursors")
USER, WATCHED = keys.user_channel("bob"), keys.presence_channel("bob")


def entry(room_id: str, position: str, *users: list[str]) -> outbox.Entry:
    """An outbox entry at a position."""
    fields: Any = {b"q": b"m", b"r": room_id.encode(), b"e": position.encode(), b"d": b"{}"}
    if users:
        fields[b"u"] = orjson.dumps(users)
    return outbox.parse(0, b"1-0", fields)


@pytest.fixture
def heads(pipe: RedisPipeline, monkeypatch: pytest.MonkeyPatch) -> QuietHeads:
    """Heads of rooms that are quiet for a tenth of a second."""
    monkeypatch.setattr(quiet_heads, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(quiet_heads, "PUBLISH_SECONDS", 0.01)
    return QuietHeads(pipe, RecentChanges(pipe), UserRooms(pipe))


class Ear:
    """What is published."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    async def next(self, seconds: float = PATIENCE) -> tuple[str, bytes] | None:
        """Return the next publish; None if there is none within the time."""
        async with asyncio.timeout(PATIENCE):
            while True:
                found = await self._channel.get_message(timeout=seconds)
                if found is None:
                    return None
                if found["type"] == "message":
                    return found["channel"].decode(), found["data"]


@asynccontextmanager
async def listening(redis: Redis) -> AsyncIterator[Ear]:
    """Hear the rooms and the user."""
    async with redis.pubsub() as channel:
        await channel.subscribe(ROOM, CURSORS, USER, WATCHED, keys.presence_channel("eve"))
        yield Ear(channel)


async def test_a_room_in_which_nothing_follows_is_published_once_with_its_highest_position(
    redis: Redis, heads: QuietHeads
) -> None:
    """Entries that are read again are older; records of cursors are at no position."""
    async with listening(redis) as ear:
        publishing = asyncio.create_task(heads.run_forever())
        for position in ("1:3", "2:1", "1:2"):
            heads.note(entry("r", position))
        heads.note(entry("cursors", "0:0"))
        assert await ear.next() == (ROOM, b"2 1 ~head@- {}")
        assert await ear.next(0.2) is None
        await cancelled(publishing)
    changes = await RecentChanges(redis).since(30.0)
    assert changes is not None
    assert (changes.rooms, changes.members) == ({"r"}, {})


async def test_the_version_of_an_index_is_published_after_a_change_of_its_user(
    redis: Redis, heads: QuietHeads
) -> None:
    """Who missed the word about a membership compares the user's rooms (D5), and who watches a
    user that left one compares the watch (A2)."""
    await redis.hset(keys.user_rooms("bob"), "#ver", "7")
    async with listening(redis) as ear:
        publishing = asyncio.create_task(heads.run_forever())
        heads.note(entry("r", "1:3", ["bob", "in"], ["eve", "in"]))
        heads.note(entry("r", "1:4", ["bob", "out"]))
        assert await ear.next() == (ROOM, b"1 4 ~head@- {}")
        found = await ear.next()
        assert found is not None
        assert (found[0], orjson.loads(found[1])) == (USER, {"kind": "rooms", "version": 7})
        assert await ear.next() == (WATCHED, b"-")
        assert await ear.next(0.2) is None
        await cancelled(publishing)
    changes = await RecentChanges(redis).since(30.0)
    assert changes is not None
    assert (changes.rooms, changes.members) == ({"r"}, {"bob": {"r"}, "eve": {"r"}})


async def test_a_relay_that_ends_publishes_what_waits(redis: Redis, heads: QuietHeads) -> None:
    """The next one does not know of entries that have left the outbox."""
    async with listening(redis) as ear:
        heads.note(entry("r", "1:3"))
        await heads.publish_all()
        assert await ear.next() == (ROOM, b"1 3 ~head@- {}")
        await heads.publish_all()
        assert await ear.next(0.05) is None
