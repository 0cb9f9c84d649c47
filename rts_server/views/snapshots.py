"""Where rooms stand and what they are to users: many in one round trip."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from redis.asyncio import Redis

from rts_server import keys
from rts_server.persistence.scripts import Call
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.roomlog.script import room_script

_JOIN = room_script(Path(__file__).with_name("join.lua"))
_EVENTS = room_script(Path(__file__).with_name("events.lua"))
_EPHEMERAL = room_script(Path(__file__).with_name("ephemeral.lua"))

SLICE = 10
AT_ONCE = 64
"""Lists of rooms in one pipeline: when everybody comes back, the others wait in line, not in it."""
LARGE = 64 * 1024 * 1024

Position = tuple[int, int]
"""(epoch, offset)"""


@dataclass(frozen=True)
class MemberView:
    """What a room is to one member."""

    role: str
    read_seq: int
    delivered_seq: int
    unread: int
    muted: bool = False
    hidden: bool = False
    uncounted: int = 0
    settled: bool = False


@dataclass(frozen=True)
class RoomSnapshot:
    """A warm room at one moment, and its seats of the users asked for (None: not a member)."""

    position: Position
    seq: int
    room: dict[str, Any]
    last: dict[str, Any] | None
    last_ms: int
    member_count: int
    starts: list[Position]
    members: dict[str, MemberView | None]

    def for_member(self, user_id: str) -> dict[str, Any]:
        """The room as the protocol shows it to a member."""
        seen = self.public()
        if seat := self.members.get(user_id):
            seen |= personal(seat)
        return seen

    def public(self) -> dict[str, Any]:
        """The room without a personal part."""
        seen = self.room | {"member_count": self.member_count, "seq": self.seq}
        seen |= {"epoch": self.position[0], "offset": self.position[1]}
        if self.last:
            seen["last_message"] = self.last
        return seen


def personal(seat: MemberView) -> dict[str, Any]:
    """The part of a room that is only the asking user's."""
    return {
        "role": seat.role,
        "read_seq": seat.read_seq,
        "delivered_seq": seat.delivered_seq,
        "unread": seat.unread,
        "muted": seat.muted,
        "hidden": seat.hidden,
    }


@dataclass(frozen=True)
class EventRange:
    """Events behind a position as they were published, from the first on without a hole.

    `position`: the room's head (None: not warm). `events` None: the hot log cannot tell.
    `member` False: the user asked for is none.
    """

    position: Position | None
    events: list[bytes] | None
    member: bool = True

    @property
    def whole(self) -> bool:
        """Whether the events reach the head."""
        if self.events is None or self.position is None:
            return False
        if not self.events:
            return True
        epoch, offset, _ = self.events[-1].split(b" ", 2)
        return (int(epoch), int(offset)) == self.position


class SnapshotReader:
    """Reads of warm rooms. A room that is not warm is None: its truth is in the archive."""

    def __init__(self, redis: Redis | RedisPipeline) -> None:
        self._redis = redis
        self._at_once = asyncio.Semaphore(AT_ONCE)

    async def read(self, room_id: str, user_ids: Sequence[str]) -> RoomSnapshot | None:
        """One room and some users' seats in it."""
        return (await self.read_many([(room_id, user_ids)]))[0]

    async def read_many(
        self, asked: Sequence[tuple[str, Sequence[str]]]
    ) -> list[RoomSnapshot | None]:
        """Several rooms in one round trip, in the order asked."""
        calls = [(keys.room(room_id)[:9], list(users)) for room_id, users in asked]
        async with self._at_once:
            answers = await _JOIN.many(self._redis, calls)
        return [_snapshot(a, users) for a, (_, users) in zip(answers, asked, strict=True)]

    async def events_since(
        self, asked: Sequence[tuple[str, Position, int]], user_id: str = "", budget: int = LARGE
    ) -> list[EventRange]:
        """Per (room_id, position, most): the events behind the position, oldest first.

        Rooms are read in slices until about `budget` bytes are found; the answer may be shorter
        than what was asked, but it holds the first room's first event.
        """
        found: list[EventRange] = []
        for i in range(0, len(asked), SLICE):
            if budget <= 0:
                break
            calls: list[Call] = [
                (keys.room(r)[:9], [epoch, offset, most, budget, user_id])
                for r, (epoch, offset), most in asked[i : i + SLICE]
            ]
            for answer in await _EVENTS.many(self._redis, calls):
                since = _since(answer)
                budget -= sum(len(event) for event in since.events or ())
                found.append(since)
        return found

    async def tell(self, room_id: str, user_id: str, kind: str, text: str) -> bool:
        """Publish an event that is never stored, at the room's head; False unless a member may."""
        args = [user_id, keys.room_channel(room_id), kind, text]
        answer = await _EPHEMERAL.run(self._redis, keys.room(room_id)[:9], args)
        return bool(answer == b"warm")


def _snapshot(answer: list[Any], users: Sequence[str]) -> RoomSnapshot | None:
    if answer[0] != b"warm" or not answer[4]:
        return None
    _, epoch, offset, seq, room, last, last_ms, count, starts, *rest = answer
    members: dict[str, MemberView | None] = {}
    for i, user_id in enumerate(users):
        member, read, delivered, uncounted, settings = rest[5 * i : 5 * i + 5]
        unread = max(0, seq - read - uncounted)
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


def _since(answer: list[Any]) -> EventRange:
    if answer[0] == b"warm":
        return EventRange((answer[1], answer[2]), answer[3:])
    if answer[0] == b"not_found":
        return EventRange(None, None, member=False)
    return EventRange((answer[1], answer[2]) if answer[0] == b"gone" else None, None)
