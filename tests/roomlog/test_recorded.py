"""What Redis has of an append."""

from __future__ import annotations

from rts_server import keys
from tests.helpers.bench import Bench, message


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
    await bench.redis.hset(idem, "failed", 1)
    assert await recorded() == b"failed"
    await bench.redis.delete(keys.room(room_id).members)
    assert await recorded() == b"lost"
    assert await bench.install(room_id, ["alice"]) == "stolen"
    await bench.redis.set(keys.room(room_id).claim, "nonce")
    assert await bench.install(room_id, ["alice"]) == "ok"
    assert await recorded() == b"failed"
    await bench.redis.set(idem, "foreign")
    assert await recorded() == b"lost"
