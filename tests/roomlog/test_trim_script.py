"""What leaves the hot log: what is old, too much or too large, once the archive has it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rts_server import keys
from rts_server.domain.position import Position
from rts_server.roomlog.first_result import read_first_result
from rts_server.roomlog.member_events import member_added
from rts_server.roomlog.message_events import message_edited
from rts_server.views.standings import StandingReader
from tests.helpers.bench import Bench, failed, message
from tests.roomlog.aged_log import logged


async def offsets(bench: Bench, room_id: str) -> list[int]:
    """The offsets in the hot log."""
    return [event["offset"] for event in await bench.events(room_id)]


async def filled(bench: Bench, messages: int) -> str:
    """A room of two events and then so many messages, m0 and so on."""
    room_id = await bench.group("alice")
    for n in range(messages):
        await bench.append(message(room_id, "alice", f"m{n}"))
    return room_id


async def due(bench: Bench, room_id: str) -> float | None:
    """Seconds until the room is looked at; None if it is not noted."""
    at = await bench.redis.zscore(keys.trims(keys.partition(room_id)), room_id)
    seconds, micros = await bench.redis.time()
    return None if at is None else at / 1000 - seconds - micros / 1e6


# What leaves the log


async def test_inside_the_floor_nothing_is_trimmed(bench: Bench) -> None:
    """However many events there are, those younger than the floor stay."""
    bench.settings = replace(bench.settings, hot_log_events=1, hot_log_floor=900.0)
    room_id = await filled(bench, 30)
    assert await bench.trim(room_id) == 0
    assert await offsets(bench, room_id) == list(range(1, 33))


async def test_beyond_the_floor_the_count_holds(bench: Bench) -> None:
    """The newest events stay, without a hole; seqs and changes are trimmed with their events."""
    bench.settings = replace(bench.settings, hot_log_events=5, hot_log_floor=0.0)
    room_id = await bench.group("alice")
    for n in range(20):
        sent = message(room_id, "alice", f"m{n}")
        await bench.append(sent)
        if n % 3 == 0:
            await bench.append(failed(room_id, sent.request_id, n + 1))
    await bench.trim(room_id)
    head = int((await bench.head(room_id))[b"offset"])
    assert await offsets(bench, room_id) == list(range(head - 4, head + 1))
    kept = await bench.events(room_id)
    room = keys.room(room_id)
    assert await bench.redis.zcard(room.seqs) == sum(e["type"] == "message.new" for e in kept)
    failures = {e["data"]["message_id"] for e in kept if e["type"] == "message.failed"}
    names: Any = await bench.redis.hkeys(room.changed)
    assert {name.decode() for name in names} == failures
    assert await bench.state(room_id) == "warm"


@pytest.mark.parametrize("members", [("alice",), ()])
async def test_beyond_the_age_no_event_stays(bench: Bench, members: tuple[str, ...]) -> None:
    """The room stays warm, also one without members, which has no hot key then."""
    bench.settings = replace(bench.settings, hot_log_floor=0.0, hot_log_age=0.0)
    room_id = await filled(bench, 3)
    await bench.redis.delete(keys.room(room_id).head)
    assert await bench.outcome(message(room_id, "alice", "n")) == "cold"
    assert await bench.install(room_id, members) == "ok"
    await bench.trim(room_id)
    assert await bench.redis.xlen(keys.room(room_id).log) == 0
    assert await bench.state(room_id) == "warm"
    answer = await bench.behind(room_id, 2, 1)
    assert answer == ["warm", 2, 1]
    if members:
        assert (await bench.behind(room_id, 2, 0))[0] == "gone"
        assert await bench.outcome(message(room_id, "alice", "o")) == "ok"
        assert [e["offset"] for e in await bench.events(room_id)] == [2]


async def test_a_log_above_its_bytes_is_trimmed_inside_the_floor(bench: Bench) -> None:
    """What its users write in minutes does not fill Redis; it is due at once."""
    bench.settings = replace(bench.settings, hot_log_bytes=20_000)
    room_id = await filled(bench, 200)
    assert (await due(bench, room_id) or 1) <= 0
    bench.settings = replace(bench.settings, hot_log_floor=0.0, hot_log_events=10_000)
    trimmed = await bench.trim(room_id)
    assert 100 < trimmed < 200
    size: Any = await bench.redis.memory_usage(keys.room(room_id).log)
    assert size < 30_000
    assert await offsets(bench, room_id) == list(range(trimmed + 1, 203))


# What the archive does not have stays


@pytest.mark.parametrize(
    ("stored", "trimmed"), [((0, 0), 2), ((1, 12), 2), ((1, 20), 10), ((1, 22), 12), ((2, 1), 22)]
)
async def test_what_may_not_be_stored_stays(bench: Bench, stored: Position, trimmed: int) -> None:
    """The last ten records of the archive may be in a batch that is still written (D2)."""
    bench.settings = replace(bench.settings, hot_log_events=0, hot_log_floor=0.0)
    room_id = await filled(bench, 20)
    assert await bench.trim(room_id, stored) == trimmed
    assert await offsets(bench, room_id) == list(range(trimmed + 1, 23))


async def test_a_change_that_is_not_stored_stays(bench: Bench) -> None:
    """It is a record about a message; events about members do not wait for it."""
    bench.settings = replace(bench.settings, hot_log_events=0, hot_log_floor=0.0, hot_log_age=0.0)
    room_id = await filled(bench, 1)
    await bench.append(member_added(room_id, "alice", ["bob"], "member"))
    await bench.append(failed(room_id, message(room_id, "alice", "m0").request_id, 1))
    assert await bench.trim(room_id, (1, 3)) == 4
    assert await offsets(bench, room_id) == [5, 6]
    assert await bench.trim(room_id, (1, 5)) == 1
    assert await bench.redis.hlen(keys.room(room_id).changed) == 1
    assert await bench.trim(room_id, (1, 6)) == 1
    assert await bench.redis.hlen(keys.room(room_id).changed) == 0


async def test_the_later_of_two_changes_stays(bench: Bench) -> None:
    """The archive has the first: the message is read as the second made it (D9)."""
    bench.settings = replace(bench.settings, hot_log_events=0, hot_log_floor=0.0, hot_log_age=0.0)
    room_id = await filled(bench, 1)
    for version in (1, 2):
        before = (await bench.events(room_id))[-1]["data"]["message"]
        edit = message_edited(before, 1, "alice", {"text": f"version {version}"})
        assert await bench.outcome(edit) == "ok"
    assert await bench.trim(room_id, (1, 4)) == 4
    kept: Any = await bench.redis.hget(keys.room(room_id).changed, before["message_id"])
    assert kept.startswith(b"5 3 ")


# Idempotency keys


async def test_the_result_of_a_request_goes_with_its_event(bench: Bench) -> None:
    """Of a message by its id, of another request by the id beside the event; none stays behind."""
    bench.settings = replace(bench.settings, hot_log_events=2, hot_log_floor=0.0)
    room_id = await filled(bench, 3)
    await bench.append(member_added(room_id, "alice", ["bob"], "member"))
    await bench.append(failed(room_id, message(room_id, "alice", "m1").request_id, 2))
    await bench.append(member_added(room_id, "alice", ["carol"], "member"))
    await bench.append(member_added(room_id, "alice", ["dave"], "member"))
    room = keys.room(room_id)
    assert len(await bench.redis.keys(room.idem("*"))) == 8
    until = int((await bench.head(room_id))[b"ids_until"])
    assert until > 0
    await bench.trim(room_id)
    left: Any
    (left,) = await bench.redis.keys(room.idem("*"))
    request_id = left.decode().removeprefix(room.idem(""))
    first = await read_first_result(bench.redis, room_id, request_id)
    assert first is not None
    assert first.offset == 12
    asked = replace(message(room_id, "alice", "m0"), check_archive=True)
    assert (await bench.append(asked, asked=False))[:4:3] == ["ask", b"known"]
    new = replace(message(room_id, "alice", "new"), check_archive=True)
    assert await bench.outcome(new, asked=False) == "ok"


# Uncounted messages


async def with_uncounted(bench: Bench, count: int) -> str:
    """A room of alice and bob in which as many messages as these do not count, and no other."""
    room_id = await bench.group("alice", "bob")
    assert await bench.outcome(message(room_id, "alice")) == "ok"
    room = keys.room(room_id)
    await bench.redis.delete(room.cursors)
    assert await bench.outcome(message(room_id, "alice", "n")) == "cold"
    seqs = list(range(1, count + 1))
    assert await bench.install(room_id, ["alice", "bob"], seq=count, uncounted=seqs) == "ok"
    return room_id


async def unread(bench: Bench, reader: StandingReader, room_id: str, user_id: str) -> int:
    """The unread messages of a member."""
    (member,) = (await reader.read(user_id, {room_id: None})).values()
    return member.standing.unread


async def test_uncounted_messages_that_all_have_read_are_forgotten(bench: Bench) -> None:
    """The counts of all members stay what they are, also that of who has read less."""
    room_id = await with_uncounted(bench, 1_200)
    room, reader = keys.room(room_id), StandingReader(bench.redis)
    await bench.redis.hset(room.cursors, "r:bob", 300)
    assert await unread(bench, reader, room_id, "bob") == 0
    await bench.trim(room_id)
    assert await bench.redis.zcard(room.uncounted) == 900
    assert await bench.state(room_id) == "warm"
    assert await unread(bench, reader, room_id, "bob") == 0
    await bench.append(message(room_id, "alice", "o"))
    assert await unread(bench, reader, room_id, "bob") == 1
    await bench.trim(room_id)
    assert await bench.redis.zcard(room.uncounted) == 900


async def test_uncounted_messages_are_bounded(bench: Bench) -> None:
    """Of who reads nothing the oldest deleted messages count as unread."""
    room_id = await with_uncounted(bench, 10_100)
    room, reader = keys.room(room_id), StandingReader(bench.redis)
    await bench.redis.hset(room.cursors, "r:bob", 0)
    await bench.trim(room_id)
    assert await bench.redis.zcard(room.uncounted) == 10_000
    assert await unread(bench, reader, room_id, "bob") == 100
    assert await unread(bench, reader, room_id, "alice") == 0


async def test_forgotten_messages_void_what_an_instance_keeps(bench: Bench) -> None:
    """A set of the same size is another one then."""
    room_id = await with_uncounted(bench, 1_001)
    room, reader = keys.room(room_id), StandingReader(bench.redis)
    await bench.redis.hset(room.cursors, mapping={"r:bob": 990, "r:alice": 1_001})
    assert await unread(bench, reader, room_id, "bob") == 0
    await bench.trim(room_id)
    assert await bench.redis.zcard(room.uncounted) == 11
    for n in range(990):
        await bench.append(message(room_id, "alice", f"o{n}"))
        await bench.append(failed(room_id, message(room_id, "alice", f"o{n}").request_id, 1002 + n))
    assert await bench.redis.zcard(room.uncounted) == 1_001
    assert await unread(bench, reader, room_id, "bob") == 0


# When


async def test_a_room_is_noted_once_and_forgotten_when_its_log_is_empty(bench: Bench) -> None:
    """An append notes it with the touch of its keys, a minute apart, and not for each event."""
    room_id = await filled(bench, 1)
    assert await due(bench, room_id) is None
    room = keys.room(room_id)
    await bench.redis.hincrby(room.head, "touched", -61_000)
    await bench.append(message(room_id, "alice", "n"))
    first = await due(bench, room_id)
    assert first is not None
    assert 2600 < first <= 2700
    await bench.redis.hincrby(room.head, "touched", -61_000)
    await bench.append(message(room_id, "alice", "o"))
    assert (await due(bench, room_id) or 0) <= first
    assert await bench.trim(room_id) == 0
    assert 2600 < (await due(bench, room_id) or 0) <= 2700
    bench.settings = replace(bench.settings, hot_log_floor=0.0, hot_log_age=0.0)
    assert await bench.trim(room_id) == 5
    assert await due(bench, room_id) is None


async def test_a_log_that_grows_is_looked_at_after_the_floor(bench: Bench) -> None:
    """And then once a minute, however fast it grows."""
    bench.settings = replace(bench.settings, hot_log_events=10)
    room_id = await filled(bench, 100)
    assert 850 < (await due(bench, room_id) or 0) <= 900
    bench.settings = replace(bench.settings, hot_log_floor=15.0, hot_log_age=15.0)
    await bench.trim(room_id)
    assert 1 < (await due(bench, room_id) or 0) <= 15


async def test_a_room_in_use_is_looked_at_once_a_minute(bench: Bench) -> None:
    """However soon its next event is old enough, 30 s here."""
    room_id = await bench.group("alice")
    await logged(bench, room_id, 60, age=870.0)
    assert await bench.trim(room_id) == 0
    assert 55 < (await due(bench, room_id) or 0) <= 60


async def test_a_room_that_is_not_warm_is_left_alone(bench: Bench) -> None:
    """Its load makes the log anew."""
    bench.settings = replace(bench.settings, hot_log_floor=0.0, hot_log_age=0.0)
    room_id = await filled(bench, 3)
    await bench.redis.zadd(keys.trims(keys.partition(room_id)), {room_id: 1})
    await bench.redis.delete(keys.room(room_id).cursors)
    assert await bench.trim(room_id) == 0
    assert await due(bench, room_id) is None
    assert await bench.redis.xlen(keys.room(room_id).log) == 5
