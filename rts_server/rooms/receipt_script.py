"""Calls receipts.lua: one script for the moves of many members in many rooms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from redis.asyncio import Redis

from rts_server import keys
from rts_server.config import Settings, ms
from rts_server.persistence.scripts import IDENTITY, Script, ScriptCall
from rts_server.redis_client.pipeline import CommandPipe, by_slot, channels_of
from rts_server.roomlog.script import FENCE

_RECEIPTS = Script(IDENTITY, FENCE, Path(__file__).with_name("receipts.lua"))

MAX_MOVES = 100
"""Moves in one call, rooms that are only published included: Redis works a few
milliseconds on them at most."""

Cursors = tuple[int, int]
"""(read_seq, delivered_seq); 0 leaves a cursor as it is."""
Moves = Mapping[str, Mapping[str, Cursors]]
"""Room id → user id → the cursors to move to; a room without users is only published."""


@dataclass(frozen=True)
class MovedCursors:
    """A member's cursors after a move, and their unread messages if the read cursor was given."""

    read_seq: int
    delivered_seq: int
    unread: int


@dataclass
class MovedRoom:
    """What became of the moves in a room.

    Attributes:
        state: `warm`, else nothing was done: `cold` or `broken`.
        members: User id → their cursors; without those who are not members.
        publish_in: Seconds until what was not published yet may be; 0: nothing waits.
    """

    state: str
    members: dict[str, MovedCursors]
    publish_in: float


_RoomMoves = tuple[str, Mapping[str, Cursors]]


class ReceiptScript:
    """Moves cursors. Safe to repeat: they only move forward, to at most the room's seq (D8)."""

    def __init__(self, settings: Settings, redis: Redis | CommandPipe) -> None:
        self._redis = redis
        self._args: list[str | int] = [
            ms(settings.cursor_flush),
            ms(settings.delivered_flush),
            ms(settings.receipt_interval),
            settings.limits.receipt_members,
        ]

    async def move(self, moves: Moves) -> dict[str, MovedRoom]:
        """Return what became of the moves, by room. Raises RedisError."""
        groups = by_slot(self._redis, moves.items(), lambda one: keys.room(one[0]).head)
        parts = [part for some in groups for part in _parts(some)]
        replies = await _RECEIPTS.evaluate_many(
            self._redis, [self._script_call(one) for one in parts]
        )
        found: dict[str, MovedRoom] = {}
        for part, reply in zip(parts, replies, strict=True):
            for (room_id, users), answer in zip(part, reply, strict=True):
                _note(found, room_id, users, answer)
        return found

    def _script_call(self, part: list[_RoomMoves]) -> ScriptCall:
        moves = [[(user, *cursors) for user, cursors in users.items()] for _, users in part]
        heads = [keys.room(room_id).head for room_id, _ in part]
        # On a cluster all rooms of a call are of one partition, as their heads are in one slot.
        prefix = channels_of(self._redis).room_prefix(keys.partition(part[0][0]))
        return heads, [*self._args, prefix, orjson.dumps(moves).decode()]


def _parts(moves: Iterable[_RoomMoves]) -> Iterator[list[_RoomMoves]]:
    """Yield the moves in parts of MAX_MOVES; a room with more of them is in several."""
    part: list[_RoomMoves] = []
    left = MAX_MOVES
    for room_id, users in moves:
        for some in _portions(users):
            size = max(1, len(some))
            if size > left:
                yield part
                part, left = [], MAX_MOVES
            part.append((room_id, some))
            left -= size
    if part:
        yield part


def _portions(users: Mapping[str, Cursors]) -> Iterator[Mapping[str, Cursors]]:
    if len(users) <= MAX_MOVES:
        yield users
        return
    ids = list(users)
    for at in range(0, len(ids), MAX_MOVES):
        yield {user_id: users[user_id] for user_id in ids[at : at + MAX_MOVES]}


def _note(
    found: dict[str, MovedRoom], room_id: str, users: Mapping[str, Cursors], answer: list[Any]
) -> None:
    state, wait_ms, replies = answer
    room = found.setdefault(room_id, MovedRoom(state.decode(), {}, 0.0))
    if state != b"warm":
        room.state = state.decode()
    room.publish_in = max(room.publish_in, wait_ms / 1000)
    for user, reply in zip(users, replies, strict=False):
        if reply:
            room.members[user] = MovedCursors(*reply)
