"""The rooms of a user: a hash derived from membership events, rebuilt from the archive."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

from redis.asyncio import Redis

from rts_server import keys
from rts_server.persistence.scripts import Call, Script

State = Literal["in", "out"]
_NOTE = Script(Path(__file__).with_name("user_rooms.lua"))
_COMPLETE = b"#complete"
_MARKS = (b"#ver", _COMPLETE)


class Membership(NamedTuple):
    """One room of a user and the position that put him in or out."""

    room_id: str
    epoch: int
    offset: int
    state: State


class UserRooms:
    """Reads and writes of the index. Guarantee: a field only ever moves to a newer position."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def note(self, user_id: str, room_id: str, epoch: int, offset: int, state: State) -> None:
        """Set one room if the position is newer, and tell the user's devices."""
        await self.note_all([(user_id, Membership(room_id, epoch, offset, state))])

    async def note_all(self, changes: list[tuple[str, Membership]]) -> None:
        """Several changes in one round trip."""
        calls: list[Call] = [
            ([keys.user_rooms(user_id)], [*change, keys.user_channel(user_id)])
            for user_id, change in changes
        ]
        await _NOTE.many(self._redis, calls)

    async def state(self, user_id: str, room_id: str) -> State | None:
        """Whether the user is in the room, as far as the index knows; None when it does not."""
        value: Any = await self._redis.hget(keys.user_rooms(user_id), room_id)
        return _parse(room_id, value).state if value else None

    async def all(self, user_id: str) -> tuple[list[Membership], bool]:
        """Everything known of the user's rooms, and whether that is complete."""
        fields: Any = await self._redis.hgetall(keys.user_rooms(user_id))
        known = [_parse(k.decode(), v) for k, v in fields.items() if k not in _MARKS]
        return known, _COMPLETE in fields

    async def complete(self, user_id: str) -> None:
        """Mark the hash as rebuilt: from now on what is not in it is not."""
        await self._redis.hset(keys.user_rooms(user_id), "#complete", "1")


def _parse(room_id: str, value: bytes) -> Membership:
    epoch, offset, state = value.decode().split(":")
    return Membership(room_id, int(epoch), int(offset), "in" if state == "in" else "out")
