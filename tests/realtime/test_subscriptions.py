"""Subscriptions on a real Valkey: joins without a gap, lingering, and words about users."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.config import Settings
from rts_server.domain.size_limits import SizeLimits
from rts_server.realtime.sequence import position_of
from rts_server.roomlog.member_events import member_removed, member_updated
from rts_server.roomlog.room_events import settings_changed
from rts_server.runtime.lazy_event import LazyEvent
from tests.helpers.bench import Bench, message
from tests.realtime.instance import LINGER, Instance, seqs


async def subscribed(redis: Redis, room_id: str) -> bool:
    """Return whether any instance is subscribed to the channel of a room."""
    return bool(await redis.pubsub_channels(keys.room_channel(room_id)))


async def write(bench: Bench, room_id: str, count: int) -> None:
    """Append messages one after the other."""
    for n in range(count):
        await bench.append(message(room_id, "alice", f"m{n}"))


async def test_events_between_join_and_go_live_are_buffered(
    instance: Instance, bench: Bench
) -> None:
    """Events before `go_live` are buffered and come once, in order."""
    room_id = await bench.group("alice")
    alice, events = instance.socket("alice")
    await bench.append(message(room_id, "alice", "before"))
    replay = (await instance.subscriptions.join(alice, [room_id], {}))[room_id]
    assert (replay.start, replay.recovered, replay.events) == ((1, 3), None, [])
    other, others = instance.socket("alice")
    instance.subscriptions.go_live(other, room_id, (1, 3))
    joined = (await instance.subscriptions.join(other, [room_id], {}))[room_id]
    assert joined.start is not None
    instance.subscriptions.go_live(other, room_id, joined.start)
    for n in range(5):
        await bench.append(message(room_id, "alice", f"m{n}"))
    await instance.until(lambda: len(others) == 5)
    assert events == []
    assert replay.start is not None
    instance.subscriptions.go_live(alice, room_id, replay.start)
    assert seqs(events) == seqs(others) == [2, 3, 4, 5, 6]


async def test_joining_under_load_gets_every_event_behind_the_start(
    instance: Instance, bench: Bench
) -> None:
    """A listener gets every event behind its start, whenever it joins."""
    room_id = await bench.group("alice")

    loading = asyncio.create_task(write(bench, room_id, 150))
    joined = []
    while not loading.done():
        listener, events = instance.socket("alice")
        replay = (await instance.subscriptions.join(listener, [room_id], {}))[room_id]
        assert replay.start is not None
        instance.subscriptions.go_live(listener, room_id, replay.start)
        joined.append((replay.start, events))
    await loading
    await instance.until(
        lambda: all(s == (1, 152) or (e and e[-1]["offset"] == 152) for s, e in joined)
    )
    for start, events in joined:
        assert [e["offset"] for e in events] == list(range(start[1] + 1, 153))
    assert len(joined) > 3


async def test_a_replay_ends_where_the_stream_begins_and_where_the_room_was_read(
    instance: Instance, bench: Bench
) -> None:
    """Replay, snapshot and stream agree, whatever is appended meanwhile."""
    room_id = await bench.group("alice")

    loading = asyncio.create_task(write(bench, room_id, 150))
    cursor, found, joins = (1, 2), list[int](), 0
    since = instance.reads.events_since

    async def late(*asked: Any) -> Any:
        """Append between the two reads."""
        await bench.append(message(room_id, "alice", f"late{len(found)}"))
        return await since(*asked)

    instance.reads.events_since = late  # type: ignore[method-assign,assignment]
    while not loading.done():
        listener, _ = instance.socket("alice")
        replay = (await instance.subscriptions.join(listener, [room_id], {room_id: cursor}))[
            room_id
        ]
        assert replay.start is not None
        assert replay.recovered
        assert replay.standing is not None
        assert replay.standing.position == replay.start
        offsets = [position_of(event)[1] for event in replay.events]
        assert offsets == list(range(cursor[1] + 1, replay.start[1] + 1))
        cursor, joins = replay.start, joins + 1
        found += offsets
    await loading
    assert found == list(range(3, cursor[1] + 1))
    assert joins > 1


@pytest.mark.parametrize(
    ("cursor", "recovered", "count"),
    [((1, 32), True, 0), ((1, 12), True, 20), ((1, 11), False, 0), ((1, 33), False, 0),
     ((2, 1), False, 0), ((0, 0), False, 0)],
)  # fmt: skip
async def test_missed_events_are_replayed_whole_or_not_at_all(
    instance: Instance, bench: Bench, cursor: tuple[int, int], recovered: bool, count: int
) -> None:
    """More than 20 events here, or a cursor of another log, are not recovered."""
    room_id = await bench.group("alice")
    for n in range(30):
        await bench.append(message(room_id, "alice", f"m{n}"))
    alice, _ = instance.socket("alice")
    replay = (await instance.subscriptions.join(alice, [room_id], {room_id: cursor}))[room_id]
    assert (replay.start, replay.recovered, len(replay.events)) == ((1, 32), recovered, count)


async def test_replays_share_one_budget_of_bytes(
    redis: Redis, valkey_url: str, bench: Bench
) -> None:
    """Rooms beyond the budget are not recovered; those before are, completely."""
    rooms = [await bench.group("alice", room=f"g{n}") for n in range(30)]
    for room_id in rooms:
        await bench.append(message(room_id, "alice", "m", text="x" * 1_000))
    limits = SizeLimits(answer_bytes=20_000)
    instance = Instance(Settings(redis_url=valkey_url, limits=limits), redis)
    instance.subscriptions.start()
    alice, _ = instance.socket("alice")
    replays = await instance.subscriptions.join(alice, rooms, dict.fromkeys(rooms, (1, 2)))
    told = [replays[room_id] for room_id in rooms]
    assert sum(len(event) for replay in told for event in replay.events) <= 20_000
    recovered = [bool(replay.recovered) for replay in told]
    assert recovered == sorted(recovered, reverse=True)
    assert 10 <= sum(recovered) < 20
    assert all(r.start == (1, 3) for r in told)
    await instance.subscriptions.close()


async def test_a_user_who_is_no_member_is_not_subscribed(instance: Instance, bench: Bench) -> None:
    """A stranger is not subscribed; a cold room has no position yet."""
    room_id = await bench.group("alice")
    eve, events = instance.socket("eve")
    replays = await instance.subscriptions.join(eve, [room_id, "cold"], {"cold": (1, 5)})
    assert replays[room_id].start is None
    assert (replays["cold"].start, replays["cold"].recovered) == ((0, 0), None)
    assert set(eve.rooms) == {"cold"}
    await bench.append(message(room_id, "alice"))
    assert events == []


async def test_the_channel_is_kept_a_while_after_the_last_socket(
    instance: Instance, bench: Bench
) -> None:
    """A rejoin within the time needs no subscription; afterwards all channels are left."""
    room_id = await bench.group("alice")
    alice, _ = instance.socket("alice")
    await instance.subscriptions.add_listener(alice)
    await instance.subscriptions.join(alice, [room_id], {})
    instance.subscriptions.remove_listener(alice)
    assert await subscribed(bench.redis, room_id)
    again, events = instance.socket("alice")
    replay = (await instance.subscriptions.join(again, [room_id], {}))[room_id]
    assert replay.start is not None
    instance.subscriptions.go_live(again, room_id, replay.start)
    await asyncio.sleep(2 * LINGER)  # the time itself is what is tested
    await bench.append(message(room_id, "alice"))
    await instance.until(lambda: seqs(events) == [1])
    instance.subscriptions.remove_listener(again)
    while await subscribed(bench.redis, room_id):
        continue
    assert await bench.redis.pubsub_channels(keys.user_channel("alice")) == []
    assert instance.subscriptions.listeners_of("alice") == []


async def test_events_for_a_user_reach_all_their_sessions(instance: Instance, bench: Bench) -> None:
    """Events and room changes of a user reach all their listeners and no others."""
    (one, first), (two, second), (bob, third) = (instance.socket(u) for u in ("a", "a", "b"))
    for listener in (one, two, bob):
        await instance.subscriptions.add_listener(listener)
    told = {"kind": "event", "namespace": "/chat", "type": "message.status", "text": '{"x":1}'}
    await bench.redis.publish(keys.user_channel("a"), orjson.dumps(told))
    await instance.until(lambda: first == second == [{"x": 1}])
    change = {"kind": "room", "room_id": "r", "epoch": 1, "offset": 2, "state": "in", "version": 1}
    await bench.redis.publish(keys.user_channel("a"), orjson.dumps(change))
    await instance.until(lambda: len(instance.changes) == 2)
    assert instance.changes == [("added", "a", "r")] * 2
    assert third == []


async def test_rooms_are_compared_after_a_rebuild_that_no_session_read(
    instance: Instance, redis: Redis
) -> None:
    """Another instance rebuilt the index, and may have found rooms (D5)."""
    compared: list[str] = []

    async def compare(user_id: str) -> None:
        compared.append(user_id)
        instance.notify()

    instance.compare = compare
    for user_id, version in (("knows", 7), ("knows not", 6)):
        await redis.hset(keys.user_rooms(user_id), "#ver", str(version))
        listener, _ = instance.socket(user_id)
        await instance.subscriptions.add_listener(listener)
        instance.subscriptions.lost_memberships.began(user_id, f"{version} complete")
        await redis.publish(keys.user_channel(user_id), '{"kind":"rooms","version":7}')
    await instance.until(lambda: compared)
    assert set(compared) == {"knows not"}


async def test_events_for_a_user_wait_for_session_ready(instance: Instance, redis: Redis) -> None:
    """A session that is opening gets them in order, behind `session.ready` (D4)."""
    opening, received = instance.socket("a")
    opening.ready = LazyEvent()
    ready, others = instance.socket("a")
    for listener in (opening, ready):
        await instance.subscriptions.add_listener(listener)
    expected = [{"x": number} for number in range(3)]
    for text in map(json.dumps, expected):
        event = {"kind": "event", "namespace": "/chat", "type": "room.state", "text": text}
        await redis.publish(keys.user_channel("a"), orjson.dumps(event))
    await instance.until(lambda: others == expected)
    assert received == []
    opening.mark_ready()
    assert received == expected


async def test_an_instance_receives_its_notices(instance: Instance, redis: Redis) -> None:
    """Notices of the relay arrive; the canary is no notice."""
    alice, events = instance.socket("alice")
    await instance.subscriptions.add_listener(alice)
    channel = keys.instance_channel("me")
    while not await redis.pubsub_channels(channel):
        continue
    await redis.publish(channel, "canary 1.5")
    await redis.publish(channel, "notice")
    await redis.publish(keys.user_channel("alice"), orjson.dumps(
        {"kind": "event", "namespace": "/chat", "type": "x", "text": "{}"}
    ))  # fmt: skip
    await instance.until(lambda: events == [{}])
    assert instance.notices == [b"notice"]
    assert instance.subscriptions.not_ready() == []


async def test_a_removal_in_the_log_is_announced_without_the_users_message(
    instance: Instance, bench: Bench
) -> None:
    """A removal in the room's log suffices if the user's message is lost."""
    room_id = await bench.group("alice", "bob")
    bob, events = instance.socket("bob")
    replay = (await instance.subscriptions.join(bob, [room_id], {}))[room_id]
    assert replay.start is not None
    instance.subscriptions.go_live(bob, room_id, replay.start)
    await bench.append(member_removed(room_id, "alice", ["bob"]))
    await bench.append(message(room_id, "alice"))
    await instance.until(lambda: bool(instance.changes))
    assert instance.changes == [("removed", "bob", room_id)]
    assert [e["type"] for e in events] == ["member.removed"]
    assert instance.left == [{"bob"}]  # watches are checked from here on (A2)


async def test_settings_reach_the_devices_of_their_user(instance: Instance, bench: Bench) -> None:
    """And no others; one whose session opens gets them behind `session.ready` (D4)."""
    room_id = await bench.group("alice", "bob")
    opening, later = instance.socket("bob")
    opening.ready = LazyEvent()
    (alice, others), (bob, events) = instance.socket("alice"), instance.socket("bob")
    for listener in (opening, alice, bob):
        await instance.subscriptions.add_listener(listener)
        replay = (await instance.subscriptions.join(listener, [room_id], {}))[room_id]
        assert replay.start is not None
        if listener is not opening:
            instance.subscriptions.go_live(listener, room_id, replay.start)
    bob.rooms[room_id].in_totals = True
    await bench.append(settings_changed(room_id, "bob", {"muted": True}))
    await instance.until(lambda: bool(events))
    assert [(e["type"], e["data"]["muted"]) for e in events] == [("room.state", True)]
    assert not bob.rooms[room_id].in_totals
    assert (others, later) == ([], [])
    opening.mark_ready()
    assert later == events


async def test_a_room_comes_back_before_the_message_that_brings_it(
    instance: Instance, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the room's events, so that no gap is seen and nothing is read."""
    room_id = await bench.group("alice", "bob")
    bob, events = instance.socket("bob")
    await instance.subscriptions.add_listener(bob)
    replay = (await instance.subscriptions.join(bob, [room_id], {}))[room_id]
    assert replay.start is not None
    instance.subscriptions.go_live(bob, room_id, replay.start)
    monkeypatch.delattr(type(instance.reads), "events_since")
    await bench.append(settings_changed(room_id, "bob", {"hidden": True}))
    await bench.append(message(room_id, "alice"))
    await bench.append(member_updated(room_id, "alice", "bob", "admin"))
    await instance.until(lambda: "member.updated" in [e["type"] for e in events])
    told = [(e["type"], e["data"].get("hidden"), e["data"].get("role")) for e in events]
    assert told[0] == ("room.state", True, "member")
    assert told[1:3] == [("room.state", False, "member"), ("message.new", None, None)]
    assert told[3] == ("room.state", False, "admin")


async def test_a_session_that_is_opening_does_not_delay_the_check_of_others(
    instance: Instance, redis: Redis
) -> None:
    """A user whose session is opening is compared once it is ready."""
    late, _ = instance.socket("aaron")
    late.ready = LazyEvent()
    alice, _ = instance.socket("alice")
    compared: list[str] = []

    async def changed(user_id: str) -> None:
        compared.append(user_id)
        await late.ready.wait() if user_id == "aaron" else None
        await instance._added(alice, "any")

    instance.compare = changed
    for listener in (late, alice):
        await instance.subscriptions.add_listener(listener)
        instance.subscriptions.lost_memberships.began(listener.user_id, "0 complete")
        await redis.publish(keys.user_channel(listener.user_id), '{"kind":"rooms","version":7}')
    await instance.until(lambda: "alice" in compared)
    assert "aaron" not in compared
    late.ready.trigger()
    await instance.until(lambda: "aaron" in compared)
