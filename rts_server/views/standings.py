"""How a member stands in many warm rooms: two commands a room, and the short gaps they missed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from rts_server import keys
from rts_server.domain.position import Position
from rts_server.domain.standing import MemberInRoom, Standing
from rts_server.domain.unread import unread_count
from rts_server.redis_client.connection import Command, packed
from rts_server.redis_client.pipeline import CommandPipe, replies_to, server_of
from rts_server.views.uncounted import MAX_KEPT_SEQS, UncountedMessages, Version

MAX_GAP_EVENTS = 10
"""Missed events of a room that are read here; more are read within a budget of bytes."""
MAX_EVENTS = 100
"""Missed events of all rooms of a server together that are read here."""
_REPLICATION = packed("INFO", "replication")
_HEAD = ("epoch", "offset", "seq", "fence", "shape", "touched", "renewed", "forgotten")
"""Fields of a head that are read."""


def ignore_seen(room_id: str, used_ms: int) -> None:
    """Do nothing: rooms that are read stay no longer in Redis for it."""


class _Read(NamedTuple):
    """What the head of a room and the cursors of the member say."""

    position: Position
    seq: int
    read_seq: int
    delivered_seq: int
    settings: bytes | None
    uncounted: Version


class _Waiting(NamedTuple):
    """A room that needs further commands, by what they reply.

    `gap`: see `_short_gap`. `above`: uncounted messages above the read cursor, None to count them.
    """

    room_id: str
    read: _Read
    gap: int | None
    above: int | None
    more: Mapping[str, Command]


class StandingReader:
    """Reads the standings of a member in many rooms.

    It does with plain commands, in pipelines, what join.lua and events.lua do in one step, for an
    eighth of the commands. Their order replaces the step:

    - The head comes first. The stream begins there, so whatever is read after it may be newer:
      what is newer comes again with the stream. If it could be counted twice, it is noticed.
    - A member has a read cursor from the event that adds them to the one that removes them. Who
      has one after the head was read may have the events up to that head (A1, A2).
    - Whether this Redis wrote the heads is asked last (see fence.lua). A Redis gets another
      replication id when it is started as a primary or promoted, so one that is a primary with
      the id of a head had this id all the time (D6).

    A room whose keys are not as expected is left out: join.lua decides what it is. Hot keys that
    are not read here may be missing: what is replied was true when the last event was appended.
    """

    def __init__(
        self, redis: Redis | CommandPipe, on_seen: Callable[[str, int], None] = ignore_seen
    ) -> None:
        """`on_seen(room_id, used_ms)`: a room was read whose expiry was last moved at that time."""
        self._redis = redis
        self._on_seen = on_seen
        self._uncounted = UncountedMessages()

    async def read(
        self, user_id: str, cursors: Mapping[str, Position | None]
    ) -> dict[str, MemberInRoom]:
        """Return what a user missed, and where they stand, by room id. Raises RedisError.

        `cursors`: the rooms, and up to where the client has them; None: it has nothing.
        """
        of_server: dict[Hashable, dict[str, Position | None]] = {}
        for room_id, cursor in cursors.items():
            server = server_of(self._redis, keys.room(room_id).head)
            of_server.setdefault(server, {})[room_id] = cursor
        if len(of_server) == 1:
            return await self._read_at_one(user_id, cursors)
        reads = (self._read_at_one(user_id, some) for some in of_server.values())
        found: dict[str, MemberInRoom] = {}
        for part in await asyncio.gather(*reads):
            found |= part
        return found

    async def _read_at_one(
        self, user_id: str, cursors: Mapping[str, Position | None]
    ) -> dict[str, MemberInRoom]:
        """Return the same for rooms of one server."""
        own = _words(f"r:{user_id}", f"d:{user_id}", f"x:{user_id}")
        commands: list[Command] = []
        for room_id in cursors:
            head, begun = _commands(room_id)
            commands += (head, begun + own)
        *replies, replication = await self._replies([*commands, _REPLICATION])
        identity = _identity(replication)
        found: dict[str, MemberInRoom] = {}
        waiting: dict[str, _Waiting] = {}
        budget = MAX_EVENTS
        for (room_id, cursor), head, mine in zip(
            cursors.items(), replies[::2], replies[1::2], strict=True
        ):
            numbers = _numbers(head, mine, identity)
            if numbers is None:
                continue
            self._on_seen(room_id, max(int(head[5]), int(head[6] or 0)))
            position, seq, read_seq, delivered_seq = numbers
            gap = 0 if cursor == position else _short_gap(cursor, position, budget)
            above = self._above(room_id, _version(head), read_seq) if seq > read_seq else 0
            if above is not None and not gap and not mine[2]:  # as in most rooms
                unread = unread_count(seq, read_seq, above)
                standing = Standing(position, seq, read_seq, delivered_seq, unread)
                found[room_id] = MemberInRoom(standing, None if gap is None else [])
                continue
            read = _Read(*numbers, mine[2], _version(head))
            budget -= gap or 0
            more = _more(keys.room(room_id), read, user_id, gap or 0)
            if above is None:
                more |= self._count(room_id, read)
            waiting[room_id] = _Waiting(room_id, read, gap, above, more)
        if waiting:
            found |= await self._read_more(waiting, identity)
        return found

    async def _read_more(
        self, waiting: Mapping[str, _Waiting], identity: bytes | None
    ) -> dict[str, MemberInRoom]:
        """Return the members in those rooms whose head and cursors do not say everything."""
        commands = [command for one in waiting.values() for command in one.more.values()]
        *replies, replication = await self._replies([*commands, _REPLICATION])
        if _identity(replication) != identity:
            return {}
        left = iter(replies)
        answers = {r: {name: next(left) for name in one.more} for r, one in waiting.items()}
        members = {r: self._member(one, answers[r]) for r, one in waiting.items()}
        return {room_id: member for room_id, member in members.items() if member is not None}

    def _above(self, room_id: str, version: Version, read_seq: int) -> int | None:
        """Return how many messages above the read cursor are uncounted, None if not known."""
        return self._uncounted.above(room_id, version, read_seq) if version.size else 0

    def _count(self, room_id: str, read: _Read) -> dict[str, Command]:
        """Return the commands that count the uncounted messages, and read the newest to keep.

        The set only grows: if it has its size of the head afterwards, it had it when it was read.
        """
        key = keys.room(room_id).uncounted
        more: dict[str, Command] = {"above": ("ZCOUNT", key, f"({read.read_seq}", "+inf")}
        if not self._uncounted.has(room_id, read.uncounted):
            more["newest"] = ("ZRANGE", key, -MAX_KEPT_SEQS, -1)
        return more | {"size": ("ZCARD", key)}

    def _member(self, one: _Waiting, answers: Mapping[str, Any]) -> MemberInRoom | None:
        read = one.read
        if any(isinstance(answer, Exception) for answer in answers.values()):
            return None
        if answers.get("size", read.uncounted.size) != read.uncounted.size:
            return None
        if "newest" in answers:
            newest = [int(seq) for seq in answers["newest"]]
            self._uncounted.keep(one.room_id, read.uncounted, newest)
        standing = _standing(read, one.above or answers.get("above", 0))
        if read.settings:
            if not answers["member"]:
                return None
            _, muted, hidden = read.settings.split()
            role = answers["member"].split(b" ", 1)[0].decode()
            standing = standing._replace(
                muted=muted == b"1", hidden=hidden == b"1", has_settings=True, role=role
            )
        return MemberInRoom(standing, _events(answers.get("events", ()), one.gap))

    async def _replies(self, commands: Sequence[Command]) -> list[Any]:
        replies = await replies_to(self._redis, commands)
        for reply in replies:
            # A key of another type is no reason to fail: its room is left out.
            if isinstance(reply, Exception) and not isinstance(reply, ResponseError):
                raise reply
        return replies


@lru_cache(keys.CACHED_ROOMS)
def _commands(room_id: str) -> tuple[bytes, bytes]:
    """Return the command that reads the head of a room, and the one that reads its cursors.

    The second lacks the names of the fields, three. Both are packed once: a session with fifty
    rooms sends a hundred of them.
    """
    names, empty = keys.room(room_id), ("", "", "")
    head = packed("HMGET", names.head, *_HEAD)
    return head, packed("HMGET", names.cursors, *empty).removesuffix(_words(*empty))


def _words(*words: str) -> bytes:
    """Return words as they end a packed command."""
    return packed(*words).partition(b"\r\n")[2]


def _identity(replication: bytes) -> bytes | None:
    """Return the replication id, None if this is no primary."""
    if not isinstance(replication, bytes) or b"role:master" not in replication:
        return None
    return replication.partition(b"master_replid:")[2][:40]


def _numbers(head: Any, mine: Any, identity: bytes | None) -> tuple[Position, int, int, int] | None:
    """Return position, seq, read_seq and delivered_seq, None if a key is not as expected."""
    if isinstance(head, Exception) or isinstance(mine, Exception):
        return None
    (epoch, offset, seq, fence, shape, touched, *_), (read, delivered, _) = head, mine
    if not (epoch and offset and seq and fence and shape and touched and read and delivered):
        return None
    if len(fence) != 81 or fence[41:] != identity:
        return None
    newest, read_seq = int(seq), int(read)
    if read_seq > newest:
        return None
    return (int(epoch), int(offset)), newest, read_seq, int(delivered)


def _version(head: Any) -> Version:
    """Return what the uncounted messages of a room depend on."""
    epoch, _, _, fence, shape, _, _, forgotten = head
    return Version(fence, int(epoch), int(shape.rpartition(b":")[2]), forgotten)


def _short_gap(cursor: Position | None, position: Position, budget: int) -> int | None:
    """Return how many events are missing; None if these are many, or the cursor does not fit."""
    if cursor is None:
        return None
    gap = position[1] - cursor[1]
    fits = cursor[0] == position[0] and 0 <= gap <= min(MAX_GAP_EVENTS, budget)
    return gap if fits else None


def _more(names: keys.RoomKeys, read: _Read, user_id: str, gap: int) -> dict[str, Command]:
    """Return the commands that read missed events and a role, by what they reply."""
    more: dict[str, Command] = {}
    if gap:
        epoch, offset = read.position
        ends = f"{epoch}-{offset - gap + 1}", f"{epoch}-{offset}"
        more["events"] = ("XRANGE", names.log, *ends)
    if read.settings:
        more["member"] = ("HGET", names.members, user_id)
    return more


def _standing(read: _Read, above: int) -> Standing:
    unread = unread_count(read.seq, read.read_seq, above)
    return Standing(read.position, read.seq, read.read_seq, read.delivered_seq, unread)


def _events(entries: Sequence[Any], gap: int | None) -> list[bytes] | None:
    """Return `epoch offset event` each; None unless these are all that are missing."""
    if gap is None or len(entries) != gap:
        return None
    return [b"%s %s" % (at.replace(b"-", b" "), fields[1]) for at, fields in entries]
