"""The timeline of a message, by Redis and by log lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.admin.message_timeline import (
    LogSources,
    TimelineStep,
    UnknownMessage,
    file_steps,
    first_room_id,
    in_order,
    log_line_steps,
    read_timeline,
    redis_steps,
)
from rts_server.config import Settings
from tests.helpers import aws
from tests.helpers.world import free_port

ROOM, MESSAGE = "room-1", "m" * 26
DONE = {"kind": "message.new", "room_id": ROOM, "message_id": MESSAGE, "epoch": 1, "offset": 4}
KINDS = {"message.new": 3}
BATCH = {"message": "batch", "kinds": KINDS, "first": {**DONE, "message_id": "another"}}
BATCH |= {"last": DONE}
SET_ASIDE = {"message": "quarantined", "reason": "invalid: v", "message_id": MESSAGE}
REPEATED = {
    "ts": "2026-11-25T01:00:00.000Z",
    "message": "append is repeated",
    "why": "lost with its Redis",
    "room_id": ROOM,
    "request_id": MESSAGE,
}


async def test_the_steps_of_redis_tell_waiting_records_from_sent_ones(
    redis: Redis,
) -> None:
    """A message is unknown, then accepted and waiting, then sent to SQS and failed."""
    assert await redis_steps(redis, ROOM, MESSAGE) == []
    names = keys.room(ROOM)
    entry = "1795572900115-0"
    await redis.xadd(names.outbox, {"q": "m"}, id=entry)
    ts = "2026-11-25T02:15:00.115Z"
    await redis.hset(
        names.idem(MESSAGE),
        mapping={"ts": ts, "epoch": "1", "offset": "4", "seq": "3", "entries": entry},
    )
    accepted, waiting = await redis_steps(redis, ROOM, MESSAGE)
    assert (accepted.at, accepted.what) == (ts, "accepted in the room's log")
    assert accepted.ids == {"room_id": ROOM, "epoch": 1, "offset": 4, "seq": 3}
    assert (waiting.at, waiting.what) == (ts, "waits in the outbox")
    await redis.xdel(names.outbox, entry)
    await redis.hset(names.idem(MESSAGE), "failed", "1")
    steps = [step.what for step in await redis_steps(redis, ROOM, MESSAGE)]
    assert steps[1:] == [
        "Redis: reported as failed",
        "put into the outbox, and sent to SQS since",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
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
def test_a_log_line_becomes_the_steps_of_the_message_it_names(
    line: str, expected: list[tuple[str, str]]
) -> None:
    """Other messages of the same batch are left out, and a line that is not JSON has no step."""
    assert [(s.at, s.what) for s in log_line_steps(line, MESSAGE, "who", "then")] == expected


def test_log_files_are_searched_and_name_the_room(tmp_path: Path) -> None:
    """Lines that contain the message id become steps; the first of them with a room names it."""
    (tmp_path / "relay.log").write_text(f"{json.dumps(SET_ASIDE)}\n{json.dumps({'x': 1})}\n")
    (tmp_path / "web0.log").write_text(json.dumps(REPEATED) + "\n")
    steps = file_steps(tmp_path, MESSAGE)
    assert [step.what.partition(":")[0] for step in steps] == ["relay", "web0"]
    assert first_room_id(steps) == ROOM
    assert file_steps(tmp_path / "none", MESSAGE) == []


def test_a_step_that_two_logs_have_is_shown_once_with_its_time() -> None:
    """The log of the local AWS has the functions' lines without times; what has none is last."""
    ids = {"room_id": ROOM, "offset": 4}
    dated = TimelineStep("2026-11-25T02:15:01.000Z", "chat-message-to-db: stored message.new", ids)
    again = TimelineStep("", "aws: stored message.new", {**ids})
    other = TimelineStep("", "aws: stored message.new", {**ids, "offset": 5})
    first = TimelineStep("2026-11-25T02:15:00.000Z", "accepted in the room's log")
    assert in_order([again, other, dated, first]) == [first, dated, other]


@pytest.mark.parametrize(("room_id", "said"), [(None, "give --room"), (ROOM, f"in room {ROOM}")])
async def test_a_message_that_nobody_knows_is_an_error(
    redis: Redis, valkey_url: str, tmp_path: Path, room_id: str | None, said: str
) -> None:
    """Whether its room is given or not; its absence from the tables alone is no timeline."""
    settings = Settings(redis_url=valkey_url)
    with aws.pretended(), pytest.raises(UnknownMessage, match=said):
        await read_timeline(settings, MESSAGE, LogSources(tmp_path), room_id)


async def test_without_redis_the_other_sources_are_shown(tmp_path: Path) -> None:
    """From outside its network Redis cannot be reached: that is one of the steps."""
    (tmp_path / "message.log").write_text(json.dumps(BATCH) + "\n")
    settings = Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0")
    with aws.pretended():
        steps = await read_timeline(settings, MESSAGE, LogSources(tmp_path))
        with pytest.raises(UnknownMessage, match="could not be read"):
            await read_timeline(settings, "n" * 26, LogSources(tmp_path), ROOM)
    told = [step.what.partition(" (")[0] for step in steps]
    assert sorted(told) == [
        "DynamoDB: not there",
        "Redis: could not be read",
        "message: stored message.new",
    ]
