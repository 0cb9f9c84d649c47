"""Consistent snapshots of warm rooms and of their members' views, many in one round trip."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from redis.asyncio import Redis

from rts_server import keys
from rts_server.domain.position import Position
from rts_server.domain.roles import Role
from rts_server.domain.room import RoomFields
from rts_server.domain.standing import MemberInRoom
from rts_server.domain.unread import unread_count
from rts_server.persistence.scripts import ScriptCall
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.roomlog.script import room_script
from rts_server.types.objects import LastMessage, PublicRoom, Room
from rts_server.views.activity import last_activity
from rts_server.views.standings import StandingReader, ignore_seen

_JOIN = room_script(Path(__file__).with_name("join.lua"))
_EVENTS = room_script(Path(__file__).with_name("events.lua"))
EVENT_ROOMS_PER_READ = 10
"""Rooms whose events are read in one round trip."""
MAX_CONCURRENT_READS = 64
"""Snapshot reads that may be in the pipeline at once. When many clients reconnect together, the
rest wait here, so that commands do not wait behind all of them in the pipeline."""
UNLIMITED_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class MemberView:
    """One member's view of a room.

    `uncounted`: messages above `read_seq` that never count as unread. `has_settings`: they have
    set `muted` or `hidden` at least once.
    """

    role: Role
    read_seq: int
    delivered_seq: int
    unread: int
    muted: bool = False
    hidden: bool = False
    uncounted: int = 0
    has_settings: bool = False


@dataclass(frozen=True)
class RoomSnapshot:
    """A warm room at one position of its log.

    `room`: the room's own fields. `last`: its last message, if any, created at `last_ms`.
    `starts`: (epoch, seq before its first message) of each epoch. `members`: the view of each user
    that was asked for, None for a user who is not a member.
    """

    position: Position
    seq: int
    room: RoomFields
    last: LastMessage | None
    last_ms: int
    member_count: int
    starts: list[Position]
    members: dict[str, MemberView | None]

    def public(self) -> PublicRoom:
        """The protocol's room without the fields that depend on the member."""
        room: PublicRoom = {
            **self.room,
            "member_count": self.member_count,
            "seq": self.seq,
            "epoch": self.position[0],
            "offset": self.position[1],
        }
        if self.last:
            room["last_message"] = self.last
        return room


def for_member(room: PublicRoom, view: MemberView) -> Room:
    """The protocol's room as a member sees it."""
    return {
        **room,
        "role": view.role,
        "read_seq": view.read_seq,
        "delivered_seq": view.delivered_seq,
        "unread": view.unread,
        "muted": view.muted,
        "hidden": view.hidden,
    }


@dataclass(frozen=True)
class EventRange:
    """Published events after a position, contiguous from the first one.

    `position`: the room's head; None if the room is not warm. `events`: `epoch offset event`
    each; None if the hot log does not reach back to the position. `is_member`: False if the user
    who asked is not a member.
    """

    position: Position | None
    events: list[bytes] | None
    is_member: bool = True

    @property
    def reaches_head(self) -> bool:
        """True if no event is missing between the position and the head."""
        if self.events is None or self.position is None:
            return False
        if not self.events:
            return True
        epoch, offset, _ = self.events[-1].split(b" ", 2)
        return (int(epoch), int(offset)) == self.position


class SnapshotReader:
    """Reads warm rooms from Redis. A room that is not warm is None: read the archive instead."""

    def __init__(
        self, redis: Redis | CommandPipe, on_seen: Callable[[str, int], None] = ignore_seen
    ) -> None:
        """`on_seen`: see `StandingReader`."""
        self._redis = redis
        self._standings = StandingReader(redis, on_seen)
        self._concurrent_reads = asyncio.Semaphore(MAX_CONCURRENT_READS)

    async def read(self, room_id: str, user_ids: Sequence[str]) -> RoomSnapshot | None:
        """One room with the views of some users; None if it is not warm."""
        return (await self.read_many([(room_id, user_ids)]))[0]

    async def read_many(
        self, asked: Sequence[tuple[str, Sequence[str]]]
    ) -> list[RoomSnapshot | None]:
        """Read several (room_id, user_ids) in one round trip; results are in the same order."""
        if not asked:
            return []
        calls = [(keys.room(room_id).script_keys, list(users)) for room_id, users in asked]
        async with self._concurrent_reads:
            answers = await _JOIN.evaluate_many(self._redis, calls)
        return [_snapshot(a, users) for a, (_, users) in zip(answers, asked, strict=True)]

    async def members(
        self, user_id: str, cursors: Mapping[str, Position | None]
    ) -> dict[str, MemberInRoom]:
        """How a member stands in rooms, and short gaps after their cursors (None: no cursor).

        Rooms that are not warm, or not the user's, are left out; so may be others: read these.
        """
        if not cursors:
            return {}
        async with self._concurrent_reads:
            return await self._standings.read(user_id, cursors)

    async def last_activity(self, room_ids: Collection[str]) -> dict[str, int]:
        """The time (ms) by which lists are ordered, of warm rooms; others may be left out."""
        async with self._concurrent_reads:
            return await last_activity(self._redis, room_ids)

    async def events_since(
        self,
        asked: Sequence[tuple[str, Position, int]],
        user_id: str = "",
        budget: int = UNLIMITED_BYTES,
    ) -> list[EventRange]:
        """Per (room_id, position, limit): the events after the position, oldest first.

        `budget`: bytes of events to read. Rooms are read in batches until about as many are found:
        the result may be shorter than `asked`, but it contains the first event of the first room.
        '' as `user_id` skips the check of membership.
        """
        found: list[EventRange] = []
        for i in range(0, len(asked), EVENT_ROOMS_PER_READ):
            if budget <= 0:
                break
            calls: list[ScriptCall] = [
                (keys.room(r).script_keys, [epoch, offset, most, budget, user_id])
                for r, (epoch, offset), most in asked[i : i + EVENT_ROOMS_PER_READ]
            ]
            for answer in await _EVENTS.evaluate_many(self._redis, calls):
                events = _event_range(answer)
                budget -= sum(len(event) for event in events.events or ())
                found.append(events)
        return found


def _snapshot(answer: list[Any], users: Sequence[str]) -> RoomSnapshot | None:
    if answer[0] != b"warm" or not answer[4]:
        return None
    _, epoch, offset, seq, room, last, last_ms, count, starts, *rest = answer
    members: dict[str, MemberView | None] = {}
    for i, user_id in enumerate(users):
        member, read, delivered, uncounted, settings = rest[5 * i : 5 * i + 5]
        unread = unread_count(seq, read, uncounted)
        role = member.split(b" ", 1)[0].decode()
        _, muted, hidden = (settings or b"0 0 0").split()
        own = (muted == b"1", hidden == b"1", uncounted, bool(settings))
        members[user_id] = MemberView(role, read, delivered, unread, *own) if member else None
    return RoomSnapshot(
        position=(epoch, offset),
        seq=seq,
        room=orjson.loads(room),
        last=orjson.loads(last) if last else None,
        last_ms=last_ms,
        member_count=count,
        starts=[(e, s) for e, s in orjson.loads(starts)],
        members=members,
    )


def _event_range(answer: list[Any]) -> EventRange:
    if answer[0] == b"warm":
        return EventRange((answer[1], answer[2]), answer[3:])
    if answer[0] == b"not_found":
        return EventRange(None, None, is_member=False)
    return EventRange((answer[1], answer[2]) if answer[0] == b"gone" else None, None)
