"""Publishes once more where a room, or a user's index, stands when nothing follows (D5)."""

from __future__ import annotations

import asyncio

from rts_server.domain.position import Position
from rts_server.persistence.outbox import Entry
from rts_server.persistence.recent_changes import RecentChanges
from rts_server.persistence.user_rooms import UserRooms
from rts_server.redis_client.pipeline import CommandPipe, publish_all
from rts_server.relay.pauses import Pauses
from rts_server.runtime.loops import repeat_forever

QUIET_SECONDS = 2.0
"""Seconds without a further event after which the head is published."""
PUBLISH_SECONDS = 0.5
"""Time between two looks for quiet rooms."""
HEADS_PER_PIPELINE = 500
HEAD_EVENT = "~head@-"
"""An ephemeral event for nobody: instances compare its position and write it to no connection."""
ALWAYS = float("inf")

Membership = tuple[str, str]
"""A room and a user."""


class QuietHeads:
    """The last positions of rooms of one shard, from the entries that the relay reads.

    An instance whose stream is behind a published head repairs it, and one that stands at another
    version of a user's index compares it. So a lost publish costs one publish for each pause of a
    room, and no instance asks for the heads of its rooms. What was published is kept for a while
    (`RecentChanges`), for instances whose link was down.
    """

    def __init__(self, redis: CommandPipe, recent: RecentChanges, user_rooms: UserRooms) -> None:
        self._redis = redis
        self._recent, self._user_rooms = recent, user_rooms
        self._rooms: Pauses[str, Position] = Pauses(QUIET_SECONDS)
        self._left: Pauses[Membership, bool] = Pauses(QUIET_SECONDS)
        """Whether the user left the room, or came into it."""

    def note(self, entry: Entry) -> None:
        """Note the position of an entry, and the memberships that it changes.

        Records of cursors and barriers have none. A membership is noted when the entry is read,
        as its origin has written the index, and once more when the relay has.
        """
        epoch, _, offset = entry.position.partition(":")
        if not offset or epoch == "0":
            return
        now = asyncio.get_running_loop().time()
        position = int(epoch), int(offset)
        known = self._rooms.get(entry.room_id)
        self._rooms.note(entry.room_id, max(position, known) if known else position, now)
        for user_id, state in entry.users:
            self._left.note((entry.room_id, user_id), state == "out", now)

    async def run_forever(self) -> None:
        """Publish until cancelled. What could not be published is published later."""
        await repeat_forever("quiet heads", self._wait_and_publish)

    async def publish_all(self) -> None:
        """Publish what waits, quiet or not: this relay ends. Raises RedisError."""
        while await self._publish(ALWAYS):
            pass

    async def _wait_and_publish(self) -> None:
        await asyncio.sleep(PUBLISH_SECONDS)
        while await self._publish(asyncio.get_running_loop().time()):
            pass

    async def _publish(self, now: float) -> bool:
        """Publish what is quiet, some of it at most; return whether there was anything.

        It is noted as recent before it is published: an instance that reads what it missed finds
        it there, or hears it.
        """
        rooms = self._rooms.over(now, HEADS_PER_PIPELINE)
        left = self._left.over(now, HEADS_PER_PIPELINE)
        if not rooms and not left:
            return False
        await self._recent.note(rooms, left)
        name_of = self._redis.channels.room
        await publish_all(
            self._redis,
            [
                (name_of(room_id), f"{epoch} {offset} {HEAD_EVENT} {{}}")
                for room_id, (epoch, offset) in rooms.items()
            ],
        )
        self._rooms.done(rooms, now)
        users = {user_id: False for _, user_id in left}
        users |= {user_id: True for (_, user_id), has_left in left.items() if has_left}
        failed = await self._user_rooms.publish_versions(users)
        self._left.done(left, now)
        if now != ALWAYS:
            self._note_again({one: has_left for one, has_left in left.items() if one[1] in failed})
        return True

    def _note_again(self, left: dict[Membership, bool]) -> None:
        """Publish versions later: the shard of these users is away. Those behind them go on."""
        now = asyncio.get_running_loop().time()
        for membership, has_left in left.items():
            if self._left.get(membership) is None:
                self._left.note(membership, has_left, now)
