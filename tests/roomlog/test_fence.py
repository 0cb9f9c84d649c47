"""The fence: a room is warm as a whole and in the Redis that wrote it, or it is cold."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis as Blocking
from redis.exceptions import ResponseError

from rts_server import keys
from rts_server.persistence.scripts import IDENTITY, Script
from rts_server.roomlog.script import FENCE
from tests.helpers.bench import HOT, Bench, failed, message

REQUIRED = ["epoch", "offset", "seq", "fence", "touched", "shape"]


async def full(bench: Bench, room: str = "g") -> str:
    """A room in which every hot key has elements."""
    room_id = await bench.group("alice", "bob", room=room)
    sent = message(room_id, "alice")
    assert await bench.outcome(sent) == "ok"
    assert await bench.outcome(failed(room_id, sent.request_id, 1)) == "ok"
    assert await bench.redis.exists(*(getattr(keys.room(room_id), name) for name in HOT)) == 6
    return room_id


async def is_cold(bench: Bench, room_id: str) -> None:
    """Check that the room is cold for readers, and that one writer at a time has the claim."""
    assert await bench.state(room_id) == "cold"
    assert await bench.evaluate("member_list", room_id) == [b"cold"]
    assert await bench.behind(room_id, 1, 0) == ["cold"]
    assert await bench.evaluate("page", room_id, "alice", 0, "+inf", 10, "newest") == [b"cold"]
    assert await bench.evaluate("changed", room_id, "m") == [b"cold"]
    before = await unclaimed(bench)
    send = message(room_id, "alice", "n")
    answers = [await bench.outcome(send, nonce=nonce) for nonce in "abca"]
    assert answers == ["cold", "loading", "loading", "cold"]
    assert await unclaimed(bench) == before


async def unclaimed(bench: Bench) -> dict[bytes, Any]:
    """Return every key but what a claim writes: its own, and the fence in the head."""
    found: dict[bytes, Any] = await bench.dump()
    for key in [key for key in found if key.endswith((b":claim", b":head"))]:
        del found[key]
        if key.endswith(b":head") and await bench.redis.type(key) == b"hash":
            found[key] = await bench.redis.hgetall(key)
            found[key].pop(b"fence", None)
    return found


async def test_a_whole_room_is_warm(bench: Bench) -> None:
    """The fence finds all keys of the room as they were written."""
    room_id = await full(bench)
    assert await bench.state(room_id) == "warm"
    assert await bench.outcome(message(room_id, "bob", "n")) == "ok"


@pytest.mark.parametrize("harm", ["deleted", "string", "set"])
@pytest.mark.parametrize("name", ["head", *HOT])
async def test_any_key_lost_or_foreign_is_cold(bench: Bench, name: str, harm: str) -> None:
    """A room with a key deleted or of another type is cold, never half loaded (T12)."""
    room_id = await full(bench)
    key = getattr(keys.room(room_id), name)
    await bench.redis.delete(key)
    if harm == "string":
        await bench.redis.set(key, "x")
    elif harm == "set":
        await bench.redis.sadd(key, "x")
    await is_cold(bench, room_id)


@pytest.mark.parametrize("name", HOT)
async def test_a_key_that_lost_or_gained_an_element_is_cold(bench: Bench, name: str) -> None:
    """The head keeps the sizes of all keys."""
    room_id = await full(bench)
    key = getattr(keys.room(room_id), name)
    kind: Any = await bench.redis.type(key)
    if kind == b"hash":
        await bench.redis.hset(key, "foreign", "x")
    elif kind == b"zset":
        await bench.redis.zadd(key, {"foreign": 1})
    else:
        await bench.redis.xtrim(key, maxlen=1, approximate=False)
    await is_cold(bench, room_id)


@pytest.mark.parametrize("field", REQUIRED)
async def test_a_head_without_one_of_its_fields_is_cold(bench: Bench, field: str) -> None:
    """Each field of the head is needed."""
    room_id = await full(bench)
    await bench.redis.hdel(keys.room(room_id).head, field)
    await is_cold(bench, room_id)


async def test_data_of_another_redis_is_cold(bench: Bench) -> None:
    """Its replication id is another one, as after every start and promotion (T7)."""
    room_id = await full(bench)
    head = keys.room(room_id).head
    run_id, replication_id = (await bench.head(room_id))[b"fence"].decode().split(":")
    assert len(run_id) == len(replication_id) == 40
    await bench.redis.hset(head, "fence", f"{run_id}:{'0' * 40}")
    await is_cold(bench, room_id)


@pytest.mark.parametrize("fence", ["", "x", "0" * 41, f"{'0' * 40}:master_replid"])
async def test_a_fence_that_is_no_identity_is_cold(bench: Bench, fence: str) -> None:
    """It matches no Redis, however short it is."""
    room_id = await full(bench)
    await bench.redis.hset(keys.room(room_id).head, "fence", fence)
    await is_cold(bench, room_id)


async def test_a_replica_that_took_over_is_cold(bench: Bench) -> None:
    """The same process has another replication id after a failover."""
    room_id = await full(bench)
    await bench.redis.execute_command("DEBUG", "CHANGE-REPL-ID")  # type: ignore[no-untyped-call]
    await is_cold(bench, room_id)


async def test_a_replica_that_took_over_is_cold_in_the_next_millisecond(bench: Bench) -> None:
    """An append looks at the identity again, whatever the one before found."""
    room_id = await full(bench)
    for n in range(5):
        assert await bench.outcome(message(room_id, "alice", f"n{n}")) == "ok"
    await bench.redis.execute_command("DEBUG", "CHANGE-REPL-ID")  # type: ignore[no-untyped-call]
    changed = await bench.redis.time()
    while await bench.redis.time() < (changed[0], changed[1] + 1000):
        continue
    before = await unclaimed(bench)
    assert await bench.outcome(message(room_id, "alice", "m")) == "cold"
    assert await bench.outcome(message(room_id, "alice", "m"), nonce="other") == "loading"
    assert await unclaimed(bench) == before


async def test_a_replica_is_cold_to_readers(bench: Bench) -> None:
    """It has the replication id of its primary, but may be behind it."""
    room_id = await full(bench)
    await bench.redis.replicaof("127.0.0.1", 1)
    try:
        assert await bench.state(room_id) == "cold"
    finally:
        await bench.redis.replicaof("NO", "ONE")


async def test_keys_of_another_partition_of_the_room_do_not_matter(bench: Bench) -> None:
    """Two rooms share the outbox only: a loss of one leaves the other warm."""
    one, other = await full(bench), await full(bench, "h")
    await bench.redis.delete(keys.room(one).members)
    assert await bench.state(one) == "cold"
    assert await bench.state(other) == "warm"


async def test_a_room_leaves_redis_as_a_whole(bench: Bench) -> None:
    """All its keys expire `room_ttl` after the last event; then it is cold."""
    bench.settings = replace(bench.settings, room_ttl=0.2, idempotency_ttl=0.05, hot_log_floor=0.0)
    room_id = await full(bench)
    room = keys.room(room_id)
    names = [room.head, *(getattr(room, name) for name in HOT)]
    ends = {await bench.redis.pexpiretime(name) for name in names} - {-2}
    assert len(ends) == 1
    while await bench.redis.exists(*names):
        continue
    assert await bench.state(room_id) == "cold"
    assert await bench.outcome(message(room_id, "alice", "n")) == "cold"


async def test_a_claim_ends_by_itself(bench: Bench) -> None:
    """If a loader dies, the next append claims the room after `claim_ttl`."""
    bench.settings = replace(bench.settings, claim_ttl=0.05)
    request = message("r" * 26, "alice")
    assert await bench.outcome(request) == "cold"
    while await bench.redis.exists(keys.room(request.room_id).claim):
        continue
    assert await bench.outcome(request) == "cold"


async def test_a_room_that_somebody_began_to_load_stays_cold(bench: Bench) -> None:
    """Whatever comes back to Redis: the load ends the epoch, so nobody may append in it (D1)."""
    room_id = await full(bench)
    members: Any = keys.room(room_id).members
    lost: Any = await bench.redis.dump(members)
    await bench.redis.delete(members)
    assert await bench.outcome(message(room_id, "alice", "n")) == "cold"
    await bench.redis.restore(members, 0, lost)
    assert await bench.state(room_id) == "cold"
    assert await bench.install(room_id, ["alice", "bob"]) == "ok"
    assert await bench.state(room_id) == "warm"


async def test_a_claim_of_another_type_harms_nothing(bench: Bench) -> None:
    """A warm room does not read it; an install refuses and writes nothing."""
    room_id = await full(bench)
    await bench.redis.sadd(keys.room(room_id).claim, "x")
    assert await bench.outcome(message(room_id, "alice", "n")) == "ok"
    before = await bench.dump()
    with pytest.raises(ResponseError):
        await bench.install(room_id, ["alice"])
    assert await bench.dump() == before


@pytest.fixture(scope="module")
def clock(valkey_url: str) -> Any:
    """The result of rfc3339 in fence.lua."""
    with Blocking.from_url(valkey_url) as client:
        fence = Script(IDENTITY, FENCE).source
        yield client.register_script(fence + "return rfc3339(tonumber(ARGV[1]))")


MOST = int(datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC).timestamp() * 1000)


@given(st.integers(0, MOST) | st.integers(0, 4_102_444_800_000))
def test_times_in_lua_are_times_in_python(clock: Any, ms: int) -> None:
    """Any millisecond from 1970 to 9999 is the same RFC 3339 text in Lua and in Python."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    expected = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert clock(args=[ms]).decode() == expected


@pytest.mark.parametrize(
    "day", ["1970-01-01", "2000-02-29", "2024-02-29", "2100-02-28", "2100-03-01"]
)
def test_days_at_the_edges_of_the_calendar(clock: Any, day: str) -> None:
    """Leap days, and a century without one, are right."""
    moment = datetime.fromisoformat(day + "T23:59:59.999+00:00")
    assert clock(args=[int(moment.timestamp() * 1000)]).decode() == day + "T23:59:59.999Z"
