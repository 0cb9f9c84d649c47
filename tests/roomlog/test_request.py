"""append.lua on a real Valkey: dense positions, one result per request, all or nothing."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from redis.exceptions import ResponseError

from rts_server import keys
from rts_server.roomlog.member_events import member_added, member_removed
from rts_server.roomlog.request import AppendRequest
from rts_server.roomlog.room_events import settings_changed
from rts_server.views.snapshots import SnapshotReader
from tests.helpers.bench import Bench, failed, group, message, relayed
from tests.helpers.waiting import PATIENCE

Harm = Callable[[Bench, str], Awaitable[Any]]


def system(request: AppendRequest) -> AppendRequest:
    """The request as made by the system: membership is not checked."""
    return replace(request, roles=None, group_only=False)


# What an append does


async def test_one_event_is_the_same_everywhere(bench: Bench) -> None:
    """Published, in the hot log and in the record it is the same text, byte by byte."""
    room_id = await bench.group("alice", "bob")
    async with bench.redis.pubsub() as channel:
        await channel.subscribe(keys.room_channel(room_id))
        assert (await channel.get_message(timeout=PATIENCE))["type"] == "subscribe"
        text = 'hé "你" 😀 \\ \u2028 \x7f \n\t/ {} @'
        answer = await bench.append(message(room_id, "alice", "m1", text=text))
        heard = await channel.get_message(timeout=PATIENCE)
    assert heard is not None
    assert answer[0] == "ok"
    published = heard["data"].decode()
    epoch, offset, kind, body = published.split(" ", 3)
    assert [int(epoch), int(offset)] == answer[2:4]
    assert kind == "message.new"
    assert json.loads(body)["data"]["message"]["text"] == text
    stored: Any = await bench.redis.xrevrange(keys.room(room_id).log, count=1)
    assert stored[0][0].decode() == f"{epoch}-{offset}"
    assert stored[0][1][b"e"].decode() == body
    entry = (await bench.outbox(room_id))[-1]
    record = entry[b"d"].decode()
    assert record.endswith('"event":' + body + "}")
    assert json.loads(record)["v"] == 1
    assert (entry[b"q"], entry[b"r"], entry[b"o"]) == (b"m", room_id.encode(), b"origin")
    assert entry[b"e"].decode() == f"{epoch}:{offset}"


async def test_times_and_positions_are_filled_in_by_redis(bench: Bench) -> None:
    """`created_at` is Redis' time; seq and epoch are those of the log."""
    room_id = await bench.group("alice")
    before = (await bench.redis.time())[0]
    answer = await bench.append(message(room_id, "alice"))
    event = (await bench.events(room_id))[-1]
    sent = event["data"]["message"]
    assert [sent["epoch"], event["offset"], sent["seq"]] == answer[2:5]
    assert sent["created_at"] == event["ts"] == answer[5].decode()
    assert abs(answer[1] / 1000 - before) < 5


async def test_creation_is_two_events_of_one_call(bench: Bench) -> None:
    """`room.created` at offset 1, then one `member.added` with all members; no system message."""
    room_id = await bench.group("alice", "bob", "carol", name="G")
    created, added = await bench.events(room_id)
    assert (created["type"], created["offset"], added["type"], added["offset"]) == (
        "room.created", 1, "member.added", 2,
    )  # fmt: skip
    room = created["data"]["room"]
    assert (room["member_count"], room["seq"], room["epoch"], room["offset"]) == (3, 0, 1, 1)
    told = [(m["user_id"], m["role"], m["read_seq"]) for m in added["data"]["members"]]
    assert told == [("alice", "owner", 0), ("bob", "member", 0), ("carol", "member", 0)]
    users = [entry.get(b"u") for entry in await bench.outbox(room_id)]
    assert users == [None, b'[["alice","in"],["bob","in"],["carol","in"]]']


async def test_only_new_members_are_named(bench: Bench) -> None:
    """Event, record, reply and system message leave out users who were members already."""
    room_id = await bench.group("alice", "bob")
    await bench.append(message(room_id, "alice"))
    weird = 'a/"\\{}:*'
    answer = await bench.append(member_added(room_id, "alice", ["bob", weird], "member"))
    assert orjson.loads(answer[9]) == {"join": [weird]}
    added, line = (await bench.events(room_id))[-2:]
    assert [m["user_id"] for m in added["data"]["members"]] == [weird]
    assert [m["read_seq"] for m in added["data"]["members"]] == [1]
    assert line["data"]["message"]["type"] == "system"
    assert line["data"]["message"]["metadata"]["user_ids"] == [weird]
    users = (await bench.outbox(room_id))[-2][b"u"]
    assert orjson.loads(users) == [[weird, "in"]]
    again = await bench.append(member_added(room_id, "alice", ["bob", weird], "member"))
    assert again[0] == "nothing"


async def test_a_removed_member_leaves_no_state(bench: Bench) -> None:
    """Members and cursors lose the user; event and record name them with their cursors."""
    room_id = await bench.group("alice", "bob")
    await bench.append(message(room_id, "bob"))
    answer = await bench.append(member_removed(room_id, "alice", ["bob", "nobody"]))
    assert orjson.loads(answer[9]) == {"go": ["bob"]}
    removed = (await bench.events(room_id))[-2]
    assert [(m["user_id"], m["read_seq"]) for m in removed["data"]["members"]] == [("bob", 1)]
    assert orjson.loads((await bench.outbox(room_id))[-2][b"u"]) == [["bob", "out"]]
    room = keys.room(room_id)
    assert await bench.redis.hkeys(room.members) == [b"alice"]
    assert set(await bench.redis.hkeys(room.cursors)) == {b"r:alice", b"d:alice"}
    assert await bench.outcome(message(room_id, "bob", "n")) == "not_found"


async def test_unread_from_the_inputs_that_append_keeps(bench: Bench) -> None:
    """Sending reads what was before; system messages and failed ones count as unread for nobody."""
    room_id = await bench.group("alice", "bob")
    sent = [message(room_id, "alice", f"m{n}") for n in range(3)]
    for one in sent:
        await bench.append(one)
    await bench.append(member_added(room_id, "alice", ["carol"], "member"))
    await bench.append(failed(room_id, sent[1].request_id, 2))
    standing = await SnapshotReader(bench.redis).read(room_id, ["alice", "bob", "carol", "eve"])
    assert standing is not None
    unread = {
        user: seat and (seat.read_seq, seat.unread) for user, seat in standing.members.items()
    }
    assert unread == {"alice": (3, 0), "bob": (0, 2), "carol": (3, 0), "eve": None}
    assert (standing.seq, standing.member_count) == (4, 3)
    assert standing.last is not None
    assert standing.last["seq"] == 3
    await bench.append(message(room_id, "bob", "b"))
    standing = await SnapshotReader(bench.redis).read(room_id, ["alice", "bob"])
    assert standing is not None
    assert [s and s.unread for s in standing.members.values()] == [1, 0]


async def test_a_message_brings_a_hidden_room_back_for_all_but_its_sender(bench: Bench) -> None:
    """The members' settings and the head say so, in the same append."""
    room_id = await bench.group("alice", "bob")
    for user in ("alice", "bob"):
        assert await bench.outcome(settings_changed(room_id, user, {"hidden": True})) == "ok"
    assert await bench.outcome(message(room_id, "alice")) == "ok"
    cursors: Any = await bench.redis.hgetall(keys.room(room_id).cursors)
    assert (cursors[b"x:alice"], cursors[b"x:bob"]) == (b"1 0 1", b"2 0 0")
    assert (await bench.head(room_id))[b"hidden"] == b"alice"


# Idempotency


async def test_a_repetition_is_the_first_result_with_its_status_now(bench: Bench) -> None:
    """Pending while an entry is in the outbox, then queued; failed after `message.failed`."""
    room_id = await bench.group("alice")
    request = message(room_id, "alice")
    first = await bench.append(request)
    assert (first[0], first[7]) == ("ok", b"pending")

    async def repeated() -> bytes:
        before = await bench.dump()
        again = await bench.append(request, deadline=0)
        assert again[0] == "duplicate"
        assert [int(n) for n in again[2:5]] == first[2:5]
        assert again[5:7] == first[5:7]
        assert await bench.dump() == before
        return bytes(again[8])

    assert await repeated() == b"pending"
    await relayed(bench, room_id)
    assert await repeated() == b"queued"
    assert await bench.outcome(failed(room_id, request.request_id, 1)) == "ok"
    assert await repeated() == b"failed"
    assert await bench.outcome(failed(room_id, request.request_id, 1)) == "duplicate"


async def test_another_body_under_the_same_id_is_a_conflict(bench: Bench) -> None:
    """Text, mentions, metadata and reply_to are the body; the order of keys does not matter."""
    room_id = await bench.group("alice")
    first = {"text": "a", "metadata": {"x": 1, "y": 2}, "mentions": ["b"]}
    assert await bench.outcome(message(room_id, "alice", "m", **first)) == "ok"
    swapped = first | {"metadata": {"y": 2, "x": 1}}
    assert await bench.outcome(message(room_id, "alice", "m", **swapped)) == "duplicate"
    changes: list[dict[str, Any]] = [{"text": "b"}, {"metadata": {}}, {"mentions": []}]
    for change in (*changes, {"reply_to": "r"}):
        other = message(room_id, "alice", "m", **(first | change))
        assert await bench.outcome(other) == "conflict"


async def test_a_call_of_several_events_counts_once(bench: Bench) -> None:
    """A repeated creation or addition appends nothing; its entries are all of its events."""
    request = group("alice", "bob")
    room_id = await bench.open(request)
    again = await bench.append(request)
    assert again[0] == "duplicate"
    assert len(again[6].split()) == 2
    add = member_added(room_id, "alice", ["carol"], "member")
    one, two = await bench.append(add), await bench.append(add)
    assert (one[0], two[0]) == ("ok", "duplicate")
    assert one[9] == two[7] == b'{"join":["carol"]}'
    assert len(await bench.events(room_id)) == 4


async def test_an_idempotency_key_expires(bench: Bench) -> None:
    """After `idempotency_ttl` Redis does not know an id, and the archive must be asked."""
    bench.settings = replace(bench.settings, idempotency_ttl=0.03)
    room_id = await bench.group("alice")
    request = message(room_id, "alice")
    assert await bench.outcome(request) == "ok"
    while await bench.redis.exists(keys.room(room_id).idem(request.request_id)):
        continue
    assert await bench.outcome(request) == "ok"


async def test_a_loaded_room_asks_the_archive_for_ids_it_does_not_know(bench: Bench) -> None:
    """An unknown id less than `idempotency_ttl` after a load is asked for, then appended."""
    request = replace(message("r" * 26, "alice"), check_archive=True)
    assert await bench.outcome(request) == "cold"
    assert await bench.install(request.room_id, ["alice"]) == "ok"
    before = await bench.dump()
    assert await bench.outcome(request, asked=False) == "ask"
    assert await bench.dump() == before
    assert await bench.outcome(request, asked=True) == "ok"
    assert await bench.outcome(request, asked=False) == "duplicate"


async def test_deadlines_are_in_redis_time(bench: Bench) -> None:
    """A call that arrives after its deadline on Redis' clock appends nothing (R9)."""
    room_id = await bench.group("alice")
    seconds, micros = await bench.redis.time()
    now = seconds * 1000 + micros // 1000
    assert await bench.outcome(message(room_id, "alice", "a"), deadline=now - 1) == "late"
    assert await bench.outcome(message(room_id, "alice", "b"), deadline=now + 60_000) == "ok"


async def test_a_full_redis_refuses_whole_calls(bench: Bench) -> None:
    """Over maxmemory the script fails at its first write."""
    room_id = await bench.group("alice")
    before = await bench.dump()
    await bench.redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(ResponseError, match="maxmemory"):
            await bench.append(message(room_id, "alice"))
        with pytest.raises(ResponseError, match="maxmemory"):
            await bench.append(member_added(room_id, "alice", ["x"], "member"))
    finally:
        await bench.redis.config_set("maxmemory", 0)
    assert await bench.dump() == before
    assert await bench.outcome(message(room_id, "alice")) == "ok"


async def test_message_failed_with_a_key_of_another_type_is_all_or_nothing(
    bench: Bench,
) -> None:
    """The idempotency key of the message has another type."""
    room_id = await bench.group("alice")
    sent = message(room_id, "alice")
    await bench.append(sent)
    await bench.redis.set(keys.room(room_id).idem(sent.request_id), "x")
    before = await bench.dump()
    assert await bench.outcome(failed(room_id, sent.request_id, 1)) == "broken"
    assert await bench.dump() == before


# The hot log


async def test_events_before_the_hot_log_are_gone(bench: Bench) -> None:
    """events.lua replies all events after a position or `gone`, never a part (D4)."""
    bench.settings = replace(bench.settings, hot_log_events=5, hot_log_floor=0.0)
    room_id = await bench.group("alice")
    for n in range(20):
        await bench.append(message(room_id, "alice", f"m{n}"))
    assert await bench.trim(room_id) == 17
    for offset in range(23):
        answer = await bench.behind(room_id, 1, offset)
        assert answer[1:3] == [1, 22]
        if offset < 17:
            assert answer[0] == "gone"
        else:
            assert [int(e.split()[1]) for e in answer[3:]] == list(range(offset + 1, 23))
    assert (await bench.behind(room_id, 1, 23))[0] == "gone"
    assert (await bench.behind(room_id, 0, 22))[0] == "gone"
    assert (await bench.behind(room_id, 2, 0))[0] == "gone"
    assert len(await bench.behind(room_id, 1, 17, most=2)) == 5
    state, epoch, top, _, first, *texts = await bench.evaluate(
        "page", room_id, "alice", 0, "+inf", 100, "newest"
    )
    assert (state, epoch, top, first) == (b"warm", 1, 20, 16)
    seqs = [orjson.loads(text)["data"]["message"]["seq"] for text in texts]
    assert seqs == [20, 19, 18, 17, 16]
    assert await bench.evaluate("page", room_id, "eve", 0, "+inf", 9, "newest") == [b"not_found"]
