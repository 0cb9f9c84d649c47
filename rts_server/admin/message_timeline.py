"""The timeline of one message from Redis, the tables and the logs, without its text."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import keys, stack_names
from rts_server.config import Settings
from rts_server.persistence import aws
from rts_server.persistence.archive import Archive
from rts_server.protocol.event import now, rfc3339
from rts_server.redis_client.pipeline import CommandPipe, results_of
from rts_server.redis_client.servers import RedisServers
from rts_server.relay.outbox_metrics import appended_ms
from rts_server.roomlog.first_result import read_first_result

STEP_FIELDS = ("room_id", "epoch", "offset", "seq", "user_id", "session_id", "request_id")
"""Fields of a log line that a step has as its ids."""
REASON_FIELDS = ("reason", "why", "code", "error")
"""Fields of a log line that say why; the first one is shown."""
LOOKBACK_HOURS = 24.0
REDIS_CONNECT_SECONDS = 5.0
"""From outside its network, nothing answers at the address of Redis."""


@dataclass
class TimelineStep:
    """Something that happened to the message; `at`: RFC 3339, UTC, or empty if unknown."""

    at: str
    what: str
    ids: Mapping[str, object] = field(default_factory=dict)


class UnknownMessage(Exception):
    """Nothing is known of the message, or not its room. The text says where it was looked for."""


@dataclass(frozen=True)
class LogSources:
    """Logs to search: the `*.log` files of a folder, and CloudWatch log groups."""

    folder: Path
    groups: tuple[str, ...] = stack_names.log_groups("chat")
    hours: float = LOOKBACK_HOURS


async def read_timeline(
    settings: Settings, message_id: str, logs: LogSources, room_id: str | None = None
) -> list[TimelineStep]:
    """The known steps of a message, in the order of time.

    A Redis that cannot be reached is a step of its own. Raises UnknownMessage, Unavailable,
    BotoCoreError, ClientError.
    """
    lines = file_steps(logs.folder, message_id)
    lines += await asyncio.to_thread(lambda: list(cloudwatch_steps(settings, message_id, logs)))
    room_id = room_id or first_room_id(lines)
    if room_id is None:
        raise UnknownMessage(
            "No log of that time names this message; give --room, or more --hours."
        )
    archive = Archive(settings)
    servers = RedisServers(settings)
    redis = servers.pipe()
    unread = []
    try:
        try:
            lines += await redis_steps(redis, room_id, message_id)
        except (RedisError, OSError) as error:  # it lets in the instances alone
            unread = [TimelineStep(now(), f"Redis: could not be read ({error})")]
        stored = await archive_steps(archive, room_id, message_id)
        if not (lines or stored):
            where = "".join(f" {step.what}." for step in unread)
            raise UnknownMessage(
                f"Neither logs nor Redis nor DynamoDB know it in room {room_id}.{where}"
            )
        absent = [] if stored else [TimelineStep(now(), "DynamoDB: not there")]
        return in_order([*lines, *stored, *unread, *absent])
    finally:
        await redis.close()
        await servers.close()
        await archive.close()


async def redis_steps(
    redis: Redis | CommandPipe, room_id: str, message_id: str
) -> list[TimelineStep]:
    """When the room log accepted it, and whether its record is still in the outbox.

    Redis knows this as long as the event is in the hot log.
    """
    found = await read_first_result(redis, room_id, message_id)
    if found is None:
        return []
    place = {"room_id": room_id, "epoch": found.epoch, "offset": found.offset, "seq": found.seq}
    steps = [TimelineStep(found.ts, "accepted in the room's log", place)]
    if found.failed:
        steps.append(TimelineStep(now(), "Redis: reported as failed"))
    outbox = keys.room(room_id).outbox
    for entry in found.entries:
        (waits,) = await results_of(redis, [("XRANGE", outbox, entry, entry)])
        what = "waits in the outbox" if waits else "put into the outbox, and sent to SQS since"
        steps.append(TimelineStep(rfc3339(appended_ms(entry) / 1000), what, {"entry": entry}))
    return steps


async def archive_steps(archive: Archive, room_id: str, message_id: str) -> list[TimelineStep]:
    """Its present state in the archive, as one step; none if it is not there."""
    stored = await archive.message(room_id, message_id)
    if stored is None:
        return []
    place = {"epoch": stored.epoch, "offset": stored.offset, "seq": stored.seq}
    if stored.failed:
        return [TimelineStep(now(), "DynamoDB: failed, without a position", place)]
    message = stored.message
    state = "deleted" if "deleted_at" in message else "there"
    return [TimelineStep(now(), f"DynamoDB: {state}", {**place, "version": message.get("version")})]


def in_order(steps: Iterable[TimelineStep]) -> list[TimelineStep]:
    """The steps by time, those without one last.

    A step without a time is left out if another source has it with its time: the functions' lines
    are dated by CloudWatch, and not in the log of the local AWS.
    """

    def event(step: TimelineStep) -> tuple[str, str]:
        return step.what.partition(": ")[2], repr(sorted(step.ids.items()))

    whole = list(steps)
    dated = {event(step) for step in whole if step.at}
    kept = [step for step in whole if step.at or event(step) not in dated]
    return sorted(kept, key=lambda step: (not step.at, step.at, step.what))


def first_room_id(steps: Iterable[TimelineStep]) -> str | None:
    """The first room that a step names."""
    ids = (step.ids.get("room_id") for step in steps)
    return next((room_id for room_id in ids if isinstance(room_id, str) and room_id), None)


# LogSources


def cloudwatch_steps(
    settings: Settings, message_id: str, logs: LogSources
) -> Iterator[TimelineStep]:
    """Steps from the log groups that exist, by their lines that contain the message id."""
    client = aws.session(settings).client("logs", endpoint_url=settings.aws_endpoint_url)
    since = round((time.time() - logs.hours * 3600) * 1000)
    with closing(client):
        pages = client.get_paginator("filter_log_events")
        for group in logs.groups:
            source, wanted = group.rpartition("/")[2], f'"{message_id}"'
            with suppress(client.exceptions.ResourceNotFoundException):
                for page in pages.paginate(
                    logGroupName=group, filterPattern=wanted, startTime=since
                ):
                    for event in page["events"]:
                        at = rfc3339(event["timestamp"] / 1000)
                        yield from log_line_steps(event["message"], message_id, source, at)


def file_steps(folder: Path, message_id: str) -> list[TimelineStep]:
    """Steps from the log files of a folder, by their lines that contain the message id."""
    return [
        step
        for path in sorted(folder.glob("*.log"))
        for line in path.read_text("utf-8", "replace").splitlines()
        if message_id in line
        for step in log_line_steps(line, message_id, path.stem, "")
    ]


def log_line_steps(line: str, message_id: str, source: str, at: str) -> Iterator[TimelineStep]:
    """Steps from one log line, a JSON object behind any prefix; none if it is something else.

    `source`: named in the step. `at`: the time, unless the line has a `ts`.
    """
    try:
        fields = json.loads(line[line.index("{") :])
    except ValueError:
        return
    at = str(fields.get("ts") or at)
    for one in (fields.get("first"), fields.get("last")):
        if one and one.get("message_id") == message_id:
            yield TimelineStep(at, f"{source}: stored {one['kind']}", _step_fields(one))
    if "kinds" not in fields:
        reason = next((fields[name] for name in REASON_FIELDS if fields.get(name)), None)
        what = f"{source}: {fields.get('message')}" + (f" ({reason})" if reason else "")
        yield TimelineStep(at, what, _step_fields(fields))


def _step_fields(line: Mapping[str, object]) -> dict[str, object]:
    return {name: line[name] for name in STEP_FIELDS if name in line}
