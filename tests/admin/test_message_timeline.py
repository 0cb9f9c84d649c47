"""The story of a message: what Redis and log lines say of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.admin import message_timeline as story

ROOM, MESSAGE = "room-1", "m" * 26
DONE = {"kind": "message.new", "room_id": ROOM, "message_id": MESSAGE, "epoch": 1, "offset": 4}
BATCH = {"message": "batch", "applied": [DONE, {**DONE, "message_id": "another"}]}
SET_ASIDE = {"message": "quarantined", "reason": "invalid: v", "message_id": MESSAGE}
REPEATED = {
    "ts": "2026-11-25T01:00:00.000Z",
    "message": "append is repeated",
    "why": "lost with its Redis",
    "room_id": ROOM,
    "request_id": MESSAGE,
}


async def test_a_record_that_waits_is_told_apart_from_one_that_is_gone(redis: Redis) -> None:
    """Nothing known: nothing told; then accepted and waiting; then handed over; then failed."""
    assert await story.in_redis(redis, ROOM, MESSAGE) == []
    names = keys.room(ROOM)
    entry = "1795572900115-0"
    await redis.xadd(names.outbox, {"q": "m"}, id=entry)
    ts = "2026-11-25T02:15:00.115Z"
    await redis.hset(
        names.idem(MESSAGE),
        mapping={"ts": ts, "epoch": "1", "offset": "4", "seq": "3", "entries": entry},
    )
    accepted, waiting = await story.in_redis(redis, ROOM, MESSAGE)
    assert (accepted.at, accepted.what) == (ts, "accepted in the room's log")
    assert accepted.ids == {"room_id": ROOM, "epoch": 1, "offset": 4, "seq": 3}
    assert (waiting.at, waiting.what) == (ts, "waits in the outbox")
    await redis.xdel(names.outbox, entry)
    await redis.hset(names.idem(MESSAGE), "failed", "1")
    steps = [step.what for step in await story.in_redis(redis, ROOM, MESSAGE)]
    assert steps[1:] == [
        "Redis: told as failed",
        "put into the outbox, and handed to SQS since",
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (json.dumps(BATCH), [("then", "who: stored message.new")]),
        (f"Nov 25 02:15:00 host web: {json.dumps(BATCH)}", [("then", "who: stored message.new")]),
        (json.dumps(SET_ASIDE), [("then", "who: quarantined (invalid: v)")]),
        (
            json.dumps(REPEATED),
            [("2026-11-25T01:00:00.000Z", "who: append is repeated (lost with its Redis)")],
        ),
        ("REPORT RequestId: 1", []),
        ('{"half": ', []),
    ],
)
def test_a_line_is_told_by_what_it_says_of_the_message(
    line: str, told: list[tuple[str, str]]
) -> None:
    """Others of the same batch are left out, and a line that is no JSON says nothing."""
    assert [(s.at, s.what) for s in story.steps_of(line, MESSAGE, "who", "then")] == told


def test_files_are_searched_and_name_the_room(tmp_path: Path) -> None:
    """Only lines with the id are read; the room is that of the first which knows it."""
    (tmp_path / "relay.log").write_text(f"{json.dumps(SET_ASIDE)}\n{json.dumps({'x': 1})}\n")
    (tmp_path / "web0.log").write_text(json.dumps(REPEATED) + "\n")
    steps = story.in_files(tmp_path, MESSAGE)
    assert [step.what.partition(":")[0] for step in steps] == ["relay", "web0"]
    assert story.room_of(steps) == ROOM
    assert story.in_files(tmp_path / "none", MESSAGE) == []
