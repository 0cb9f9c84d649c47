"""The standings of a member who comes back: as join.lua has them, for two commands a room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.domain.position import Position
from rts_server.domain.standing import MemberInRoom
from rts_server.redis_client.connection import Command
from rts_server.redis_client.pipeline import replies_to
from rts_server.roomlog.member_events import member_removed, member_updated
from rts_server.roomlog.room_events import settings_changed
from rts_server.views import standings
from rts_server.views.snapshots import SnapshotReader
from rts_server.views.standings import MAX_EVENTS, MAX_GAP_EVENTS
from tests.helpers.bench import HOT, Bench, failed, message

ROOMS = 50
JOINED: Position = (1, 2)
"""The position of a new group."""


async def fail(bench: Bench, room_id: str, client_msg_id: str, seq: int) -> None:
    """Report a message of alice as failed: it counts as unread for nobody."""
    message_id = keys.message_id(room_id, "alice", client_msg_id)
    assert await bench.outcome(failed(room_id, message_id, seq)) == "ok"


async def lively(bench: Bench) -> str:
    """A room of which bob has read a part; he is an admin and has muted it."""
    room_id = await bench.group("alice", "bob")
    for n in range(3):
        await bench.append(message(room_id, "alice", f"m{n}"))
    await bench.append(message(room_id, "bob", "mine"))
    for n in range(3, 6):
        await bench.append(message(room_id, "alice", f"m{n}"))
    await fail(bench, room_id, "m0", 1)
    await fail(bench, room_id, "m4", 6)
    await bench.append(member_updated(room_id, "alice", "bob", "admin"))
    await bench.append(settings_changed(room_id, "bob", {"muted": True}))
    return room_id


async def standing_of(redis: Redis, user: str, room_id: str, cursor: Position) -> Any:
    """What is read of one room, None if it is left out."""
    return (await SnapshotReader(redis).members(user, {room_id: cursor})).get(room_id)


@pytest.mark.parametrize("user", ["alice", "bob"])
async def test_a_standing_is_that_of_the_snapshot(bench: Bench, user: str) -> None:
    """Position, cursors, unread messages, settings and role; only settings need the role."""
    room_id = await lively(bench)
    (snapshot,) = await SnapshotReader(bench.redis).read_many([(room_id, [user])])
    assert snapshot is not None
    view = snapshot.members[user]
    assert view is not None
    one = await standing_of(bench.redis, user, room_id, snapshot.position)
    standing = one.standing
    assert one.events == []
    assert (standing.position, standing.seq) == (snapshot.position, snapshot.seq)
    assert (standing.read_seq, standing.delivered_seq) == (view.read_seq, view.delivered_seq)
    assert standing.unread == view.unread == (2 if user == "bob" else 0)
    own = (standing.muted, standing.hidden, standing.has_settings)
    assert own == (view.muted, view.hidden, view.has_settings)
    assert standing.role == (view.role if view.has_settings else "member")


async def test_a_short_gap_is_read_with_the_standing(bench: Bench) -> None:
    """All events behind the cursor up to the standing; a longer gap is left to others."""
    room_id = await lively(bench)
    every = await bench.behind(room_id, 1, 0)
    epoch, offset = 1, every[2]
    for missed in range(MAX_GAP_EVENTS + 2):
        one = await standing_of(bench.redis, "bob", room_id, (epoch, offset - missed))
        expected = every[3:][len(every) - 3 - missed :] if missed <= MAX_GAP_EVENTS else None
        assert one.events == expected
    for cursor in ((1, offset + 1), (2, 1), (0, 0)):
        assert (await standing_of(bench.redis, "bob", room_id, cursor)).events is None


async def test_the_events_of_all_rooms_are_bounded(bench: Bench) -> None:
    """A storm of users who missed much does not read it all at once."""
    rooms = [await bench.group("alice", "bob", room=f"g{n}") for n in range(ROOMS)]
    for room_id in rooms:
        for n in range(3):
            await bench.append(message(room_id, "alice", f"m{n}"))
    head = (await bench.behind(rooms[0], 1, 0))[2]
    cursors = dict.fromkeys(rooms, (1, head - 3))
    found = await SnapshotReader(bench.redis).members("bob", cursors)
    assert len(found) == ROOMS
    read = [len(one.events) for one in found.values() if one.events is not None]
    assert set(read) == {3}
    assert MAX_EVENTS - 3 < sum(read) <= MAX_EVENTS


async def test_a_trimmed_gap_is_not_read(bench: Bench) -> None:
    """All missed events or none (D4)."""
    room_id = await lively(bench)
    head = (await bench.behind(room_id, 1, 0))[2]
    await bench.redis.xdel(keys.room(room_id).log, f"1-{head - 1}")
    assert (await standing_of(bench.redis, "bob", room_id, (1, head - 2))).events is None
    assert (await standing_of(bench.redis, "bob", room_id, (1, head - 1))).events is not None


@pytest.mark.parametrize("key", ["head", *HOT])
@pytest.mark.parametrize("harm", ["deleted", "of another type"])
async def test_a_standing_never_rests_on_a_harmed_key(bench: Bench, key: str, harm: str) -> None:
    """The room is left out, or what is replied is what was true before (T12)."""
    room_id = await lively(bench)
    head = (await bench.behind(room_id, 1, 0))[2]
    before = await standing_of(bench.redis, "bob", room_id, (1, head - 3))
    name = getattr(keys.room(room_id), key)
    await bench.redis.delete(name)
    if harm == "of another type":
        await bench.redis.set(name, "x")
    after = await standing_of(bench.redis, "bob", room_id, (1, head - 3))
    if key in ("seqs", "changed"):  # nothing of them is read
        assert after == before
    elif key == "log" and harm == "deleted":
        assert after == MemberInRoom(before.standing, None)
    else:
        assert after is None


async def test_heads_of_another_redis_are_left_out(bench: Bench) -> None:
    """Also those of a Redis that was promoted since (D6)."""
    room_id = await lively(bench)
    fence = (await bench.head(room_id))[b"fence"].decode()
    await bench.redis.hset(keys.room(room_id).head, "fence", fence[:41] + "0" * 40)
    assert await standing_of(bench.redis, "bob", room_id, JOINED) is None


async def test_who_is_no_member_is_left_out(bench: Bench) -> None:
    """A removed member and a stranger have no cursor (A1)."""
    room_id = await lively(bench)
    assert await standing_of(bench.redis, "bob", room_id, JOINED) is not None
    await bench.append(member_removed(room_id, "alice", ["bob"]))
    for user in ("bob", "stranger"):
        assert await standing_of(bench.redis, user, room_id, JOINED) is None


async def test_what_changes_between_the_reads_is_not_counted_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that fails meanwhile is in no standing: its event comes with the stream."""
    room_id = await lively(bench)
    trips = 0

    async def late(redis: Redis, commands: Sequence[Command]) -> list[Any]:
        nonlocal trips
        trips += 1
        if trips == 2:
            await fail(bench, room_id, "m3", 5)
        return await replies_to(redis, commands)

    monkeypatch.setattr(standings, "replies_to", late)
    assert await standing_of(bench.redis, "bob", room_id, JOINED) is None
    one = await standing_of(bench.redis, "bob", room_id, JOINED)
    assert (one.standing.unread, trips) == (1, 4)


async def test_a_room_at_its_head_costs_two_commands(bench: Bench) -> None:
    """Beside one that asks who this Redis is; unread and uncounted messages cost once."""
    rooms = [await bench.group("alice", "bob", room=f"g{n}") for n in range(ROOMS)]
    for room_id in rooms:
        for n in range(3):
            await bench.append(message(room_id, "alice", f"m{n}"))
        await fail(bench, room_id, "m1", 2)
    head = (await bench.behind(rooms[0], 1, 0))[2]
    reader = SnapshotReader(bench.redis)
    once = await reader.members("bob", dict.fromkeys(rooms, (1, head)))
    before: Any = await bench.redis.info("commandstats")
    found = await reader.members("bob", dict.fromkeys(rooms, (1, head)))
    after: Any = await bench.redis.info("commandstats")
    assert found == once
    assert [one.standing.unread for one in found.values()] == [2] * ROOMS
    calls = {n: one["calls"] - before.get(n, {"calls": 0})["calls"] for n, one in after.items()}
    assert sum(calls.values()) - 1 == 2 * ROOMS + 1  # one INFO is ours


async def test_messages_above_an_old_cursor_are_counted_by_redis(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the newest uncounted messages are kept; the count is the same."""
    monkeypatch.setattr(standings, "MAX_KEPT_SEQS", 2)
    room_id = await bench.group("alice", "bob")
    for n in range(6):
        await bench.append(message(room_id, "alice", f"m{n}"))
        if n % 2:
            await fail(bench, room_id, f"m{n}", n + 1)
    reader = SnapshotReader(bench.redis)
    for _ in range(2):
        found = await reader.members("bob", {room_id: JOINED})
        assert found[room_id].standing.unread == 3
