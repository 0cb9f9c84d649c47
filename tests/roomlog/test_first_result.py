"""An idempotency key is read whether it is a hash or a string (D7, R6)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rts_server import keys
from rts_server.persistence.scripts import Script
from rts_server.roomlog.first_result import read_first_result
from rts_server.roomlog.member_events import member_added
from rts_server.roomlog.request import AppendRequest
from rts_server.views.history import _MESSAGE
from tests.helpers.bench import Bench, failed, message
from tests.helpers.results import as_hash

FORMS = pytest.mark.parametrize("form", ["hash", "string"])


async def appended(bench: Bench, room_id: str, request: AppendRequest, form: str) -> list[Any]:
    """Append the request; its key has this form then. Returns the reply."""
    reply = await bench.append(request, nonce="12345678-first")
    assert reply[0] == "ok"
    key = keys.room(room_id).idem(request.request_id)
    if form == "hash":
        await as_hash(bench.redis, key)
    assert await bench.redis.type(key) == form.encode()
    return reply


async def of_message(bench: Bench, script: Script, room_id: str, request: AppendRequest) -> Any:
    room = keys.room(room_id)
    names = [*room.script_keys, room.idem(request.request_id)]
    return await script.evaluate(bench.redis, names, ["alice", request.request_id])


@FORMS
async def test_a_repetition_gets_the_first_result(bench: Bench, form: str) -> None:
    """With its position, time, entries and affected users, and the begin of the first nonce."""
    room_id = await bench.group("alice")
    for request in (
        message(room_id, "alice", "m"),
        member_added(room_id, "alice", ["bob x", "carol"], "member"),
    ):
        first = await appended(bench, room_id, request, form)
        again = await bench.append(request, nonce="another")
        assert again[0] == "duplicate"
        assert [int(one) for one in again[2:5]] == first[2:5]
        assert again[5:7] == first[5:7]
        assert again[7] == (first[9] if len(first) > 9 and first[9] else b"{}")
        assert again[8:] == [b"pending", b"12345678"]
        await bench.redis.delete(keys.room(room_id).outbox)
        assert (await bench.append(request))[8] == b"queued"


@FORMS
async def test_another_body_under_the_same_id_is_a_conflict(bench: Bench, form: str) -> None:
    """The key holds the hash of the first."""
    room_id = await bench.group("alice")
    first = message(room_id, "alice", "m")
    await appended(bench, room_id, first, form)
    assert await bench.outcome(replace(first, hash="another")) == "conflict"


@FORMS
async def test_a_failed_message_is_known_as_failed(bench: Bench, form: str) -> None:
    """To a repetition, to its origin and to operators; the key expires when it would have."""
    room_id = await bench.group("alice")
    request = message(room_id, "alice", "m")
    first = await appended(bench, room_id, request, form)
    key = keys.room(room_id).idem(request.request_id)
    end = await bench.redis.pexpiretime(key)
    assert await bench.evaluate("durability", room_id, more=key) == b"pending"
    assert await bench.outcome(failed(room_id, request.request_id, 1)) == "ok"
    assert await bench.redis.type(key) == form.encode()
    assert await bench.redis.pexpiretime(key) == end
    again = await bench.append(request, nonce="another")
    assert [int(one) for one in again[2:5]] == first[2:5]
    assert again[5:7] == first[5:7]
    assert again[8:] == [b"failed", b"12345678"]
    assert await bench.evaluate("durability", room_id, more=key) == b"failed"
    known = await read_first_result(bench.redis, room_id, request.request_id)
    assert known is not None
    assert (known.failed, known.seq, known.hash) == (True, 1, request.hash)


@FORMS
async def test_a_message_is_read_from_the_hot_log_by_its_result(bench: Bench, form: str) -> None:
    """With whether it still waits in the outbox."""
    room_id = await bench.group("alice")
    request = message(room_id, "alice", "m")
    await appended(bench, room_id, request, form)
    for waits in (1, 0):
        state, _, kind, _, waiting = await of_message(bench, _MESSAGE, room_id, request)
        assert (state, kind, waiting) == (b"warm", b"new", waits)
        await bench.redis.delete(keys.room(room_id).outbox)


@FORMS
async def test_operators_read_the_result(bench: Bench, form: str) -> None:
    """Its position, time and entries; nothing of what is not there or is something else."""
    room_id = await bench.group("alice")
    request = message(room_id, "alice", "m")
    assert await read_first_result(bench.redis, room_id, request.request_id) is None
    first = await appended(bench, room_id, request, form)
    known = await read_first_result(bench.redis, room_id, request.request_id)
    assert known is not None
    assert (known.epoch, known.offset, known.seq) == tuple(first[2:5])
    assert (known.ts, known.entries) == (first[5].decode(), (first[6].decode(),))
    assert (known.hash, known.failed) == (request.hash, False)
    await bench.redis.set(keys.room(room_id).idem(request.request_id), "x")
    assert await read_first_result(bench.redis, room_id, request.request_id) is None


@FORMS
async def test_a_trimmed_event_takes_its_key_along(bench: Bench, form: str) -> None:
    """Whatever its form is."""
    bench.settings = replace(bench.settings, hot_log_events=0, hot_log_floor=0.0)
    room_id = await bench.group("alice")
    request = message(room_id, "alice", "m")
    await appended(bench, room_id, request, form)
    assert await bench.trim(room_id) == 3
    assert not await bench.redis.exists(keys.room(room_id).idem(request.request_id))
