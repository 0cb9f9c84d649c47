"""Commands on the members of a room and their roles."""

from __future__ import annotations

from rts_server import errors
from rts_server.config import Settings
from rts_server.domain.roles import Role
from rts_server.persistence.archive import Archive
from rts_server.persistence.user_rooms import UserRooms
from rts_server.roomlog.log import RoomLog
from rts_server.roomlog.member_events import (
    member_added,
    member_left,
    member_removed,
    member_updated,
)
from rts_server.roomlog.pending_write import PendingWrite
from rts_server.roomlog.refusals import NotAMember


class Memberships:
    """Add, remove and change members. Every command is safe to repeat (D7).

    All commands raise Refusal: `forbidden` if the actor's role is not enough, `not_found` if the
    actor is not a member, `conflict` for a direct room or the last owner, `unavailable` if it is to
    be tried again.
    """

    def __init__(
        self, settings: Settings, appends: RoomLog, user_rooms: UserRooms, archive: Archive
    ) -> None:
        self._limits = settings.limits
        self._appends = appends
        self._user_rooms = user_rooms
        self._archive = archive

    async def add(
        self, room_id: str, actor_id: str, user_ids: list[str], role: Role
    ) -> PendingWrite:
        """Add users; those who are members already stay as they are. Raises LimitExceeded too."""
        await self.check_room_limit(room_id, user_ids, actor_id)
        return await self._appends.append(member_added(room_id, actor_id, user_ids, role))

    async def remove(self, room_id: str, actor_id: str, user_ids: list[str]) -> PendingWrite:
        """Remove members; users who are not members are ignored."""
        return await self._appends.append(member_removed(room_id, actor_id, user_ids))

    async def set_role(self, room_id: str, actor_id: str, user_id: str, role: Role) -> PendingWrite:
        """Change the role of a member. Raises NotFound if the user is not a member."""
        return await self._appends.append(member_updated(room_id, actor_id, user_id, role))

    async def leave(self, room_id: str, user_id: str, new_owner: str | None) -> PendingWrite:
        """Leave a room; idempotent. `new_owner`: a member who becomes an owner in the same step.

        Raises Conflict for the last owner and in a direct room, InvalidParam for a `new_owner` who
        is not another member.
        """
        if new_owner == user_id:
            raise errors.InvalidParam(details={"new_owner": ["Must be another user."]})
        try:
            return await self._appends.append(member_left(room_id, user_id, new_owner))
        except NotAMember:
            raise errors.InvalidParam(details={"new_owner": ["Not a member."]}) from None
        except errors.NotFound:
            return self.already_left(room_id, user_id)

    def already_left(self, room_id: str, user_id: str) -> PendingWrite:
        """The answer for a user who is not a member, whether or not the room exists (A4).

        It is `stored` once the archive has no current membership either.
        """

        async def stored() -> bool:
            member = await self._archive.member(room_id, user_id)
            return member is None or member.state != "in"

        return self._appends.resolve_when("stored", stored)

    async def check_room_limit(
        self, room_id: str, user_ids: list[str], actor_id: str | None = None
    ) -> None:
        """Raise LimitExceeded if the room is one too many for any of the users.

        Members of the room already are not counted. The full limit (`user_rooms`) holds for rooms
        that a user creates and for operators (`actor_id` None). Another user who shares a room with
        them can add them to `put_rooms` rooms, a stranger only to `stranger_rooms`.
        """
        limits = self._limits
        lowest = min(limits.user_rooms, limits.stranger_rooms)
        crowded = await self._user_rooms.crowded(room_id, user_ids, lowest)
        others = [user_id for user_id in crowded if actor_id not in (None, user_id)]
        shared = await self._user_rooms.shared(actor_id, others) if actor_id and others else {}
        for user_id, count in crowded.items():
            limit = limits.user_rooms
            if user_id in others:
                limit = limits.put_rooms if shared[user_id] else limits.stranger_rooms
            if count >= min(limit, limits.user_rooms):
                raise errors.LimitExceeded(f"A user is in at most {limits.user_rooms} rooms.")
