"""The timeline of one message from Redis, the tables and the logs, without its text."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from rts_server import keys
from rts_server.config import Settings
from rts_server.persistence import aws
from rts_server.persistence.archive import Archive
from rts_server.protocol.event import now, rfc3339
from rts_server.relay.outbox_metrics import accepted_ms

FUNCTIONS = ("/aws/lambda/chat-message-to-db", "/aws/lambda/chat-room-to-db")
TOLD = ("room_id", "epoch", "offset", "seq", "user_id", "session_id", "request_id")
"""Fields of a log line that a step shows."""


@dataclass(order=True)
class TimelineStep:
    """Something that happened to the message; `at` is RFC 3339, UTC, and may be unknown."""

    at: str
    what: str
    ids: dict[str, Any] = field(default_factory=dict, compare=False)


class UnknownMessage(Exception):
    """No log line names the message's room, and the caller did not give it."""


@dataclass(frozen=True)
class Logs:
    """Where to look: files of `folder`, log groups of CloudWatch, so many hours back."""

    folder: Path
    groups: tuple[str, ...] = FUNCTIONS
    hours: float = 24.0


async def story(
    settings: Settings, message_id: str, logs: Logs, room_id: str | None = None
) -> list[TimelineStep]:
    """Every step that is known, in the order of time.

    Raises UnknownMessage, RedisError, Unavailable, BotoCoreError, ClientError.
    """
    lines = in_files(logs.folder, message_id)
    lines += await asyncio.to_thread(lambda: list(in_cloudwatch(settings, message_id, logs)))
    room_id = room_id or room_of(lines)
    if room_id is None:
        raise UnknownMessage
    archive, redis = Archive(settings), Redis.from_url(settings.redis_url)
    try:
        known = await in_redis(redis, room_id, message_id)
        return sorted([*lines, *known, *await in_table(archive, room_id, message_id)])
    finally:
        await redis.aclose()
        await archive.close()


async def in_redis(redis: Redis, room_id: str, message_id: str) -> list[TimelineStep]:
    """When the log accepted it, and whether its record is still in the outbox (48 h long)."""
    names = keys.room(room_id)
    wanted = ("ts", "epoch", "offset", "seq", "entries", "failed")
    found: list[Any] = await redis.hmget(names.idem(message_id), list(wanted))
    ts, epoch, offset, seq, entries, failed = ((value or b"").decode() for value in found)
    if not ts:
        return []
    place = {"room_id": room_id, "epoch": int(epoch), "offset": int(offset), "seq": int(seq)}
    steps = [TimelineStep(ts, "accepted in the room's log", place)]
    if failed:
        steps.append(TimelineStep(now(), "Redis: told as failed"))
    for entry in entries.split():
        waits = await redis.xrange(names.outbox, entry, entry)
        what = "waits in the outbox" if waits else "put into the outbox, and handed to SQS since"
        steps.append(TimelineStep(rfc3339(accepted_ms(entry) / 1000), what, {"entry": entry}))
    return steps


async def in_table(archive: Archive, room_id: str, message_id: str) -> list[TimelineStep]:
    """What chat-messages has of it now."""
    stored = await archive.message(room_id, message_id)
    if stored is None:
        return [TimelineStep(now(), "DynamoDB: not there")]
    place = {"epoch": stored.epoch, "offset": stored.offset, "seq": stored.seq}
    if stored.failed:
        return [TimelineStep(now(), "DynamoDB: failed, a tombstone without a place", place)]
    message = stored.message
    state = "deleted" if "deleted_at" in message else "there"
    return [TimelineStep(now(), f"DynamoDB: {state}", {**place, "version": message.get("version")})]


def room_of(steps: Iterable[TimelineStep]) -> str | None:
    """The room that the logs name."""
    return next((step.ids["room_id"] for step in steps if step.ids.get("room_id")), None)


# Logs


def in_cloudwatch(settings: Settings, message_id: str, logs: Logs) -> Iterator[TimelineStep]:
    """Lines of the log groups that name the message; a group that is not there has none."""
    client = aws.session(settings).client("logs", endpoint_url=settings.aws_endpoint_url)
    since = round((time.time() - logs.hours * 3600) * 1000)
    with closing(client):
        pages = client.get_paginator("filter_log_events")
        for group in logs.groups:
            who, wanted = group.rpartition("/")[2], f'"{message_id}"'
            with suppress(client.exceptions.ResourceNotFoundException):
                for page in pages.paginate(
                    logGroupName=group, filterPattern=wanted, startTime=since
                ):
                    for event in page["events"]:
                        at = rfc3339(event["timestamp"] / 1000)
                        yield from steps_of(event["message"], message_id, who, at)


def in_files(folder: Path, message_id: str) -> list[TimelineStep]:
    """Lines of the log files of a folder that name the message."""
    return [
        step
        for path in sorted(folder.glob("*.log"))
        for line in path.read_text("utf-8", "replace").splitlines()
        if message_id in line
        for step in steps_of(line, message_id, path.stem, "")
    ]


def steps_of(line: str, message_id: str, who: str, at: str) -> Iterator[TimelineStep]:
    """What one log line says of the message; a prefix before the JSON does not matter."""
    try:
        told = json.loads(line[line.index("{") :])
    except ValueError:
        return
    at = str(told.get("ts") or at)
    for one in told.get("applied", ()):
        if one.get("message_id") == message_id:
            yield TimelineStep(at, f"{who}: stored {one['kind']}", _told(one))
    if "applied" not in told:
        reason = told.get("reason") or told.get("why") or told.get("code") or told.get("error")
        says = f"{who}: {told.get('message')}" + (f" ({reason})" if reason else "")
        yield TimelineStep(at, says, _told(told))


def _told(line: dict[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in TOLD if name in line}
