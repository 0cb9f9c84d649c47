"""Declarations of an app's back end: groups by business key, direct rooms, sets of members."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, replace

from rts_server import errors, keys
from rts_server.domain.roles import MEMBER
from rts_server.domain.room import NewRoom
from rts_server.persistence.archive import Archive
from rts_server.roomlog.log import SystemRoomLog
from rts_server.roomlog.member_events import members_changed
from rts_server.roomlog.pending_write import PendingWrite
from rts_server.roomlog.refusals import RoomExists
from rts_server.roomlog.request import MembershipChange, NewMember, Op
from rts_server.roomlog.room_events import room_created
from rts_server.rooms.memberships import Memberships
from rts_server.types.objects import Member
from rts_server.types.requests import (
    DirectRoomRequest,
    ExternalRoomRequest,
    NewMemberRequest,
)
from rts_server.views.member_list import MemberList

MEMBERS_PER_EVENT = 100
"""Members that one event names at most."""


@dataclass(frozen=True)
class ProvisioningResult:
    """The pending writes, in order; none if everything was as declared."""

    done: tuple[PendingWrite, ...]

    def affected(self, op: Op) -> list[str]:
        """The users that the operation affected."""
        return [user_id for done in self.done for user_id in done.affected(op)]


class Provisioning:
    """Declarations of the system: no role is checked. Every declaration is safe to repeat."""

    def __init__(
        self,
        appends: SystemRoomLog,
        archive: Archive,
        memberships: Memberships,
        members: MemberList,
    ) -> None:
        self._appends = appends
        self._archive = archive
        self._memberships = memberships
        self._members = members

    async def get_or_create_group(
        self, actor_id: str, external_id: str, declared: ExternalRoomRequest
    ) -> tuple[str, bool, PendingWrite]:
        """Get or create the group of a business key; an existing one is left as it is.

        Returns (room_id, whether it is new, the pending write). Raises InvalidParam for a user
        who is named twice, LimitExceeded.
        """
        room: NewRoom = {
            "room_id": keys.external_room_id(external_id),
            "type": "group",
            "name": declared.get("name"),
            "metadata": declared.get("metadata", {}),
            "external_id": external_id,
        }
        return await self._get_or_create(actor_id, room, new_members(declared.get("members", [])))

    async def get_or_create_direct(
        self, actor_id: str, pair: tuple[str, str], declared: DirectRoomRequest
    ) -> tuple[str, bool, PendingWrite]:
        """Get or create the direct room of two users; an existing one is left as it is.

        Returns (room_id, whether it is new, the pending write). Raises InvalidParam for one user
        twice or the name of a third, LimitExceeded.
        """
        if pair[0] == pair[1]:
            raise errors.InvalidParam(details={"other_id": ["Must be another user."]})
        names = declared.get("names", {})
        if third := [user_id for user_id in names if user_id not in pair]:
            raise errors.InvalidParam(details={f"names.{third[0]}": ["Not a member of the room."]})
        room: NewRoom = {
            "room_id": keys.direct_room_id(*pair),
            "type": "direct",
            "name": None,
            "metadata": declared.get("metadata", {}),
        }
        joining = tuple(NewMember(user_id, MEMBER, names.get(user_id)) for user_id in pair)
        return await self._get_or_create(actor_id, room, joining)

    async def _get_or_create(
        self, actor_id: str, room: NewRoom, joining: tuple[NewMember, ...]
    ) -> tuple[str, bool, PendingWrite]:
        room_id = room["room_id"]
        await self._memberships.check_room_limit(room_id, [one.user_id for one in joining])
        request = room_created(room, actor_id, joining, f"create:{secrets.token_hex(16)}")
        try:
            return room_id, True, await self._appends.append(request)
        except RoomExists:
            return room_id, False, self._appends.no_op(replace(request, new_members=()))

    async def declare_members(
        self, room_id: str, actor_id: str, declared: list[NewMemberRequest]
    ) -> ProvisioningResult:
        """Make these the only members, with these roles. Raises Conflict for a direct room."""
        wanted = difference(await self._members.all(room_id), declared)
        changed = await self.change_members(room_id, actor_id, wanted)
        roles = {one["user_id"]: one["role"] for one in declared}

        async def stored() -> bool:
            kept = await self._archive.members(room_id)
            return {one.user_id: one.role for one in kept if one.state == "in"} == roles

        return ProvisioningResult((*changed.done, self._appends.resolve_when("stored", stored)))

    async def remove_most_members(self, room_id: str, actor_id: str) -> ProvisioningResult:
        """Remove all but 100 members of a large group, as an event names at most 100."""
        going = [member["user_id"] for member in await self._members.all(room_id)]
        if len(going) <= MEMBERS_PER_EVENT:
            return ProvisioningResult(())
        return await self.change_members(
            room_id, actor_id, MembershipChange(removals=tuple(going[:-MEMBERS_PER_EVENT]))
        )

    async def change_members(
        self, room_id: str, actor_id: str, wanted: MembershipChange
    ) -> ProvisioningResult:
        """Add, remove and change members: up to 100 in one step, more in several.

        Raises LimitExceeded, Conflict for a direct room, NotFound.
        """
        await self._memberships.check_room_limit(
            room_id, [one.user_id for one in wanted.new_members]
        )
        if not len(wanted):
            return ProvisioningResult(())
        parts = (
            [wanted] if len(wanted) <= MEMBERS_PER_EVENT else [*wanted.slices(MEMBERS_PER_EVENT)]
        )
        requests = [members_changed(room_id, actor_id, part) for part in parts]
        return ProvisioningResult(
            tuple([await self._appends.append(request) for request in requests])
        )


def new_members(members: list[NewMemberRequest]) -> tuple[NewMember, ...]:
    """New members as declared. Raises InvalidParam for a user who is named twice."""
    check_unique([member["user_id"] for member in members])
    return tuple(NewMember(one["user_id"], one["role"], one.get("name")) for one in members)


def check_unique(user_ids: list[str]) -> None:
    """Raise InvalidParam if a user is named twice."""
    twice = [user_id for user_id, times in Counter(user_ids).items() if times > 1]
    if twice:
        raise errors.InvalidParam(details={"members": [f"Named twice: {twice[0]}"]})


def difference(present: list[Member], declared: list[NewMemberRequest]) -> MembershipChange:
    """The change that turns the present members into the declared ones.

    Names of present members are kept.
    """
    roles = {member["user_id"]: member["role"] for member in present}
    wanted = new_members(declared)
    named = {one.user_id for one in wanted}
    return MembershipChange(
        new_members=tuple(one for one in wanted if one.user_id not in roles),
        removals=tuple(user_id for user_id in roles if user_id not in named),
        role_changes=tuple(
            (one.user_id, one.role)
            for one in wanted
            if one.user_id in roles and roles[one.user_id] != one.role
        ),
    )
