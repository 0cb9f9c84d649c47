"""A message is sent once, however long ago; Redis alone knows that an id is new (D7)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from rts_server import errors, keys
from rts_server.config import Settings, ms
from rts_server.roomlog.script import FENCE, LUA, room_script
from tests.helpers import previous_release
from tests.helpers.bench import Bench, append, message
from tests.helpers.client_ids import uuid7
from tests.helpers.deployed import Deployed
from tests.helpers.waiting import PATIENCE

WINDOW = 0.3


@pytest.fixture
async def short(redis: Redis, valkey_url: str, tables: None) -> AsyncIterator[Deployed]:
    """A process whose idempotency keys expire soon."""
    settings = replace(Settings(redis_url=valkey_url), idempotency_ttl=WINDOW)
    async with Deployed(settings, redis) as made:
        yield made


async def forgotten(deployed: Deployed, room_id: str) -> None:
    """Trim all events of a room, and with them the idempotency keys of its messages."""
    settings = replace(deployed.settings, hot_log_floor=0.0, hot_log_age=0.0)
    await Bench(deployed.redis, settings).trim(room_id)
    assert not await deployed.redis.xlen(keys.room(room_id).log)


async def complete(deployed: Deployed, room_id: str) -> None:
    """Wait until Redis knows the message ids of a room from before its load."""
    async with asyncio.timeout(PATIENCE):
        while not await deployed.redis.getbit(f"{keys.room(room_id).prefix}ids:before", 0):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@contextmanager
def no_archive(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make every lookup of a message in the archive unavailable."""

    async def away(*_: object) -> None:
        raise errors.Unavailable()

    with monkeypatch.context() as patched:
        patched.setattr(deployed.services.archive, "message", away)
        yield


async def test_a_send_repeated_after_the_window_is_the_first_result(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room stayed hot; another body under the same id is a conflict."""
    room_id = await deployed.group("alice", "bob")
    first = await deployed.send(room_id, "alice", "m")
    await deployed.store()
    await forgotten(deployed, room_id)
    head = await deployed.redis.hgetall(keys.room(room_id).head)
    again = await deployed.send(room_id, "alice", "m")
    assert again.ack_position() == first.ack_position() | {"duplicate": True}
    assert await deployed.redis.hgetall(keys.room(room_id).head) == head
    assert await again.durability == "queued"
    assert not await deployed.outbox()
    with pytest.raises(errors.Conflict):
        await deployed.send(room_id, "alice", "m", "another body")
    with no_archive(deployed, monkeypatch):
        new = await deployed.send(room_id, "alice", "new")
        assert new.ack_position()["seq"] == 2
        with pytest.raises(errors.Unavailable):
            await deployed.send(room_id, "alice", "m")
    await deployed.store()


async def test_an_old_id_is_looked_up_although_the_filters_forgot_it(deployed: Deployed) -> None:
    """A UUID version 7 says that its first try is further back than the filters remember."""
    room_id = await deployed.group("alice", "bob")
    old = uuid7(time.time() - deployed.settings.idempotency_ttl)
    first = await deployed.send(room_id, "alice", old)
    await deployed.store()
    await forgotten(deployed, room_id)
    bench = Bench(deployed.redis, deployed.settings)
    for n in range(2):
        await age(bench, room_id, deployed.settings.idempotency_ttl + 1)
        await deployed.send(room_id, "alice", f"begins a filter {n}")
    await deployed.store()
    assert await seen(bench, room_id, old) == "new"
    again = await deployed.send(room_id, "alice", old)
    assert again.ack_position() == first.ack_position() | {"duplicate": True}
    with pytest.raises(errors.Conflict):
        await deployed.send(room_id, "alice", old, "another body")
    assert not await deployed.outbox()


async def test_an_id_of_the_last_hours_asks_no_archive(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client whose clock is wrong by less than half the window costs no read of the archive."""
    room_id = await deployed.group("alice", "bob")
    window = deployed.settings.idempotency_ttl
    with no_archive(deployed, monkeypatch):
        for age in (-window, 0.0, window * 0.49):
            sent = await deployed.send(room_id, "alice", uuid7(time.time() - age))
            assert "duplicate" not in sent.ack_position()
        with pytest.raises(errors.Unavailable):
            await deployed.send(room_id, "alice", uuid7(time.time() - window * 0.51))
    await deployed.store()


async def test_a_message_queued_for_longer_than_the_window_is_not_sent_twice(
    short: Deployed,
) -> None:
    """A repetition is unavailable until the archive has the message, then the first result."""
    room_id = await short.group("alice", "bob")
    first = await short.send(room_id, "alice", "m")
    idem = keys.room(room_id).idem(keys.message_id(room_id, "alice", "m"))
    async with asyncio.timeout(PATIENCE):
        while await short.redis.exists(idem):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    head = await short.redis.hgetall(keys.room(room_id).head)
    with pytest.raises(errors.Unavailable):
        await short.send(room_id, "alice", "m")
    assert await short.redis.hgetall(keys.room(room_id).head) == head
    async with short.relaying():
        again = await short.send(room_id, "alice", "m")
    assert again.ack_position() == first.ack_position() | {"duplicate": True}


async def test_a_loaded_room_reads_its_ids_and_then_asks_the_archive_no_more(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until all are read each new id is looked up; then only ids the filter may know."""
    room_id = await deployed.group("alice", "bob")
    sent = [await deployed.send(room_id, "alice", f"m{n}") for n in range(30)]
    await deployed.store()
    await deployed.redis.flushall()
    async with deployed.relaying():
        await deployed.send(room_id, "alice", "first of the new epoch")
        await complete(deployed, room_id)
    await forgotten(deployed, room_id)
    with no_archive(deployed, monkeypatch):
        assert (await deployed.send(room_id, "alice", "new")).ack_position()["epoch"] == 2
    await deployed.store()
    for n, one in enumerate(sent):
        again = (await deployed.send(room_id, "alice", f"m{n}")).ack_position()
        assert again == one.ack_position() | {"duplicate": True}
    assert (await deployed.send(room_id, "alice", "first of the new epoch")).ack_position()[
        "duplicate"
    ]
    await deployed.store()


async def test_ids_that_redis_lost_are_looked_up_in_the_archive(deployed: Deployed) -> None:
    """An incomplete filter is not trusted, whatever is added to it later."""
    room_id = await deployed.group("alice", "bob")
    first = await deployed.send(room_id, "alice", "m")
    await deployed.store()
    await deployed.redis.delete(f"{keys.room(room_id).prefix}ids")
    await deployed.send(room_id, "alice", "n")
    await deployed.store()
    await forgotten(deployed, room_id)
    for _ in range(2):
        again = await deployed.send(room_id, "alice", "m")
        assert again.ack_position() == first.ack_position() | {"duplicate": True}


async def test_the_filter_has_no_false_negatives_and_few_false_positives(
    redis: Redis, tmp_path: Path
) -> None:
    """Of 3,000 messages all are known; of as many new ids about 1 in 100."""
    bench = Bench(redis)
    room_id = await bench.group("alice")
    here = Path(FENCE).parent
    source = tmp_path / "probe.lua"
    source.write_text(
        "for seq = 1, 3000 do note_in(ids_key(), ARGV[seq], seq) end "
        "redis.call('BITFIELD', ids_key(), 'SET', 'u2', 0, WHOLE) "
        "local known = {0, 0} "
        "for i = 1, 6000 do if look_in(ids_key(), ARGV[i], 3000) == 'known' then "
        "local at = i > 3000 and 2 or 1; known[at] = known[at] + 1 end end return known"
    )
    probe = room_script(here / "ids.lua", source)
    ids = [keys.message_id(room_id, "alice", f"{n}") for n in range(6000)]
    known, wrong = await probe.evaluate(redis, keys.room(room_id).script_keys, ids)
    assert known == 3000
    assert wrong < 60
    assert await redis.strlen(f"{keys.room(room_id).prefix}ids") < 12_000


async def test_a_young_room_asks_no_archive_and_takes_one_command(bench: Bench) -> None:
    """Within the window the idempotency keys suffice; the filter is written beside them."""
    room_id = await bench.group("alice")
    before = (await bench.redis.info("commandstats")).get("cmdstat_bitfield", {"calls": 0})
    request = replace(message(room_id, "alice"), check_archive=True)
    assert await bench.outcome(request, asked=False) == "ok"
    after = (await bench.redis.info("commandstats"))["cmdstat_bitfield"]
    assert after["calls"] == before["calls"] + 1


SEEN = room_script(LUA / "ids.lua")
SEEN._set_text(
    SEEN.text + "local _, head = fence(clock()) return seen_id(ARGV[1], head, clock(), ARGV[2] + 0)"
)


async def seen(bench: Bench, room_id: str, client_msg_id: str) -> str:
    """What the filters say of a message of alice: `new`, `known` or `unknown`."""
    args: list[str | int] = [keys.message_id(room_id, "alice", client_msg_id)]
    args.append(ms(bench.settings.idempotency_ttl))
    reply: bytes = await SEEN.evaluate(bench.redis, keys.room(room_id).script_keys, args)
    return reply.decode()


async def age(bench: Bench, room_id: str, seconds: float) -> None:
    """Let the filter in use have begun, and the room be touched, so long ago."""
    head = keys.room(room_id).head
    fields: Any = await bench.redis.hmget(head, "ids", "touched")
    base, before, since = fields[0].decode().split()
    since, touched = (int(one) - int(seconds * 1000) for one in (since, fields[1]))
    await bench.redis.hset(head, mapping={"ids": f"{base} {before} {since}", "touched": touched})


async def test_a_filter_is_replaced_after_the_window(bench: Bench) -> None:
    """An id is known for the window at least and for two at most: a room's age costs nothing."""
    window = bench.settings.idempotency_ttl
    room_id = await bench.group("alice")
    prefix = keys.room(room_id).prefix
    for n in range(100):
        await bench.append(message(room_id, "alice", f"a{n}"))
    large = await bench.redis.strlen(f"{prefix}ids")
    assert 2 * 100 < large < 8 * 100
    await age(bench, room_id, window + 1)
    await bench.append(message(room_id, "alice", "b"))
    assert await bench.redis.strlen(f"{prefix}ids:before") == large
    assert await bench.redis.strlen(f"{prefix}ids") < 70
    assert [await seen(bench, room_id, f"a{n}") for n in range(100)] == ["known"] * 100
    assert await seen(bench, room_id, "b") == "known"
    await age(bench, room_id, window + 1)
    await bench.append(message(room_id, "alice", "c"))
    found = [await seen(bench, room_id, one) for one in ("a1", "a2", "a3", "b", "c")]
    assert found[3:] == ["known", "known"]
    assert "new" in found[:3]  # one in a hundred looks known
    assert sorted(await bench.redis.keys(f"{prefix}ids*")) == [
        f"{prefix}ids".encode(),
        f"{prefix}ids:before".encode(),
    ]


async def test_the_filter_before_is_not_asked_after_the_window(bench: Bench) -> None:
    """Nothing in it is young enough, whether its key is still there or not."""
    room_id = await bench.group("alice")
    await bench.append(message(room_id, "alice", "a"))
    await age(bench, room_id, bench.settings.idempotency_ttl + 1)
    await bench.append(message(room_id, "alice", "b"))
    await bench.redis.delete(f"{keys.room(room_id).prefix}ids:before")
    assert await seen(bench, room_id, "new") == "unknown"
    await age(bench, room_id, bench.settings.idempotency_ttl + 1)
    assert await seen(bench, room_id, "new") == "new"
    assert await seen(bench, room_id, "b") == "known"


async def test_a_room_that_was_quiet_for_long_knows_that_an_id_is_new(bench: Bench) -> None:
    """Whatever is sent there was not sent within the window: no archive is asked."""
    room_id = await bench.group("alice")
    await bench.append(message(room_id, "alice", "a"))
    await age(bench, room_id, bench.settings.idempotency_ttl + 200)
    for key in await bench.redis.keys(f"{keys.room(room_id).prefix}ids*"):
        assert 0 < await bench.redis.pttl(key) <= 1000 * (bench.settings.idempotency_ttl + 200)
        await bench.redis.delete(key)
    assert await seen(bench, room_id, "b") == "new"
    assert await bench.outcome(message(room_id, "alice", "b")) == "ok"
    assert await seen(bench, room_id, "b") == "known"
    assert await seen(bench, room_id, "c") == "new"


async def test_a_filter_takes_no_more_than_its_levels(bench: Bench) -> None:
    """448 bytes for 97 to 224 messages; its key lives on when a level is begun."""
    room_id = await bench.group("alice")
    key = f"{keys.room(room_id).prefix}ids"
    for n in range(130):
        await bench.append(message(room_id, "alice", f"a{n}"))
    assert await bench.redis.strlen(key) == 1 + 448
    taken: Any = await bench.redis.memory_usage(key)
    assert taken < 448 + 150
    assert await bench.redis.pttl(key) > ms(bench.settings.idempotency_ttl)
    assert [await seen(bench, room_id, f"a{n}") for n in range(130)] == ["known"] * 130


async def test_ids_that_were_read_for_other_filters_are_not_noted(bench: Bench) -> None:
    """The filters may be replaced while the archive is read; what was read is not all then."""
    room_id = await bench.group("alice")
    await bench.append(message(room_id, "alice", "a"))
    before = (await bench.head(room_id))[b"ids"].decode()
    await age(bench, room_id, bench.settings.idempotency_ttl + 1)
    await bench.redis.delete(f"{keys.room(room_id).prefix}ids")
    await bench.append(message(room_id, "alice", "b"))
    fill = room_script(LUA / "ids.lua", LUA / "ids_fill.lua")
    assert await fill.evaluate(bench.redis, keys.room(room_id).script_keys, [before, 1]) == 0
    assert await seen(bench, room_id, "a") == "unknown"


async def test_a_filter_lives_as_long_as_messages_come(bench: Bench) -> None:
    """The touch of the room's keys, once a minute, prolongs it."""
    room_id = await bench.group("alice")
    room = keys.room(room_id)
    await bench.append(message(room_id, "alice", "a"))
    await bench.redis.pexpire(f"{room.prefix}ids", 10_000)
    await bench.redis.hincrby(room.head, "touched", -61_000)
    await bench.append(message(room_id, "alice", "b"))
    assert await bench.redis.pttl(f"{room.prefix}ids") > ms(bench.settings.idempotency_ttl)


async def test_the_filters_hold_where_the_release_before_appended(bench: Bench) -> None:
    """An older one also wrote `ids_seq`, which would have to move with the seq and so goes (R6)."""
    room_id = await bench.group("alice")
    await bench.append(message(room_id, "alice", "a"))
    room = keys.room(room_id)
    filters = (await bench.head(room_id))[b"ids"]
    await bench.redis.hset(room.head, "ids_seq", 1)
    await bench.append(message(room_id, "alice", "b"))
    assert b"ids_seq" not in await bench.head(room_id)
    old = previous_release.scripts().append
    reply = await old.evaluate(
        bench.redis, *append(message(room_id, "alice", "old"), bench.settings)
    )
    assert reply[0] == b"ok"
    await bench.append(message(room_id, "alice", "c"))
    assert (await bench.head(room_id))[b"ids"] == filters
    found = [await seen(bench, room_id, one) for one in ("a", "b", "old", "c", "new")]
    assert found == ["known", "known", "known", "known", "new"]


async def test_filters_that_miss_ids_are_begun_anew(bench: Bench) -> None:
    """A release that did not know them appended since `ids_seq`: the archive is asked."""
    room_id = await bench.group("alice")
    await bench.append(message(room_id, "alice", "a"))
    await bench.append(message(room_id, "alice", "missed"))
    await bench.redis.hset(keys.room(room_id).head, "ids_seq", 1)
    assert await seen(bench, room_id, "a") == "unknown"
    await bench.append(message(room_id, "alice", "b"))
    assert [await seen(bench, room_id, one) for one in ("a", "b")] == ["unknown"] * 2
    assert (await bench.head(room_id))[b"ids"].split()[:2] == [b"2", b"0"]
