"""The loop of a relay that trims hot logs, with the archive."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count

import pytest
from redis.asyncio import Redis

from rts_server import errors, keys
from rts_server.config import Settings
from rts_server.roomlog.trims import MAX_TRIMMED_EVENTS, HotLogTrims
from rts_server.views.history import SeqRange
from tests.helpers.bench import Bench
from tests.helpers.deployed import Deployed
from tests.roomlog.aged_log import logged


@pytest.fixture
async def short(redis: Redis, valkey_url: str, tables: None) -> AsyncIterator[Deployed]:
    """A process whose hot logs are trimmed as soon as the archive has their events."""
    settings = Settings(redis_url=valkey_url, hot_log_floor=0.0, hot_log_age=0.0)
    async with Deployed(settings, redis) as made:
        yield made


ALL = range(keys.PARTITIONS)


def trims_of(deployed: Deployed) -> HotLogTrims:
    """The loop of a relay that holds all partitions."""
    services = deployed.services
    return HotLogTrims(deployed.settings, services.pipe, services.archive, lambda: ALL)


async def make_due(deployed: Deployed, room_id: str) -> None:
    """Let the room be looked at now."""
    await deployed.redis.zadd(keys.trims(keys.partition(room_id)), {room_id: 1})


async def history(deployed: Deployed, room_id: str) -> list[str]:
    """The texts of all messages of a room, as a member lists them."""
    page, _ = await deployed.services.history.page(
        room_id, "alice", SeqRange(0, None, 100, "oldest")
    )
    return [one["text"] for one in page]


async def test_an_outage_of_the_queue_leaves_no_hole(short: Deployed) -> None:
    """What is not stored stays, however old: history, edits and retries see it (D2, D7, D9)."""
    room_id = await short.group("alice", "bob")
    trims, wanted = trims_of(short), [f"t{n}" for n in range(30)]
    for n in range(10):
        await short.send(room_id, "alice", f"m{n}", wanted[n])
    await short.store()
    sent = {}
    for n in range(10, 30):  # the queue takes them, but the functions are away
        sent[n] = (await short.send(room_id, "alice", f"m{n}", wanted[n])).ack_position()
    waiting = await short.outbox()
    for stream, entry, _ in waiting:
        await short.redis.xdel(stream, entry)
    for _ in range(2):
        await make_due(short, room_id)
        await trims.trim(ALL)
        assert await short.redis.xlen(keys.room(room_id).log) == 20
        assert await history(short, room_id) == wanted
    again = await short.send(room_id, "alice", "m15", wanted[15])
    assert again.ack_position() == sent[15] | {"duplicate": True}
    fifteenth = keys.message_id(room_id, "alice", "m15")
    await short.services.messages.edit(room_id, "alice", fifteenth, {"text": "edited"})
    wanted[15] = "edited"
    assert await history(short, room_id) == wanted
    short.deliver(fields for _, _, fields in waiting)
    await short.store()
    await make_due(short, room_id)
    await trims.trim(ALL)
    assert await short.redis.xlen(keys.room(room_id).log) == 0
    assert await history(short, room_id) == wanted
    again = await short.send(room_id, "alice", "m20", wanted[20])
    assert again.ack_position() == sent[20] | {"duplicate": True}


async def test_nothing_is_trimmed_while_the_archive_cannot_be_read(
    short: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room stays due."""
    room_id = await short.group("alice")
    await short.send(room_id, "alice", "m")
    await short.store()
    await make_due(short, room_id)

    async def away(*_: object) -> None:
        raise errors.Unavailable()

    with monkeypatch.context() as patched:
        patched.setattr(short.services.archive, "message_heads", away)
        with pytest.raises(errors.Unavailable):
            await trims_of(short).trim(ALL)
    assert await short.redis.xlen(keys.room(room_id).log) == 3
    assert await trims_of(short).trim(ALL) == 3


async def test_a_long_log_is_trimmed_in_one_pass(short: Deployed) -> None:
    """A script holds Redis up for a bounded number of events, and is called until all are gone."""
    room_id = await short.group("alice")
    room = keys.room(room_id)
    await logged(Bench(short.redis), room_id, 3 * MAX_TRIMMED_EVENTS, age=1.0)
    await make_due(short, room_id)
    assert await trims_of(short).trim(ALL) == 3 * MAX_TRIMMED_EVENTS
    assert await short.redis.xlen(room.log) == 0


async def test_all_rooms_of_a_partition_that_are_due_are_trimmed(
    short: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many they are; those that stay due are looked at once in a pass."""
    monkeypatch.setattr("rts_server.roomlog.trims.MAX_ROOMS", 1)
    groups: dict[int, list[str]] = {}
    for n in count():
        one = groups.setdefault(keys.partition(keys.client_room_id("alice", f"k{n}")), [])
        one.append(f"k{n}")
        if len(one) == 3:
            break
    room_ids = [await short.group("alice", key=key) for key in one]
    for room_id in room_ids:
        await make_due(short, room_id)
    await trims_of(short).trim([keys.partition(room_ids[0])])
    for room_id in room_ids:
        assert await short.redis.xlen(keys.room(room_id).log) == 0


async def test_a_pass_without_due_rooms_asks_redis_only(
    short: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command a partition, however many rooms are noted, and nothing of the archive."""
    await short.redis.zadd(keys.trims(3), {f"r{n}": 2**52 for n in range(2_000)})
    monkeypatch.setattr(short.services.archive, "message_heads", None)
    await short.redis.config_resetstat()
    assert await trims_of(short).trim(ALL) == 0
    stats = await short.redis.info("commandstats")
    assert stats["cmdstat_zrangebyscore"]["calls"] == keys.PARTITIONS
    assert "cmdstat_evalsha" not in stats


async def test_each_partition_has_its_turn_once_in_a_round(short: Deployed) -> None:
    """A look costs a part of the partitions, also when some were lost or gained meanwhile."""
    held = set(range(100))
    trims = HotLogTrims(short.settings, short.services.pipe, short.services.archive, lambda: held)
    looks = [trims._next_partitions() for _ in range(25)]
    assert sorted(one for some in looks for one in some) == sorted(held)
    assert max(map(len, looks)) == 4
    held -= {3}
    held |= {200}
    looks = [trims._next_partitions() for _ in range(25)]
    assert sorted(one for some in looks for one in some) == sorted(held)
