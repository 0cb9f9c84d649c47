"""Rooms of users who connect stay in Redis: the next connect reads no archive (R5)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from rts_server import errors, keys
from rts_server.roomlog.connected_rooms import MAX_LOADS_AHEAD, ConnectedRooms
from tests.helpers.archive_calls import counted_calls
from tests.helpers.bench import HOT, Bench, message
from tests.helpers.deployed import Deployed
from tests.helpers.waiting import PATIENCE, eventually


async def left(bench: Bench, room_id: str) -> list[float]:
    """Seconds that the keys of a room stay, each value once."""
    room = keys.room(room_id)
    names = [room.head, *(getattr(room, name) for name in HOT)]
    return sorted({round(await bench.redis.pttl(one) / 1000) for one in names} - {0})


async def rested(bench: Bench, room_id: str, seconds: float) -> None:
    """Let so much time have passed since the last event of a room."""
    room, stays = keys.room(room_id), round(1000 * (bench.settings.room_ttl - seconds))
    await bench.redis.hincrby(room.head, "touched", round(-1000 * seconds))
    for one in (room.head, *(getattr(room, name) for name in HOT)):
        await bench.redis.pexpire(one, stays)


def no_load(room_id: str) -> Awaitable[None]:
    """Refuse to load a room."""
    raise AssertionError(room_id)


@pytest.mark.parametrize(("share", "renewed"), [(0.4, False), (0.6, True)])
async def test_a_connect_in_the_second_half_of_its_time_renews_a_room(
    bench: Bench, share: float, renewed: bool
) -> None:
    """Its keys then end at one moment again; a renewed room is not renewed again."""
    month = bench.settings.room_ttl
    room_id = await bench.group("alice")
    await rested(bench, room_id, share * month)
    touched = int((await bench.head(room_id))[b"touched"])
    rooms = ConnectedRooms(bench.settings, bench.redis, no_load)
    rooms.renew_if_aging(room_id, touched)
    await asyncio.gather(*rooms._tasks._tasks)
    assert await left(bench, room_id) == [round(month if renewed else (1 - share) * month)]
    assert await bench.state(room_id) == "warm"
    at = int((await bench.head(room_id)).get(b"renewed", time.time() * 1000))
    rooms.renew_if_aging(room_id, at)
    assert not rooms._aging
    await rooms.close()
    # An append moves the end again, and knows how long nothing was said.
    assert await bench.outcome(message(room_id, "alice")) == "ok"
    assert await left(bench, room_id) == [round(month)]


async def test_a_room_that_is_not_warm_is_not_renewed(bench: Bench) -> None:
    """Half a room does not stay longer for it, and no head comes into being."""
    gone, half = await bench.group("alice"), await bench.group("alice", room="h")
    await bench.redis.delete(keys.room(gone).head)
    await bench.redis.delete(keys.room(half).members)
    before = await bench.dump()
    rooms = ConnectedRooms(bench.settings, bench.redis, no_load)
    for one in (gone, half):
        rooms.renew_if_aging(one, 0)
    await asyncio.gather(*rooms._tasks._tasks)
    assert await bench.dump() == before
    await rooms.close()


async def test_a_user_with_quiet_rooms_connects_without_the_archive(deployed: Deployed) -> None:
    """Nobody wrote for 29 days; the connect lets them stay for 30 more."""
    month = deployed.settings.room_ttl
    bench = Bench(deployed.redis, deployed.settings)
    room_ids = [await deployed.group("alice", "quiet") for _ in range(5)]
    inboxes = deployed.services.inboxes
    await inboxes.unread("quiet")  # the index is built
    for room_id in room_ids:
        await rested(bench, room_id, month * 29 / 30)
    with counted_calls(deployed.services.archive) as asked:
        assert await inboxes.unread("quiet") == {"total": 0, "rooms": 0}
    assert not asked
    for room_id in room_ids:
        async with asyncio.timeout(PATIENCE):
            while await left(bench, room_id) != [round(month)]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    heads = [await bench.head(room_id) for room_id in room_ids]
    await inboxes.unread("quiet")
    await asyncio.gather(*deployed.services.connected_rooms._tasks._tasks)
    assert [await bench.head(room_id) for room_id in room_ids] == heads  # renewed once


async def test_rooms_that_left_redis_are_loaded_a_few_at_a_time() -> None:
    """Each once, however often it was offered."""
    going: set[str] = set()
    loaded: list[str] = []
    most = 0
    go_on = asyncio.Event()

    async def load(room_id: str) -> None:
        nonlocal most
        going.add(room_id)
        most = max(most, len(going))
        await go_on.wait()
        going.discard(room_id)
        loaded.append(room_id)

    rooms = made(load)
    rooms.load_soon([f"r{n}" for n in range(10)])
    rooms.load_soon([f"r{n}" for n in range(5, 12)])
    await eventually(lambda: len(going) == MAX_LOADS_AHEAD)
    go_on.set()
    await eventually(lambda: len(loaded) == 12)
    assert most == MAX_LOADS_AHEAD
    assert set(loaded) == {f"r{n}" for n in range(12)}
    rooms.load_soon(["later"])
    await eventually(lambda: loaded[-1] == "later")
    await rooms.close()


async def test_loads_end_with_the_first_that_fails() -> None:
    """While the archive is away none is tried; the next connect offers them again."""
    tried: list[str] = []

    async def load(room_id: str) -> None:
        tried.append(room_id)
        raise errors.Unavailable()

    rooms = made(load)
    rooms.load_soon([f"r{n}" for n in range(10)])
    await eventually(lambda: not rooms._loading)
    assert len(tried) <= MAX_LOADS_AHEAD
    rooms.load_soon(["again"])
    await eventually(lambda: tried[-1] == "again")
    await rooms.close()


def made(load: Callable[[str], Awaitable[None]]) -> ConnectedRooms:
    """Rooms of which none is renewed."""
    bench = Bench(None, replace(Bench(None).settings))  # type: ignore[arg-type]
    return ConnectedRooms(bench.settings, bench.redis, load)
