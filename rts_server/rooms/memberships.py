"""Durable commands on who is in a room, and as what."""

from __future__ import annotations

from rts_server import errors
from rts_server.config import Settings
from rts_server.persistence.archive import Archive
from rts_server.persistence.user_rooms import UserRooms
from rts_server.roomlog import events
from rts_server.roomlog.log import NotAMember
from rts_server.roomlog.writer import LogWriter, PendingWrite


class Memberships:
    """Come, go, change. Every command is safe to repeat."""

    def __init__(
        self, settings: Settings, appends: LogWriter, user_rooms: UserRooms, archive: Archive
    ) -> None:
        self._limits = settings.limits
        self._appends = appends
        self._user_rooms = user_rooms
        self._archive = archive

    async def add(
        self, room_id: str, actor_id: str, user_ids: list[str], role: str
    ) -> PendingWrite:
        """Append new members, if any are new. Raises Refusal."""
        await self.check_room_limit(room_id, user_ids, actor_id)
        return await self._appends.append(events.member_added(room_id, actor_id, user_ids, role))

    async def remove(self, room_id: str, actor_id: str, user_ids: list[str]) -> PendingWrite:
        """Append that members go, if any are in. Raises Refusal."""
        return await self._appends.append(events.member_removed(room_id, actor_id, user_ids))

    async def set_role(self, room_id: str, actor_id: str, user_id: str, role: str) -> PendingWrite:
        """Append that a member has another role. Raises Refusal, NotFound for who is no member."""
        return await self._appends.append(events.member_updated(room_id, actor_id, user_id, role))

    async def leave(self, room_id: str, user_id: str, new_owner: str | None) -> PendingWrite:
        """Append that a member goes by himself, first making another owner if he says whom.

        Who is no member has left. Raises Conflict for the last owner and in a direct room.
        """
        if new_owner == user_id:
            raise errors.InvalidParam(details={"new_owner": ["Somebody else."]})
        try:
            return await self._appends.append(events.member_left(room_id, user_id, new_owner))
        except NotAMember:
            raise errors.InvalidParam(details={"new_owner": ["Not a member."]}) from None
        except errors.NotFound:
            return self.already_left(room_id, user_id)

    def already_left(self, room_id: str, user_id: str) -> PendingWrite:
        """He is in no such room, whether there is one or not; `stored` when the table says so."""

        async def stored() -> bool:
            member = await self._archive.member(room_id, user_id)
            return member is None or member.state != "in"

        return self._appends.agree("stored", stored)

    async def check_room_limit(
        self, room_id: str, user_ids: list[str], actor_id: str | None = None
    ) -> None:
        """Nobody is in more rooms than a user may be; who is in stays. Raises LimitExceeded.

        The last of them are for the rooms of the user's own and those of operators (`actor_id`
        None), and others with whom the user shares no room stop long before.
        """
        limits = self._limits
        least = min(limits.user_rooms, limits.stranger_rooms)
        crowded = await self._user_rooms.crowded(room_id, user_ids, least)
        others = [user_id for user_id in crowded if actor_id not in (None, user_id)]
        shared = await self._user_rooms.shared(actor_id, others) if actor_id and others else {}
        for user_id, count in crowded.items():
            most = limits.user_rooms
            if user_id in others:
                most = limits.put_rooms if shared[user_id] else limits.stranger_rooms
            if count >= min(most, limits.user_rooms):
                raise errors.LimitExceeded(f"A user is in at most {limits.user_rooms} rooms.")
