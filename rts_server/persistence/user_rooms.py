"""The user index: the rooms of each user, derived from membership events, in one hash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from redis.asyncio import Redis

from rts_server import keys
from rts_server.persistence.scripts import IDENTITY, Script, ScriptCall
from rts_server.persistence.stored_items import StoredMembership
from rts_server.redis_client.connection import Command
from rts_server.redis_client.pipeline import (
    CommandPipe,
    by_slot,
    channels_of,
    publications,
    publish_all,
    results_of,
)

State = Literal["in", "out"]
_HERE = Path(__file__).parent
_COMMON = _HERE / "user_rooms_common.lua"
_NOTE = Script(_COMMON, _HERE / "user_rooms.lua")
_MARK = _HERE / "user_rooms_mark.lua"
_READ = Script(IDENTITY, _MARK, _HERE / "user_rooms_read.lua")
_SHARED = Script(IDENTITY, _MARK, _HERE / "user_rooms_shared.lua")
_AMONG = Script(IDENTITY, _MARK, _HERE / "user_rooms_among.lua")
_VERSION = Script(_HERE / "user_rooms_version.lua")
_REBUILD = Script(IDENTITY, _COMMON, _HERE / "user_rooms_rebuild.lua")
RECHECK_MS = 60_000
"""A rebuilt index is rebuilt once more after this time: records may have been in the queue."""
EMPTY_TTL_MS = 86_400_000
"""How long the index of a user without rooms is kept."""
TTL_MS = 30 * 86_400_000
"""How long an index is kept that is neither read nor changed, and how long one rebuild suffices."""
LEFT_A_ROOM = b"-"
"""Published on the channel of a user's presence when they have left a room."""
MAX_USERS_PER_SCRIPT = 100
"""Users compared in one script call, so that Redis is never blocked for long."""


class IndexedMembership(NamedTuple):
    """One room of a user, and the position of the event that set the state."""

    room_id: str
    epoch: int
    offset: int
    state: State


class UserIndex(NamedTuple):
    """The rooms of a user, whether these are all, and the version of the index."""

    rooms: list[IndexedMembership]
    complete: bool
    version: str


class UserRooms:
    """Reads and writes the index. Guarantee: a field only moves to a newer position (D8).

    `reads`: the pipeline by which whole indexes are read. All methods raise RedisError.
    """

    def __init__(self, redis: Redis | CommandPipe, reads: CommandPipe | None = None) -> None:
        self._redis = redis
        self._reads = reads or redis
        self._channels = channels_of(redis)

    async def note(self, user_id: str, room_id: str, epoch: int, offset: int, state: State) -> None:
        """Set one room if the position is newer, and publish that to the user's devices."""
        await self.note_all([(user_id, IndexedMembership(room_id, epoch, offset, state))])

    async def note_all(self, changes: list[tuple[str, IndexedMembership]]) -> None:
        """Set several rooms, as `note` does, in one round trip, and one more for those left."""
        calls: list[ScriptCall] = [
            (
                [keys.user_rooms(user_id)],
                [*change, self._channels.user(user_id), EMPTY_TTL_MS, TTL_MS],
            )
            for user_id, change in changes
        ]
        await _NOTE.evaluate_many(self._redis, calls)
        await self._publish_left([user_id for user_id, one in changes if one.state == "out"])

    async def _publish_left(self, user_ids: Iterable[str]) -> None:
        """Let watches of users who left a room be checked: they end with the last common room (A2).

        Not before their indexes have it, or who checks would still find the room.
        """
        names = [self._channels.presence(user_id) for user_id in dict.fromkeys(user_ids)]
        if names:
            await publish_all(self._redis, [(name, LEFT_A_ROOM) for name in names])

    async def _publish_left_if_possible(self, user_ids: list[str]) -> set[str]:
        """As `_publish_left`; return the users of whom that failed."""
        messages = [(self._channels.presence(user_id), LEFT_A_ROOM) for user_id in user_ids]
        replies = await publications(self._redis, messages)
        return {
            user_id
            for user_id, reply in zip(user_ids, replies, strict=True)
            if isinstance(reply, Exception)
        }

    async def publish_versions(self, have_left: Mapping[str, bool]) -> set[str]:
        """Publish the version of each user's index on their channel, for who missed a change.

        `have_left`: whether they left a room, so that watches of them are compared once more.
        Returns the users of whom that failed.
        """
        calls: list[ScriptCall] = [
            ([keys.user_rooms(user_id)], [self._channels.user(user_id)]) for user_id in have_left
        ]
        answers = await _VERSION.answers(self._redis, calls)
        replies = dict(zip(have_left, answers, strict=True))
        failed = {user_id for user_id, one in replies.items() if isinstance(one, Exception)}
        told = [user_id for user_id, left in have_left.items() if left and user_id not in failed]
        return failed | await self._publish_left_if_possible(told)

    async def state(self, user_id: str, room_id: str) -> State | None:
        """Return whether the user is in the room; None if the index does not know the room."""
        (value,) = await results_of(self._redis, [("HGET", keys.user_rooms(user_id), room_id)])
        return _state(value) if value else None

    async def all(self, user_id: str) -> UserIndex:
        """Return the index of a user."""
        return (await self.all_of([user_id]))[0]

    async def all_of(self, user_ids: list[str]) -> list[UserIndex]:
        """Return the indexes of several users, in one round trip; they are kept for longer."""
        answers = await _READ.evaluate_many(
            self._reads, [([keys.user_rooms(u)], [TTL_MS]) for u in user_ids]
        )
        return [_index(complete, pairs) for complete, pairs in answers]

    async def crowded(self, room_id: str, user_ids: list[str], least: int) -> dict[str, int]:
        """Return the number of rooms of those users who are in `least` or more, and not in this."""
        indexes = {user_id: keys.user_rooms(user_id) for user_id in user_ids}
        sizes = await results_of(self._redis, [("HLEN", one) for one in indexes.values()])
        many = [user for user, size in zip(indexes, sizes, strict=True) if size >= least]
        asked: list[Command] = []
        for user in many:
            asked += (("HVALS", indexes[user]), ("HGET", indexes[user], room_id))
        replies = await results_of(self._redis, asked) if asked else []
        counts = {
            # A member of this room does not join it.
            user: 0 if state and _is_in(state) else sum(map(_is_in, theirs))
            for user, theirs, state in zip(many, replies[::2], replies[1::2], strict=True)
        }
        return {user: count for user, count in counts.items() if count >= least}

    async def shared(self, user_id: str, others: list[str]) -> dict[str, bool | None]:
        """Return, per other user, whether both are in a common room; None if that is unknown.

        Who has a direct room with the user costs two fields. Of all others the user's rooms are
        looked up, in several scripts, so that other commands run in between.
        """
        found: dict[str, bool | None] = {}
        for i in range(0, len(others), MAX_USERS_PER_SCRIPT):
            part = others[i : i + MAX_USERS_PER_SCRIPT]
            names = [keys.user_rooms(one) for one in (user_id, *part)]
            if len(by_slot(self._redis, names, str)) > 1:
                found |= await self._shared_apart(user_id, part)
                continue
            direct = [keys.direct_room_id(user_id, one) for one in part]
            answers = await _SHARED.evaluate(self._redis, names, direct)
            found |= {u: None if a < 0 else bool(a) for u, a in zip(part, answers, strict=True)}
        return found

    async def _shared_apart(self, user_id: str, others: list[str]) -> dict[str, bool | None]:
        """As `shared`, where no script can name all the indexes: each is asked by itself.

        The user's own index is read before. Whoever has to know subscribes before they ask, as
        with one script: a change between two reads is told to them.
        """
        mine = await self.all(user_id)
        rooms = {one.room_id: None for one in mine.rooms if one.state == "in"}
        direct = {one: keys.direct_room_id(user_id, one) for one in others}
        likely = [one for one in others if direct[one] in rooms]
        states = await results_of(
            self._redis, [("HGET", keys.user_rooms(one), direct[one]) for one in likely]
        )
        found: dict[str, bool | None] = {
            one: True for one, state in zip(likely, states, strict=True) if state and _is_in(state)
        }
        rest = [one for one in others if one not in found]
        calls: list[ScriptCall] = [([keys.user_rooms(one)], list(rooms)) for one in rest]
        answers = await _AMONG.evaluate_many(self._redis, calls)
        for one, (complete, is_in_one) in zip(rest, answers, strict=True):
            known = False if mine.complete and complete else None
            found[one] = bool(is_in_one) or one == user_id or known
        return found

    async def rebuild(
        self, user_id: str, rooms: Iterable[IndexedMembership | StoredMembership]
    ) -> UserIndex:
        """Set all rooms of a user, as the archive has them, and return the index.

        It is complete then: a room that is missing in it is no room of the user. If anything
        changes, one message on the user's channel says so.
        """
        args: list[str | int] = [RECHECK_MS, EMPTY_TTL_MS]
        args += [self._channels.user(user_id), TTL_MS]
        for one in rooms:
            args += one
        answer = await _REBUILD.evaluate(self._reads, [keys.user_rooms(user_id)], args)
        complete, pairs, has_left = answer
        if has_left:
            await self._publish_left([user_id])
        return _index(complete, pairs)


def _index(complete: int, pairs: list[bytes]) -> UserIndex:
    fields = dict(zip(pairs[::2], pairs[1::2], strict=True))
    version = keys.index_version(fields.pop(b"#ver", None), fields.pop(b"#complete", None))
    return UserIndex([_parse(*one) for one in fields.items()], bool(complete), version)


def _parse(room_id: bytes, value: bytes) -> IndexedMembership:
    epoch, offset, _ = value.split(b":")
    return IndexedMembership(room_id.decode(), int(epoch), int(offset), _state(value))


def _state(value: bytes) -> State:
    return "in" if _is_in(value) else "out"


def _is_in(value: bytes) -> bool:
    return value.endswith(b":in")
