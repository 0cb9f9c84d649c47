"""The members of a room, from Redis, or from the archive if the room is not warm."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nsmallest
from pathlib import Path
from typing import Any

import orjson
from redis.asyncio import Redis

from rts_server import errors, keys
from rts_server.persistence.archive import Archive
from rts_server.persistence.scripts import Script
from rts_server.persistence.stored_items import StoredMember
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.roomlog.drains import RoomDrains
from rts_server.roomlog.script import room_script
from rts_server.types.objects import Member

_HERE = Path(__file__).parent
_MEMBERS = room_script(_HERE / "member_list.lua")
_NAMES = room_script(_HERE / "member_names.lua")
MEMBERS_PER_SCRIPT = 250
"""Members that one script reads, so that Redis is never blocked for long."""


class MemberList:
    """Reads the members of rooms. Every method raises Unavailable if the archive is.

    What a method reads depends on the members it returns; of the others it reads the user ids at
    most. `asker`: a user who must be a member, else NotFound is raised; None for an operator.
    """

    def __init__(self, redis: Redis | CommandPipe, archive: Archive, drains: RoomDrains) -> None:
        self._redis = redis
        self._archive = archive
        self._drains = drains

    async def named(
        self, room_id: str, user_ids: Sequence[str], asker: str | None = None
    ) -> list[Member]:
        """Those of some users who are members, in order of user id."""
        wanted = sorted({*user_ids, *_all_of(asker)})
        found = {one["user_id"]: one for one in await self._read(room_id, wanted)}
        _require(asker, found)
        return [found[user_id] for user_id in sorted({*user_ids}) if user_id in found]

    async def page(
        self, room_id: str, after: str, limit: int, asker: str | None = None
    ) -> tuple[list[Member], str | None]:
        """The first `limit` members whose user id is above `after`, in order of user id.

        The second value is `after` for the next page, None at the end.
        """
        names = await self._names(room_id)
        if names is None:
            return await self._archived_page(room_id, after, limit, asker)
        _require(asker, names)
        following = nsmallest(limit + 1, (name for name in names if name > after))
        shown = following[:limit]
        members = await self._read(room_id, shown)
        return members, shown[-1] if len(following) > limit else None

    async def all(self, room_id: str, asker: str | None = None) -> list[Member]:
        """Every member, in order of user id; an empty list for a room that does not exist."""
        names = await self._names(room_id)
        if names is None:
            members = [_member(one) for one in await self._archive.members(room_id) if _is_in(one)]
            _require(asker, [member["user_id"] for member in members])
            return sorted(members, key=lambda member: member["user_id"])
        _require(asker, names)
        return await self._read(room_id, sorted(names))

    async def _names(self, room_id: str) -> list[str] | None:
        """The user ids of a warm room, None for another one, which is settled then."""
        answers = await self._warm(_NAMES, room_id, [[]])
        return None if answers is None else [name.decode() for name in answers[0]]

    async def _read(self, room_id: str, user_ids: list[str]) -> list[Member]:
        """Members among these, in their order."""
        parts = [
            user_ids[at : at + MEMBERS_PER_SCRIPT]
            for at in range(0, len(user_ids), MEMBERS_PER_SCRIPT)
        ]
        answers = await self._warm(_MEMBERS, room_id, parts)
        if answers is None:
            stored = await self._archive.members_named(room_id, user_ids)
            found = {one.user_id: _member(one) for one in stored if _is_in(one)}
            return [found[user_id] for user_id in user_ids if user_id in found]
        return [member for answer in answers for member in _hot(answer)]

    async def _warm(
        self, script: Script, room_id: str, args: Sequence[Sequence[str]]
    ) -> list[list[Any]] | None:
        """The replies of several evaluations without their state; None if the room is not warm."""
        answers = await self._evaluate(script, room_id, args)
        if answers is None:
            await self._drains.wait_settled(room_id)
            answers = await self._evaluate(script, room_id, args)  # another instance may load it
        return answers

    async def _evaluate(
        self, script: Script, room_id: str, args: Sequence[Sequence[str]]
    ) -> list[list[Any]] | None:
        names = keys.room(room_id).script_keys
        answers = await script.evaluate_many(self._redis, [(names, part) for part in args])
        if any(answer[0] != b"warm" for answer in answers):
            return None
        return [answer[1:] for answer in answers]

    async def _archived_page(
        self, room_id: str, after: str, limit: int, asker: str | None
    ) -> tuple[list[Member], str | None]:
        if asker is not None:
            member = await self._archive.member(room_id, asker)
            _require(asker, [asker] if member is not None and _is_in(member) else [])
        following = await self._archive.member_page(room_id, after, limit + 1)
        shown = [_member(one) for one in following[:limit]]
        return shown, shown[-1]["user_id"] if len(following) > limit else None


def _all_of(asker: str | None) -> list[str]:
    return [] if asker is None else [asker]


def _require(asker: str | None, members: Any) -> None:
    if asker is not None and asker not in members:
        raise errors.NotFound()


def _is_in(member: StoredMember) -> bool:
    return member.state == "in"


def _member(stored: StoredMember) -> Member:
    member: Member = {
        "user_id": stored.user_id,
        "role": stored.role,
        "joined_at": stored.joined_at,
        "read_seq": stored.read_seq,
        "delivered_seq": stored.delivered_seq,
    }
    if stored.name:
        member["name"] = stored.name
    return member


def _hot(answer: list[Any]) -> list[Member]:
    members: list[Member] = []
    for text, read, delivered in zip(answer[::3], answer[1::3], answer[2::3], strict=True):
        if text:
            stored = orjson.loads(text.split(b" ", 1)[1])
            members.append(stored | {"read_seq": read, "delivered_seq": delivered})
    return members
