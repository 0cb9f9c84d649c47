"""A rolling deployment: this release and the one before append to the same room in turns."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.config import Settings
from rts_server.roomlog import rehydrate
from rts_server.roomlog.append_call import append_call, instance_text
from rts_server.roomlog.member_events import member_added, member_removed, member_updated
from rts_server.roomlog.message_events import message_edited, message_new
from rts_server.roomlog.request import AppendRequest
from rts_server.roomlog.room_events import settings_changed
from rts_server.roomlog.script import APPEND
from tests.helpers import previous_release
from tests.helpers.bench import HOT, SCRIPTS, Bench, append, failed, group, message
from tests.helpers.results import as_string

STEPS: tuple[Callable[[str], AppendRequest], ...] = (
    lambda r: message(r, "alice", "m1", text='100 % "é" \n'),
    lambda r: message(r, "bob", "m2"),
    lambda r: member_added(r, "alice", ["carol"], "member"),
    lambda r: settings_changed(r, "bob", {"hidden": True}),
    lambda r: message(r, "carol", "m3"),
    lambda r: _edited(r),
    lambda r: member_updated(r, "alice", "carol", "admin"),
    lambda r: failed(r, message(r, "bob", "m2").request_id, 2),
    lambda r: member_removed(r, "alice", ["carol"]),
    lambda r: message(r, "alice", "m4"),
)


def _edited(room_id: str) -> AppendRequest:
    before: Any = message(room_id, "alice", "m1").events[0].data
    before = before["message"] | {"seq": 1, "epoch": 1, "created_at": "2026-11-23T10:00:00.000Z"}
    return message_edited(before, 1, "alice", {"text": "edited"})


async def old_append(redis: Redis, request: AppendRequest, settings: Settings) -> list[Any]:
    """Append by the script of the release before; return its reply, with the outcome as text."""
    old = previous_release.scripts().append
    answer: list[Any] = await old.evaluate(redis, *append(request, settings))
    return [answer[0].decode(), *answer[1:]]


async def written(bench: Bench, room_id: str) -> list[Any]:
    """Everything of the room in Redis, without times, ids of entries and ids of requests.

    The release before keeps results in hashes.
    """
    room = keys.room(room_id)
    redis: Any = bench.redis
    head = await bench.head(room_id)
    state: list[Any] = [
        sorted((k, v) for k, v in head.items() if k not in (b"last_ms", b"touched", b"ids"))
    ]
    state += [sorted((await redis.hgetall(key)).items()) for key in (room.members, room.cursors)]
    log: Any = await redis.xrange(room.log)
    state += [log, await redis.xrange(room.outbox)]
    state += [
        await redis.zrange(key, 0, -1, withscores=True) for key in (room.seqs, room.uncounted)
    ]
    state += [sorted((await redis.hgetall(room.changed)).items())]
    idempotency = await redis.keys(f"{room.prefix}idem:m*")
    for key in idempotency:
        await as_string(redis, key.decode())
    state += [sorted([await redis.get(key) for key in idempotency])]
    times = re.compile(
        r"\d{4}-\d\d-\d\dT[\d:.]+Z|\d{13}(-\d+)?|(touch|change|create|member|failed|settings):\w+"
    )
    return [times.sub("", repr(part)) for part in state]


async def play(
    bench: Bench, creation: AppendRequest, steps: Sequence[AppendRequest], turns: str
) -> list[Any]:
    """Append the steps, each by the release of its turn; return what is in Redis then."""
    await bench.redis.flushall()
    room_id = await bench.open(creation)
    for request, turn in zip(steps, turns, strict=True):
        if turn == "o":
            assert (await old_append(bench.redis, request, bench.settings))[0] == "ok"
            assert await bench.outcome(request) == "duplicate"
        else:
            assert await bench.outcome(request) == "ok"
            assert (await old_append(bench.redis, request, bench.settings))[0] == "duplicate"
        for join in (previous_release.scripts().join, SCRIPTS["join"]):
            snapshot = await join.evaluate(bench.redis, keys.room(room_id).script_keys, ["alice"])
            assert snapshot[0] == b"warm"
    return await written(bench, room_id)


@pytest.mark.parametrize("turns", ["ononononon", "nonononono", "oooonnnnoo"])
async def test_both_releases_write_the_same_into_a_warm_room(bench: Bench, turns: str) -> None:
    """Log, outbox, head and all keys are alike whoever wrote, so either relay reads them (R6)."""
    creation = group("alice", "bob")
    steps = [step(creation.room_id) for step in STEPS]
    mixed = await play(bench, creation, steps, turns)
    assert mixed == await play(bench, creation, steps, "n" * len(steps))
    assert mixed == await play(bench, creation, steps, "o" * len(steps))


async def test_a_record_of_either_release_is_known_to_the_other(bench: Bench) -> None:
    """What one appended the other finds pending, and queued once the relay has taken it."""
    room_id = await bench.group("alice", "bob")
    new, old = message(room_id, "alice", "new"), message(room_id, "bob", "old")
    assert await bench.outcome(new) == "ok"
    assert (await old_append(bench.redis, old, bench.settings))[0] == "ok"

    async def durabilities() -> list[bytes]:
        names = [[*keys.room(room_id).script_keys, keys.room(room_id).idem(one.request_id)]
                 for one in (new, old)]  # fmt: skip
        return [
            await script.evaluate(bench.redis, name, [])
            for script in (previous_release.scripts().durability, SCRIPTS["durability"])
            for name in names
        ]

    assert await durabilities() == [b"pending"] * 4
    await bench.redis.delete(keys.room(room_id).outbox)
    assert await durabilities() == [b"queued"] * 4


async def test_a_loss_is_cold_to_both_and_either_load_warms_it_for_both(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No release takes for cold what the other loaded: that would be a load, and an epoch, each."""
    room_id = await bench.group("alice", "bob")
    old_install = previous_release.scripts().install
    for epoch, install in ((2, rehydrate._INSTALL), (3, old_install)):
        await bench.redis.delete(keys.room(room_id).cursors)
        request = message(room_id, "alice", f"m{epoch}")
        assert (await old_append(bench.redis, request, bench.settings))[0] == "cold"
        assert await bench.outcome(request) == "cold"
        monkeypatch.setattr(rehydrate, "_INSTALL", install)
        assert await bench.install(room_id, ["alice", "bob"], epoch=epoch) == "ok"
        assert (await old_append(bench.redis, request, bench.settings))[0] == "ok"
        assert await bench.outcome(message(room_id, "bob", f"n{epoch}")) == "ok"
        assert [e["epoch"] for e in await bench.events(room_id)] == [epoch] * 3


async def test_both_releases_trim_and_prolong_one_log(bench: Bench) -> None:
    """However each trims, the log has no hole, and all keys of the room expire at one moment."""
    bench.settings = replace(bench.settings, hot_log_events=40, hot_log_floor=0.0)
    room_id = await bench.group("alice")
    for n in range(120):
        request = message(room_id, "alice", f"m{n}")
        if n % 2:
            assert await bench.outcome(request) == "ok"
        else:
            assert (await old_append(bench.redis, request, bench.settings))[0] == "ok"
        await bench.trim(room_id)
    offsets = [event["offset"] for event in await bench.events(room_id)]
    assert offsets == list(range(offsets[0], 123))
    assert len(offsets) == 40
    room = keys.room(room_id)
    ends = {await bench.redis.pexpiretime(getattr(room, name)) for name in HOT} - {-2}
    assert len(ends) == 1


def test_both_releases_call_the_script_alike() -> None:
    """So the tests here may call that of the release before with the calls of this one."""
    request = message_new("room", "alice", {"client_msg_id": "m", "text": "hi"})
    instance = instance_text(Settings(jwt_secret="x"), "origin")
    call = append_call(request, instance, nonce="n", deadline_ms=1, archive_checked=False)
    assert json.loads(json.dumps(call)) == previous_release.scripts().call
    assert previous_release.scripts().append.name != APPEND.name
