"""A message is sent once, however long ago; Redis alone knows that an id is new (D7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from rts_server import errors, keys
from rts_server.config import Settings
from rts_server.roomlog.script import FENCE, room_script
from tests.helpers.bench import Bench, message
from tests.helpers.deployed import Deployed
from tests.helpers.waiting import PATIENCE

WINDOW = 0.3


@pytest.fixture
async def short(redis: Redis, valkey_url: str, tables: None) -> AsyncIterator[Deployed]:
    """A process with a short idempotency window."""
    settings = replace(Settings(redis_url=valkey_url), idempotency_ttl=WINDOW)
    async with Deployed(settings, redis) as made:
        yield made


async def forgotten(deployed: Deployed, room_id: str, sender: str, client_msg_id: str) -> str:
    """The id of a message whose idempotency key has expired."""
    message_id = keys.message_id(room_id, sender, client_msg_id)
    async with asyncio.timeout(PATIENCE):
        while await deployed.redis.exists(keys.room(room_id).idem(message_id)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return message_id


async def complete(deployed: Deployed, room_id: str) -> None:
    """Wait until Redis knows all message ids of a room."""
    async with asyncio.timeout(PATIENCE):
        while not await deployed.redis.getbit(f"{keys.room(room_id).prefix}ids", 0):  # noqa: ASYNC110
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
    short: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room stayed hot; another body under the same id is a conflict."""
    room_id = await short.group("alice", "bob")
    first = await short.send(room_id, "alice", "m")
    await short.store()
    await forgotten(short, room_id, "alice", "m")
    head = await short.redis.hgetall(keys.room(room_id).head)
    again = await short.send(room_id, "alice", "m")
    assert again.ack_position() == first.ack_position() | {"duplicate": True}
    assert await short.redis.hgetall(keys.room(room_id).head) == head
    assert await again.durability == "queued"
    assert not await short.outbox()
    with pytest.raises(errors.Conflict):
        await short.send(room_id, "alice", "m", "another body")
    with no_archive(short, monkeypatch):
        new = await short.send(room_id, "alice", "new")
        assert new.ack_position()["seq"] == 2
        with pytest.raises(errors.Unavailable):
            await short.send(room_id, "alice", "m")
    await short.store()


async def test_a_message_queued_for_longer_than_the_window_is_not_sent_twice(
    short: Deployed,
) -> None:
    """A repetition is unavailable until the archive has the message, then the first result."""
    room_id = await short.group("alice", "bob")
    first = await short.send(room_id, "alice", "m")
    await forgotten(short, room_id, "alice", "m")
    head = await short.redis.hgetall(keys.room(room_id).head)
    with pytest.raises(errors.Unavailable):
        await short.send(room_id, "alice", "m")
    assert await short.redis.hgetall(keys.room(room_id).head) == head
    async with short.relaying():
        again = await short.send(room_id, "alice", "m")
    assert again.ack_position() == first.ack_position() | {"duplicate": True}


async def test_a_loaded_room_reads_its_ids_and_then_asks_the_archive_no_more(
    short: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until all are read each new id is looked up; then only ids the filter may know."""
    room_id = await short.group("alice", "bob")
    sent = [await short.send(room_id, "alice", f"m{n}") for n in range(30)]
    await short.store()
    await short.redis.flushall()
    async with short.relaying():
        await short.send(room_id, "alice", "first of the new epoch")
        await complete(short, room_id)
    await forgotten(short, room_id, "alice", "first of the new epoch")
    with no_archive(short, monkeypatch):
        assert (await short.send(room_id, "alice", "new")).ack_position()["epoch"] == 2
    await short.store()
    for n, one in enumerate(sent):
        again = (await short.send(room_id, "alice", f"m{n}")).ack_position()
        assert again == one.ack_position() | {"duplicate": True}
    assert (await short.send(room_id, "alice", "first of the new epoch")).ack_position()[
        "duplicate"
    ]
    await short.store()


async def test_ids_that_redis_lost_are_looked_up_in_the_archive(short: Deployed) -> None:
    """An incomplete filter is not trusted, whatever is added to it later."""
    room_id = await short.group("alice", "bob")
    first = await short.send(room_id, "alice", "m")
    await short.store()
    await short.redis.delete(f"{keys.room(room_id).prefix}ids")
    await short.send(room_id, "alice", "n")
    await short.store()
    await forgotten(short, room_id, "alice", "m")
    await forgotten(short, room_id, "alice", "n")
    for _ in range(2):
        again = await short.send(room_id, "alice", "m")
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
        "for seq = 1, 3000 do note_id(ARGV[seq], seq) end "
        "local known = {0, 0} "
        "for i = 1, 6000 do if seen_id(ARGV[i], 3000) == 'known' then "
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
