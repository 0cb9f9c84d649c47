"""The display name of a user, in every room they are in."""

from __future__ import annotations

import asyncio

from rts_server import errors
from rts_server.roomlog.log import SystemRoomLog
from rts_server.roomlog.member_events import member_renamed
from rts_server.roomlog.pending_write import PendingWrite
from rts_server.views.user_memberships import UserMemberships

ROOMS_AT_ONCE = 20
"""Rooms that one call appends to at once: a cold room takes a while, and is loaded by its own."""


class DisplayNames:
    """Renames users. A name is part of each membership, so a rename is an append per room."""

    def __init__(self, appends: SystemRoomLog, memberships: UserMemberships) -> None:
        self._appends = appends
        self._memberships = memberships

    async def rename(self, actor_id: str, user_id: str, name: str) -> list[PendingWrite]:
        """Give the user this name in every room they are in; safe to repeat.

        Returns the pending write of each room. Where the name was so already, nothing is written.
        Raises Unavailable, maybe after some of the rooms: a repetition does the rest.
        """
        rooms = await self._memberships.current(user_id)
        found: list[PendingWrite | None] = []
        for at in range(0, len(rooms), ROOMS_AT_ONCE):
            part = rooms[at : at + ROOMS_AT_ONCE]
            found += await asyncio.gather(
                *(self.rename_in(one.room_id, actor_id, user_id, name) for one in part)
            )
        return [done for done in found if done is not None]

    async def rename_in(
        self, room_id: str, actor_id: str, user_id: str, name: str
    ) -> PendingWrite | None:
        """Give the user this name in one room; None for a room that was deleted meanwhile."""
        request = member_renamed(room_id, actor_id, user_id, name)
        try:
            return await self._appends.append(request)
        except (errors.NotFound, errors.Gone):  # deleted since the index was read
            return None
