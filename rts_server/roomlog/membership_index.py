"""The origin's part of the user index: which rooms the members of an append came into or left."""

from __future__ import annotations

import logging

from redis.exceptions import RedisError

from rts_server.persistence.user_rooms import IndexedMembership, State, UserRooms
from rts_server.roomlog.request import AppendRequest, AppendResult, Op

log = logging.getLogger(__name__)

_STATES: dict[Op, State] = {"join": "in", "go": "out"}


class MembershipIndex:
    """Writes the memberships an append changed into the user index."""

    def __init__(self, user_rooms: UserRooms) -> None:
        self._user_rooms = user_rooms

    async def write(self, request: AppendRequest, result: AppendResult) -> None:
        """Write them before the ack, so that the user's next list has the room (D9).

        The relay writes them once more (T4): a failure here delays the index and loses nothing.
        """
        changes = [
            (user_id, IndexedMembership(request.room_id, result.epoch, offset, _STATES[event.op]))
            for offset, event in result.written(request)
            if event.op in _STATES and not event.allocates_seq
            for user_id in result.affected[event.op]
        ]
        if not changes:
            return
        try:
            await self._user_rooms.note_all(changes)
        except (RedisError, OSError):
            log.warning("user index is late", extra={"room_id": request.room_id})
