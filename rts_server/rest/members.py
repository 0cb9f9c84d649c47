"""Members, for operators."""

from __future__ import annotations

from typing import Any

from rts_server.auth import Identity
from rts_server.config import Settings
from rts_server.protocol import answers, cursor, requests
from rts_server.rest.routes import Asked, route
from rts_server.rest.wait_durable import settled
from rts_server.roomlog.request import MembershipChange
from rts_server.rooms.provisioning import (
    Provisioning,
    ProvisioningResult,
    check_unique,
    new_members,
)
from rts_server.rooms.rooms import Rooms
from rts_server.views.member_list import MemberList


class MemberRoutes:
    """The whole set, or a few who come, go and change."""

    def __init__(
        self, settings: Settings, rooms: Rooms, members: MemberList, declarations: Provisioning
    ) -> None:
        self._patience = settings.durable_wait
        self._rooms = rooms
        self._members = members
        self._provisioning = declarations

    @route("GET", "/v1/rooms/{room_id}/members", answers.Members, query=requests.Page)
    async def page(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """The members of a room, in order of user id."""
        await self._rooms.public(asked["room_id"])
        after = cursor.decode(asked["cursor"], str)[0] if "cursor" in asked else ""
        members = await self._members.for_operator(asked["room_id"])
        return cursor.page(members, "members", "user_id", after, asked["limit"])

    @route("PUT", "/v1/rooms/{room_id}/members", answers.ChangedMembers, body=requests.MemberSet)
    async def declare(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """Declare all members of a group, with their roles: who is not named goes."""
        room_id = asked["room_id"]
        await self._rooms.public(room_id)
        members = asked["members"]
        return await self._told(
            await self._provisioning.declare_members(room_id, operator.user_id, members)
        )

    @route(
        "POST",
        "/v1/rooms/{room_id}/members:batch",
        answers.ChangedMembers,
        body=requests.MemberBatch,
    )
    async def batch(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """Members who come, go and have another role, all or none."""
        room_id = asked["room_id"]
        await self._rooms.public(room_id)
        named = [*asked["remove"], *(one["user_id"] for one in asked["add"] + asked["update"])]
        check_unique(named)
        wanted = MembershipChange(
            new_members(asked["add"]),
            tuple(asked["remove"]),
            tuple((one["user_id"], one["role"]) for one in asked["update"]),
        )
        return await self._told(
            await self._provisioning.change_members(room_id, operator.user_id, wanted)
        )

    async def _told(self, changed: ProvisioningResult) -> dict[str, Any]:
        return {
            "added": changed.affected("join"),
            "removed": changed.affected("go"),
            "updated": changed.affected("role"),
            "status": await settled(changed.done, self._patience),
        }
