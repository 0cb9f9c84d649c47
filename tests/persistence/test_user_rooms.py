"""The user index: only newer positions change it, in any order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
from fakeredis import FakeAsyncRedis, FakeServer
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from rts_server import keys
from rts_server.config import Settings
from rts_server.domain.size_limits import SizeLimits
from rts_server.errors import LimitExceeded
from rts_server.persistence import user_rooms
from rts_server.persistence.user_rooms import EMPTY_TTL_MS, TTL_MS, IndexedMembership, UserRooms
from rts_server.redis_client.sharded_pipeline import ShardedPipeline
from rts_server.rooms.memberships import Memberships
from tests.helpers.waiting import PATIENCE

USER = "a{b}:*%"
NOTHING: Any = None
CHANGES = st.lists(
    st.builds(
        IndexedMembership,
        st.sampled_from(["r1", "r2"]),
        st.integers(1, 3),
        st.integers(1, 4),
        st.sampled_from(["in", "out"]),
    ),
    max_size=12,
    unique_by=lambda change: change[:3],
)


@pytest.fixture
async def fake() -> AsyncIterator[FakeAsyncRedis]:
    """A Redis in memory, for scripts that need no more."""
    async with FakeAsyncRedis(server=FakeServer()) as client:
        yield client


async def noted(changes: list[IndexedMembership]) -> dict[str, str]:
    """Return the hash after some changes."""
    async with FakeAsyncRedis(server=FakeServer()) as client:
        index = UserRooms(client)
        for change in changes:
            await index.note(USER, *change)
        fields: Any = await client.hgetall(keys.user_rooms(USER))
    return {name.decode(): value.decode() for name, value in fields.items()}


@settings(max_examples=40)
@given(CHANGES, st.randoms(use_true_random=False))
def test_any_order_gives_the_same_index(changes: list[IndexedMembership], random: Any) -> None:
    """The newest position of each room wins (D8); #ver counts the changes."""
    newest = {c.room_id: c for c in sorted(changes, key=lambda c: (c.epoch, c.offset))}
    shuffled = [*changes, *changes[:4]]
    random.shuffle(shuffled)
    for order in (changes, shuffled):
        fields = asyncio.run(noted(order))
        version = int(fields.pop("#ver", "0"))
        assert fields == {r: f"{c.epoch}:{c.offset}:{c.state}" for r, c in newest.items()}
        assert len(newest) <= version <= len(changes)


async def test_a_change_is_published_once_with_its_version(fake: FakeAsyncRedis) -> None:
    """Devices get room, position, state and #ver; an older or equal position is not published."""
    index = UserRooms(fake)
    async with fake.pubsub() as channel:
        await channel.subscribe(keys.user_channel(USER))
        assert (await channel.get_message(timeout=PATIENCE))["type"] == "subscribe"
        await index.note_all(
            [
                (USER, IndexedMembership("r", 1, 2, "in")),
                (USER, IndexedMembership("r", 1, 2, "out")),
                (USER, IndexedMembership("r", 1, 1, "out")),
                (USER, IndexedMembership("r", 2, 1, "out")),
                ("somebody else", IndexedMembership("r", 9, 9, "in")),
            ]
        )
        heard = [await channel.get_message(timeout=0.1) for _ in range(3)]
    assert heard[2] is None
    told = [user_rooms_json(message["data"]) for message in heard[:2]]
    assert [(t["room_id"], t["epoch"], t["offset"], t["state"], t["version"]) for t in told] == [
        ("r", 1, 2, "in", 1),
        ("r", 2, 1, "out", 2),
    ]
    assert {t["kind"] for t in told} == {"room"}


def user_rooms_json(data: bytes) -> dict[str, Any]:
    """Return a message on a user's channel."""
    parsed: dict[str, Any] = orjson.loads(data)
    return parsed


async def test_the_state_of_a_room(fake: FakeAsyncRedis) -> None:
    """It is `in`, `out`, or None if the index does not know the room."""
    index = UserRooms(fake)
    await index.note(USER, "here", 1, 1, "in")
    await index.note(USER, "gone", 1, 1, "out")
    assert [await index.state(USER, r) for r in ("here", "gone", "other")] == ["in", "out", None]
    assert await index.state("somebody else", "here") is None


async def test_positions_are_compared_as_numbers(fake: FakeAsyncRedis) -> None:
    """10 is newer than 9, in the epoch and in the offset."""
    index = UserRooms(fake)
    await index.note(USER, "r", 9, 9, "in")
    await index.note(USER, "r", 9, 10, "out")
    assert await index.state(USER, "r") == "out"
    await index.note(USER, "r", 10, 1, "in")
    assert await index.state(USER, "r") == "in"


async def test_an_index_is_complete_when_it_was_rebuilt_here(redis: Redis) -> None:
    """Single changes do not make it complete, and its marks are no rooms."""
    index = UserRooms(redis)
    assert (await index.all(USER))[:2] == ([], False)
    await index.note(USER, "r", 1, 1, "in")
    assert (await index.all(USER))[:2] == ([IndexedMembership("r", 1, 1, "in")], False)
    await index.rebuild(USER, [])
    assert (await index.all(USER))[:2] == ([IndexedMembership("r", 1, 1, "in")], True)
    await index.note(USER, "s", 1, 1, "out")
    known, complete, _ = await index.all(USER)
    assert (sorted(one.room_id for one in known), complete) == (["r", "s"], True)


async def test_a_rebuild_sets_what_is_newer(redis: Redis) -> None:
    """As single changes do (D8)."""
    index = UserRooms(redis)
    for kept in [("older", 1, 9, "in"), ("same", 2, 2, "in"), ("newer", 2, 3, "out")]:
        await index.note(USER, *kept)  # type: ignore[arg-type]
    stored = [
        IndexedMembership("older", 2, 1, "out"),
        IndexedMembership("same", 2, 2, "in"),
        IndexedMembership("newer", 2, 2, "in"),
        IndexedMembership("missing", 1, 10, "in"),
    ]
    found = await index.rebuild(USER, stored)
    assert sorted(found.rooms) == [
        ("missing", 1, 10, "in"),
        ("newer", 2, 3, "out"),
        ("older", 2, 1, "out"),
        ("same", 2, 2, "in"),
    ]
    assert found.version.startswith("5 ")  # three changes and two


async def test_a_rebuild_is_published_once(redis: Redis) -> None:
    """Whatever it changed, and not if it changed nothing; the index that is replied has it all."""
    index, rooms = UserRooms(redis), [IndexedMembership(f"r{n}", 1, 1, "in") for n in range(50)]
    async with redis.pubsub() as channel:
        await channel.subscribe(keys.user_channel(USER))
        assert (await channel.get_message(timeout=PATIENCE))["type"] == "subscribe"
        before: Any = await redis.info("commandstats")
        found = await index.rebuild(USER, rooms)
        assert await index.rebuild(USER, rooms) == await index.all(USER)
        after: Any = await redis.info("commandstats")
        heard = [await channel.get_message(timeout=0.1) for _ in range(2)]
    assert (sorted(found.rooms), found.complete) == (sorted(rooms), True)
    assert user_rooms_json(heard[0]["data"]) == {"kind": "rooms", "version": 50}
    assert heard[1] is None
    calls = {n: one["calls"] - before.get(n, {"calls": 0})["calls"] for n, one in after.items()}
    assert calls["cmdstat_hset"] == 3  # the rooms once, the mark twice
    assert sum(calls.values()) < len(rooms)


async def test_a_rebuild_that_ends_a_membership_ends_watches(redis: Redis) -> None:
    """Who watches the user compares the shared rooms; a rebuild that only adds says nothing."""
    index = UserRooms(redis)
    async with redis.pubsub() as channel:
        await channel.subscribe(keys.presence_channel(USER))
        assert (await channel.get_message(timeout=PATIENCE))["type"] == "subscribe"
        await index.rebuild(USER, [IndexedMembership("r", 1, 1, "in")])
        await redis.publish(keys.presence_channel(USER), "between")
        await index.rebuild(USER, [IndexedMembership("r", 1, 2, "out")])
        heard = [await channel.get_message(timeout=PATIENCE) for _ in range(2)]
    assert [one["data"] for one in heard] == [b"between", b"-"]


async def test_a_young_index_is_rebuilt_once_more(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records may have been in the queue at the first rebuild; the second one is final."""
    monkeypatch.setattr(user_rooms, "RECHECK_MS", 0)
    index = UserRooms(redis)
    await index.rebuild(USER, [])
    assert (await index.all(USER))[1] is False
    await index.rebuild(USER, [])
    assert (await index.all(USER))[1] is True


async def test_the_mark_of_another_redis_does_not_count(redis: Redis) -> None:
    """An index that was complete in a lost Redis may lack later changes."""
    index = UserRooms(redis)
    await index.rebuild(USER, [])
    await index.rebuild(USER, [])
    await redis.execute_command("DEBUG", "CHANGE-REPL-ID")  # type: ignore[no-untyped-call]
    assert (await index.all(USER))[1] is False


async def test_the_room_limit_counts_other_current_rooms(fake: FakeAsyncRedis) -> None:
    """Rooms that the user left do not count, nor does the room in question."""
    rooms = UserRooms(fake)
    await rooms.note("alice", "one", 1, 1, "in")
    await rooms.note("alice", "two", 1, 1, "in")
    await rooms.note("alice", "left", 1, 1, "out")
    assert await rooms.crowded("three", ["bob", "alice"], 2) == {"alice": 2}
    assert not await rooms.crowded("three", ["bob", "alice"], 3)
    assert not await rooms.crowded("two", ["alice"], 2)
    assert await rooms.crowded("left", ["alice"], 2)


async def test_an_index_expires_sooner_without_a_current_room(redis: Redis) -> None:
    """A read at connect keeps it for longer, if the user is in a room."""
    index, key = UserRooms(redis), keys.user_rooms(USER)
    await index.rebuild(USER, [])
    assert 0 < await redis.pttl(key) <= EMPTY_TTL_MS
    await index.all(USER)
    assert await redis.pttl(key) <= EMPTY_TTL_MS
    await index.note(USER, "r", 1, 1, "in")
    assert EMPTY_TTL_MS < await redis.pttl(key) <= TTL_MS
    await index.rebuild(USER, [])
    await index.note(USER, "other", 1, 1, "out")
    assert await redis.pttl(key) > EMPTY_TTL_MS
    await redis.pexpire(key, 1_000)
    await index.all(USER)
    assert await redis.pttl(key) > EMPTY_TTL_MS
    await index.note(USER, "r", 1, 2, "out")
    assert 0 < await redis.pttl(key) <= EMPTY_TTL_MS


async def test_a_later_rebuild_forgets_rooms_that_the_user_left(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of which the archive knows it; the first rebuild in a Redis has them all."""
    monkeypatch.setattr(user_rooms, "RECHECK_MS", 0)
    index, stored = UserRooms(redis), [IndexedMembership("here", 1, 1, "in")]
    stored += [IndexedMembership(f"left{n}", 1, 2, "out") for n in range(3)]
    assert len((await index.rebuild(USER, stored)).rooms) == 4
    await index.note(USER, "left1", 1, 3, "out")  # the archive does not have it yet
    await index.note(USER, "left2", 1, 3, "in")
    found = await index.rebuild(USER, [*stored, IndexedMembership("never seen", 1, 1, "out")])
    assert sorted(found.rooms) == [
        ("here", 1, 1, "in"),
        ("left1", 1, 3, "out"),
        ("left2", 1, 3, "in"),
    ]
    assert found.complete
    assert (await index.all(USER)).complete


async def test_a_rebuild_is_due_again_after_the_time_that_it_is_kept(redis: Redis) -> None:
    """So the index of a user who connects every day does not grow for ever either."""
    index, key = UserRooms(redis), keys.user_rooms(USER)
    for least, most in ((0, user_rooms.RECHECK_MS), (TTL_MS - PATIENCE * 1000, TTL_MS)):
        await index.rebuild(USER, [])
        mark: Any = await redis.hget(key, "#complete")
        now = (await redis.time())[0] * 1000
        assert least < int(mark.split()[1]) - now <= most + 1000


async def test_others_cannot_use_up_the_room_limit(redis: Redis) -> None:
    """Users without a common room are stopped first, others later, the user and operators last."""
    index = UserRooms(redis)
    limits = replace(SizeLimits(), user_rooms=6, put_rooms=4, stranger_rooms=2)
    memberships = Memberships(Settings(limits=limits), NOTHING, index, NOTHING)
    await index.note("friend", "r0", 1, 1, "in")

    async def takes(actor: str | None) -> bool:
        try:
            await memberships.check_room_limit("new", [USER], actor)
        except LimitExceeded:
            return False
        return True

    found = []
    for n in range(7):
        found.append([await takes(actor) for actor in ("stranger", "friend", USER, None)])
        await index.note(USER, f"r{n}", 1, 1, "in")
    assert found == [
        [True, True, True, True],
        [True, True, True, True],
        [False, True, True, True],
        [False, True, True, True],
        [False, False, True, True],
        [False, False, True, True],
        [False, False, False, False],
    ]
    await index.note(USER, "new", 1, 1, "in")
    assert await takes("stranger")


async def test_who_has_a_direct_room_with_the_user_costs_two_fields(redis: Redis) -> None:
    """However many rooms the user has; those of a group are found as well, and a left room is not
    shared."""
    index, others = UserRooms(redis), [f"peer-{n}" for n in range(50)]
    await rooms_of_me(index, others)
    await redis.config_resetstat()
    assert await index.shared("me", others) == dict.fromkeys(others, True)
    stats = await redis.info("commandstats")
    assert stats["cmdstat_hget"]["calls"] == 2 * len(others)
    assert not {"cmdstat_hmget", "cmdstat_hgetall"} & stats.keys()
    await others_are_told_apart(index)


async def rooms_of_me(index: UserRooms, others: list[str]) -> None:
    """Give me many rooms, one shared with `grouped`, and a direct room with each of the others."""
    rooms = [f"room-{n}" for n in range(250)]
    await index.note_all([("me", IndexedMembership(room, 1, 1, "in")) for room in rooms])
    for other in others:
        direct = IndexedMembership(keys.direct_room_id("me", other), 1, 1, "in")
        await index.note_all([("me", direct), (other, direct)])
    for user_id in ("left", "stranger", "grouped"):
        await index.rebuild(user_id, [])
    await index.rebuild("me", [])
    gone = keys.direct_room_id("me", "left")
    await index.note_all([("me", IndexedMembership(gone, 1, 2, "out")),
                          ("left", IndexedMembership(gone, 1, 1, "in")),
                          ("grouped", IndexedMembership(rooms[-1], 1, 1, "in"))])  # fmt: skip


async def others_are_told_apart(index: UserRooms) -> None:
    found = await index.shared("me", ["left", "stranger", "grouped", "unknown", "me"])
    assert found == {"left": False, "stranger": False, "grouped": True, "unknown": None, "me": True}
    assert await index.shared("no index", ["stranger", "left"]) == {"stranger": None, "left": None}


async def test_users_of_several_primaries_are_compared(shards: ShardedPipeline) -> None:
    """Where no script can name the indexes of two users, the answers are the same."""
    index, others = UserRooms(shards, shards), [f"peer-{n}" for n in range(150)]
    await rooms_of_me(index, others)
    assert await index.shared("me", others) == dict.fromkeys(others, True)
    await others_are_told_apart(index)
    assert await index.state("me", "room-0") == "in"
    assert await index.crowded("room-0", ["me", *others], 100) == {}
    assert await index.crowded("other", ["me", *others], 100) == {"me": 400}
