"""What the back end of an application declares: groups by their business key, sets of members."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from rts_server import errors, keys
from rts_server.persistence.archive import Archive
from rts_server.roomlog import events
from rts_server.roomlog.log import SystemRoomLog
from rts_server.roomlog.pending_write import PendingWrite
from rts_server.roomlog.refusals import RoomExists
from rts_server.roomlog.request import MembershipChange, NewMember, Op
from rts_server.rooms.memberships import Memberships
from rts_server.views.member_list import Member, MemberList

SLICE = 100
"""Members that one event names at most."""


@dataclass(frozen=True)
class ProvisioningResult:
    """What was appended, in order; nothing where all was as declared."""

    done: tuple[PendingWrite, ...]

    def affected(self, op: Op) -> list[str]:
        """The users to whom something was done."""
        return [user_id for done in self.done for user_id in done.affected(op)]


class Provisioning:
    """Every declaration is safe to repeat. The system acts: nobody's role is asked."""

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
        self, actor_id: str, external_id: str, wished: dict[str, Any]
    ) -> tuple[str, bool, PendingWrite]:
        """(room_id, whether it is new, the append); one that is there already stays as it is."""
        joining = joins(wished.get("members", ()))
        room = {
            "type": "group",
            "name": wished.get("name"),
            "metadata": wished.get("metadata", {}),
            "external_id": external_id,
            "room_id": keys.external_room_id(external_id),
        }
        room_id = str(room["room_id"])
        await self._memberships.check_room_limit(room_id, [one.user_id for one in joining])
        request = events.room_created(room, actor_id, joining, f"create:{secrets.token_hex(16)}")
        try:
            return room_id, True, await self._appends.append(request)
        except RoomExists:
            return room_id, False, self._appends.no_op(replace(request, new_members=()))

    async def declare_members(
        self, room_id: str, actor_id: str, declared: list[dict[str, Any]]
    ) -> ProvisioningResult:
        """Make these the members, with these roles. Raises Refusal, Conflict for a direct room."""
        wanted = difference(await self._members.for_operator(room_id), declared)
        changed = await self.change_members(room_id, actor_id, wanted)
        roles = {one["user_id"]: one["role"] for one in declared}

        async def stored() -> bool:
            kept = await self._archive.members(room_id)
            return {one.user_id: one.role for one in kept if one.state == "in"} == roles

        return ProvisioningResult((*changed.done, self._appends.resolve_when("stored", stored)))

    async def remove_most_members(self, room_id: str, actor_id: str) -> ProvisioningResult:
        """Let most of a large group go, so that no event names more than 100 who go with it."""
        going = [member["user_id"] for member in await self._members.for_operator(room_id)]
        if len(going) <= SLICE:
            return ProvisioningResult(())
        return await self.change_members(
            room_id, actor_id, MembershipChange(removals=tuple(going[:-SLICE]))
        )

    async def change_members(
        self, room_id: str, actor_id: str, wanted: MembershipChange
    ) -> ProvisioningResult:
        """Members come, go and change: all or none up to 100 of them, beyond it in parts."""
        await self._memberships.check_room_limit(
            room_id, [one.user_id for one in wanted.new_members]
        )
        if not len(wanted):
            return ProvisioningResult(())
        parts = [wanted] if len(wanted) <= SLICE else [*wanted.slices(SLICE)]
        requests = [events.members_changed(room_id, actor_id, part) for part in parts]
        return ProvisioningResult(
            tuple([await self._appends.append(request) for request in requests])
        )


def joins(members: Any) -> tuple[NewMember, ...]:
    """Members as declared. Raises InvalidParam for one who is named twice."""
    must_differ([member["user_id"] for member in members])
    return tuple(NewMember(one["user_id"], one["role"], one.get("name")) for one in members)


def must_differ(user_ids: list[str]) -> None:
    """Nobody is named twice, as different things even. Raises InvalidParam."""
    twice = [user_id for user_id, times in Counter(user_ids).items() if times > 1]
    if twice:
        raise errors.InvalidParam(details={"members": [f"Named twice: {twice[0]}"]})


def difference(present: list[Member], declared: list[dict[str, Any]]) -> MembershipChange:
    """What makes those present those declared; names of who is in stay."""
    roles = {member["user_id"]: member["role"] for member in present}
    wanted = joins(declared)
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
