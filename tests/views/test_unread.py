"""Publishing unread counts to a user's devices, on a real Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import orjson
import pytest
from redis.asyncio.client import PubSub

from rts_server import errors, keys
from rts_server.persistence.archive import Archive
from rts_server.persistence.user_rooms import IndexedMembership, UserRooms
from rts_server.roomlog.room_events import settings_changed
from rts_server.views import unread
from rts_server.views.unread import _UNREAD, UnreadPublisher
from tests.helpers.bench import Bench, message, round_trips
from tests.helpers.waiting import PATIENCE, eventually
from tests.views.inboxes import inbox_reader

USERS = [f"user-{n}" for n in range(20)]


async def rooms_of(bench: Bench, users: list[str]) -> dict[str, list[str]]:
    """Two rooms for each user, in each a message of alice that he has not read."""
    rooms: dict[str, list[str]] = {}
    index = UserRooms(bench.redis)
    for user in users:
        rooms[user] = [await bench.group("alice", user, room=f"{user}-{n}") for n in (1, 2)]
        for room_id in rooms[user]:
            await bench.append(message(room_id, "alice", "m"))
            await index.note_all([(user, IndexedMembership(room_id, 1, 2, "in"))])
        await index.complete(user)
    return rooms


@asynccontextmanager
async def subscribed(bench: Bench, *room_ids: str) -> AsyncIterator[PubSub]:
    """A subscription to the channels of some rooms."""
    async with bench.redis.pubsub() as channel:
        await channel.subscribe(*map(keys.room_channel, room_ids))
        for _ in room_ids:
            assert await channel.get_message(timeout=PATIENCE) is not None
        yield channel


async def next_publish(channel: PubSub) -> tuple[str, dict[str, Any]]:
    """The user of the next publish, and its data."""
    async with asyncio.timeout(PATIENCE):
        while (publish := await channel.get_message(timeout=PATIENCE)) is None:
            pass
    kind, text = publish["data"].decode().split(" ", 3)[2:]
    return kind.removeprefix("~unread.changed@"), orjson.loads(text)


@pytest.mark.parametrize(("muted", "totals"), [(False, (7, 3)), (True, (5, 2))])
async def test_unread_counts_are_published_at_the_head_to_one_user(
    bench: Bench, muted: bool, totals: tuple[int, int]
) -> None:
    """With the totals of the user's other rooms, in which muted rooms do not count."""
    room_id = await bench.group("alice", "bob")
    for n in range(2):
        await bench.append(message(room_id, "alice", f"m{n}"))
    if muted:
        await bench.append(settings_changed(room_id, "bob", {"muted": True}))
    async with subscribed(bench, room_id) as channel:
        where = keys.room(room_id).script_keys
        args: list[str | int] = ["bob", room_id, keys.room_channel(room_id), 5, 2]
        assert await _UNREAD.evaluate(bench.redis, where, args) == b"warm"
        assert await _UNREAD.evaluate(bench.redis, where, ["eve", *args[1:]]) == b"not_found"
        publish = await channel.get_message(timeout=PATIENCE)
    assert publish is not None
    epoch, offset, kind, text = publish["data"].decode().split(" ", 3)
    assert (epoch, offset, kind) == ("1", "4", "~unread.changed@bob")
    total, rooms = totals
    assert orjson.loads(text)["data"] == {
        "unread": 2,
        "read_seq": 0,
        "total": total,
        "rooms": rooms,
    }


async def test_changes_during_a_batch_are_published_together(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty users take four round trips; each change is published once."""
    rooms = await rooms_of(bench, USERS)
    monkeypatch.setattr(unread, "BATCH_INTERVAL_SECONDS", 0.0)
    publisher = UnreadPublisher(bench.redis, inbox_reader(bench.redis))
    async with subscribed(bench, *(first for first, _ in rooms.values())) as channel:
        publisher.publish_soon(USERS[0], rooms[USERS[0]][0])
        assert (await next_publish(channel))[0] == USERS[0]  # scripts are loaded now
        trips = round_trips(monkeypatch)
        for user in USERS * 2:
            publisher.publish_soon(user, rooms[user][0])
        published = [await next_publish(channel) for _ in USERS]
        assert [user for user, _ in published] == USERS
        assert await channel.get_message(timeout=0.01) is None
    assert all(
        e["data"] == {"unread": 1, "read_seq": 0, "total": 2, "rooms": 2} for _, e in published
    )
    assert len(trips) <= 4
    await publisher.close()


async def test_a_user_who_cannot_be_read_does_not_delay_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive or Redis was away for one user; the next event is published."""
    rooms = await rooms_of(bench, USERS[:2])
    await bench.redis.delete(keys.user_rooms(USERS[0]))
    monkeypatch.setattr(unread, "BATCH_INTERVAL_SECONDS", 0.0)
    publisher = UnreadPublisher(bench.redis, inbox_reader(bench.redis, cast(Archive, Away())))
    async with subscribed(bench, rooms[USERS[1]][0]) as channel:
        for user in USERS[:2]:
            publisher.publish_soon(user, rooms[user][0])
        assert (await next_publish(channel))[0] == USERS[1]
        await bench.redis.set(keys.user_rooms(USERS[0]), "no hash")
        publisher.publish_soon(USERS[0], rooms[USERS[0]][0])
        publisher.publish_soon(USERS[1], rooms[USERS[1]][0])
        await eventually(lambda: not publisher._changed)
        await bench.redis.delete(keys.user_rooms(USERS[0]))
        publisher.publish_soon(USERS[1], rooms[USERS[1]][0])
        assert (await next_publish(channel))[0] == USERS[1]
    await publisher.close()


class Away:
    """An archive that is unavailable."""

    async def rooms_of(self, user_id: str) -> list[Any]:
        """Raises Unavailable."""
        raise errors.Unavailable()
