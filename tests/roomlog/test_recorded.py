"""What Redis has of an append."""

from __future__ import annotations

import pytest

from rts_server import keys
from rts_server.roomlog import recorded as module
from rts_server.roomlog.pending import PendingAppend
from rts_server.roomlog.recorded import RecordedDurability
from tests.helpers.bench import Bench, failed, message
from tests.helpers.redis_commands import scripts_run
from tests.roomlog.fakes import pending_append


async def test_redis_has_an_append_pending_queued_failed_or_lost(bench: Bench) -> None:
    """It is lost if the room or the idempotency key is gone, or the key has another type."""
    room_id = await bench.group("alice")
    request = message(room_id, "alice")
    idem = keys.room(room_id).idem(request.request_id)

    async def recorded() -> bytes:
        return bytes(await bench.evaluate("durability", room_id, more=idem))

    assert await recorded() == b"lost"
    await bench.append(request)
    assert await recorded() == b"pending"
    await bench.redis.delete(keys.room(room_id).outbox)
    assert await recorded() == b"queued"
    await bench.append(failed(room_id, request.request_id, 1))
    assert await recorded() == b"failed"
    await bench.redis.delete(keys.room(room_id).members)
    assert await recorded() == b"lost"
    assert await bench.install(room_id, ["alice"]) == "stolen"
    await bench.redis.set(keys.room(room_id).claim, "nonce")
    assert await bench.install(room_id, ["alice"]) == "ok"
    assert await recorded() == b"failed"
    await bench.redis.set(idem, "foreign")
    assert await recorded() == b"lost"


async def sent(bench: Bench, room_id: str, number: int) -> PendingAppend:
    """Send a message; return its append as it is tracked."""
    asked = message(room_id, "alice", f"m{number}")
    reply = await bench.append(asked)
    return pending_append(asked, reply[2], reply[3], reply[6].decode())


async def test_appends_that_wait_in_the_outbox_cost_a_script_for_each_partition(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many they are; in batches, so that no script takes long."""
    room_ids = [await bench.group("alice", room=f"g{n}") for n in range(5)]
    pendings = [await sent(bench, room_id, n) for n in range(20) for room_id in room_ids]
    recorded = RecordedDurability(bench.redis)
    partitions = {keys.partition(room_id) for room_id in room_ids}
    assert await recorded.read_late(pendings) == ["pending"] * 100  # it loads the script
    before = await scripts_run(bench.redis)
    assert await recorded.read_late(pendings) == ["pending"] * 100
    assert await scripts_run(bench.redis) - before == len(partitions)
    monkeypatch.setattr(module, "APPENDS_PER_SCRIPT", 20)
    before = await scripts_run(bench.redis)
    assert await recorded.read_late(pendings) == ["pending"] * 100
    assert await scripts_run(bench.redis) - before == 5


async def test_what_left_the_outbox_is_asked_for_alone(bench: Bench) -> None:
    """It is queued, or lost; an entry of another append under the same id does not count."""
    room_id, lost_id = await bench.group("alice"), await bench.group("alice", room="lost")
    waits, left, lost, foreign = [
        await sent(bench, room, n) for n, room in enumerate((room_id, room_id, lost_id, room_id))
    ]
    await bench.redis.xdel(keys.room(room_id).outbox, *left.unqueued)
    await bench.redis.xdel(keys.room(lost_id).outbox, *lost.unqueued)
    await bench.redis.delete(keys.room(lost_id).head)
    foreign.unqueued = waits.unqueued
    done = await sent(bench, room_id, 9)
    done.unqueued = set()
    recorded = RecordedDurability(bench.redis)
    asked = [waits, left, lost, foreign, done]
    assert await recorded.read_late(asked) == ["pending", "queued", "lost", "pending", "pending"]
