"""The members of a room, from Redis, or from the archive if the room is not warm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from redis.asyncio import Redis

from rts_server import errors, keys
from rts_server.persistence.archive import Archive
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.roomlog.drains import RoomDrains
from rts_server.roomlog.script import room_script
from rts_server.types.objects import Member

_MEMBERS = room_script(Path(__file__).with_name("member_list.lua"))


class MemberList:
    """Reads the members of rooms. Every method raises Unavailable if the archive is."""

    def __init__(self, redis: Redis | RedisPipeline, archive: Archive, drains: RoomDrains) -> None:
        self._redis = redis
        self._archive = archive
        self._drains = drains

    @staticmethod
    def key(member: Member) -> str:
        """The order of the list."""
        return member["user_id"]

    async def for_member(self, room_id: str, user_id: str) -> list[Member]:
        """Every member, in order of user id. Raises NotFound unless the user is one of them."""
        members = await self.for_operator(room_id)
        if all(member["user_id"] != user_id for member in members):
            raise errors.NotFound()
        return members

    async def for_operator(self, room_id: str) -> list[Member]:
        """Every member, in order of user id; an empty list for a room that does not exist."""
        answer = await self._read(room_id)
        if answer[0] != b"warm":
            await self._drains.wait_settled(room_id)
            answer = await self._read(room_id)  # another instance may have loaded it meanwhile
        members = _hot(answer[1:]) if answer[0] == b"warm" else await self._archived(room_id)
        return sorted(members, key=self.key)

    async def _read(self, room_id: str) -> Any:
        return await _MEMBERS.evaluate(self._redis, keys.room(room_id).script_keys, [])

    async def _archived(self, room_id: str) -> list[Member]:
        found = []
        for stored in await self._archive.members(room_id):
            if stored.state != "in":
                continue
            member: Member = {
                "user_id": stored.user_id,
                "role": stored.role,
                "joined_at": stored.joined_at,
                "read_seq": stored.read_seq,
                "delivered_seq": stored.delivered_seq,
            }
            if stored.name:
                member["name"] = stored.name
            found.append(member)
        return found


def _hot(answer: list[Any]) -> list[Member]:
    members: list[Member] = []
    for text, read, delivered in zip(answer[::3], answer[1::3], answer[2::3], strict=True):
        stored = orjson.loads(text.split(b" ", 1)[1])
        members.append(stored | {"read_seq": read, "delivered_seq": delivered})
    return members
