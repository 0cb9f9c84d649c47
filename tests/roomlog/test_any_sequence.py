"""append.lua on a real Valkey: any sequence of requests leaves the room whole."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any, cast

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from rts_server import keys
from rts_server.config import Settings
from rts_server.domain.room import RoomSettings
from rts_server.roomlog.member_events import (
    member_added,
    member_left,
    member_removed,
    member_updated,
)
from rts_server.roomlog.request import AppendRequest
from rts_server.roomlog.room_events import settings_changed
from tests.helpers.bench import HOT, Bench, failed, message, relayed

USERS = st.sampled_from("abcde")
ROLES = st.sampled_from(["owner", "admin", "member", "readonly"])
SETTINGS = ("muted", "hidden")
OPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from("abcx"), st.integers(0, 5)),
        st.tuples(st.just("add"), st.sampled_from("abx"), st.sets(st.sampled_from("bcde"))),
        st.tuples(st.just("remove"), st.sampled_from("abx"), st.sets(st.sampled_from("abcde"))),
        st.tuples(st.just("role"), st.sampled_from("abx"), st.tuples(USERS, ROLES)),
        st.tuples(st.just("leave"), USERS, st.none() | USERS),
        st.tuples(st.just("set"), USERS, st.tuples(st.sampled_from(SETTINGS), st.booleans())),
        st.tuples(st.just("fail"), st.sampled_from("abc"), st.integers(0, 5)),
        st.tuples(st.just("relay"), st.just(""), st.just(0)),
    ),
    max_size=25,
)


def request_of(room_id: str, op: tuple[str, str, Any]) -> AppendRequest | None:
    """The request of a step; None for a step that needs a member where there is none."""
    name, actor, what = op
    if name == "send":
        return message(room_id, actor, f"m{what}")
    if name == "fail":
        return failed(room_id, message(room_id, actor, f"m{what}").request_id, what + 1)
    if name == "role":
        return member_updated(room_id, actor, *what)
    if name == "leave":
        return None if what == actor else member_left(room_id, actor, what)
    if name == "set":
        return settings_changed(room_id, actor, cast(RoomSettings, dict([what])))
    if not what:
        return None
    if name == "add":
        return member_added(room_id, actor, sorted(what), "member")
    return member_removed(room_id, actor, sorted(what))


async def play(url: str, ops: list[tuple[str, str, Any]], log_events: int) -> None:
    """Append the steps to a room; after each the room must be whole and the reply right."""
    async with Redis.from_url(url) as redis:
        await redis.flushall()
        bench = Bench(redis, Settings(hot_log_events=log_events, hot_log_floor=0.0))
        room_id = await bench.group("a", "b")
        at, seq = 2, 0
        for op in ops:
            if op[0] == "relay":
                await relayed(bench, room_id)
            request = request_of(room_id, op)
            if request is None:
                continue
            before = await bench.dump()
            answer = await bench.append(request)
            if answer[0] != "ok":
                assert await bench.dump() == before
                continue
            affected = orjson.loads(answer[9]) if answer[9:] else {}
            written = [e for e in request.events if not e.op or e.op in affected]
            at += len(written)
            seq += sum(event.allocates_seq for event in written)
            await bench.trim(room_id)
            assert [int(n) for n in answer[2:5]] == [1, at, seq]
            await whole(bench, room_id, at, seq)


async def whole(bench: Bench, room_id: str, at: int, seq: int) -> None:
    """Check that head, hot log, indexes and the sizes of the fence agree."""
    head, room = await bench.head(room_id), keys.room(room_id)
    assert [int(head[b"offset"]), int(head[b"seq"])] == [at, seq]
    assert await bench.state(room_id) == "warm"
    sizes = [await getattr(bench.redis, count)(getattr(room, name)) for name, count in zip(
        HOT, ("hlen", "hlen", "xlen", "zcard", "hlen", "zcard"), strict=True
    )]  # fmt: skip
    assert head[b"shape"].decode() == ":".join(map(str, sizes))
    kept = await bench.events(room_id)
    assert kept[-1]["offset"] == at
    assert all(b["offset"] == a["offset"] + 1 for a, b in pairwise(kept))
    given_seqs: Any = await bench.redis.zrange(room.seqs, 0, -1, withscores=True)
    new = {e["offset"]: e["data"]["message"]["seq"] for e in kept if e["type"] == "message.new"}
    assert {int(offset): int(score) for offset, score in given_seqs} == new
    expiries = [await bench.redis.pexpiretime(getattr(room, name)) for name in HOT]
    assert {moment for moment in expiries if moment != -2} == {max(expiries)}
    cursors: Any = await bench.redis.hgetall(room.cursors)
    hidden = {
        name[2:]
        for name, value in cursors.items()
        if name.startswith(b"x:") and value.endswith(b"1")
    }
    assert set(head[b"hidden"].split()) == hidden
    members: Any = await bench.redis.hvals(room.members)
    assert not members or any(member.startswith(b"owner ") for member in members)
    positions = [entry[b"e"] for entry in await bench.outbox(room_id)]
    assert positions == sorted(positions, key=lambda p: int(p.split(b":")[1]))


@settings(max_examples=40)
@given(OPS, st.sampled_from([1, 3, 500]))
def test_any_sequence_of_requests_leaves_the_room_whole(
    valkey_url: str, ops: list[tuple[str, str, Any]], log_events: int
) -> None:
    """Offsets and seqs are dense, sizes and expiries agree, and refused requests write nothing."""
    asyncio.run(play(valkey_url, ops, log_events))
