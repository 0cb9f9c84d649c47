"""Members, for operators."""

from __future__ import annotations

from rts_server import errors
from rts_server.auth import Identity
from rts_server.config import Settings
from rts_server.protocol import answers, cursor, operator_answers, requests
from rts_server.rest.routes import RoomParams, route
from rts_server.rest.wait_durable import wait_durable
from rts_server.roomlog.request import MembershipChange
from rts_server.rooms.provisioning import (
    Provisioning,
    ProvisioningResult,
    check_unique,
    new_members,
)
from rts_server.rooms.rooms import Rooms
from rts_server.types.answers import MembersAnswer
from rts_server.types.operator_answers import ChangedMembersAnswer
from rts_server.types.requests import MemberBatchRequest, MemberSetRequest, PageRequest
from rts_server.views.member_list import MemberList


class MemberPageParams(RoomParams, PageRequest):
    """Path and query."""


class MemberSetParams(RoomParams, MemberSetRequest):
    """Path and body."""


class MemberBatchParams(RoomParams, MemberBatchRequest):
    """Path and body."""


class MemberRoutes:
    """Declare all members, or add, remove and change some."""

    def __init__(
        self, settings: Settings, rooms: Rooms, members: MemberList, provisioning: Provisioning
    ) -> None:
        self._durable_wait = settings.durable_wait
        self._rooms = rooms
        self._members = members
        self._provisioning = provisioning

    @route(
        "GET",
        "/v1/rooms/{room_id}/members",
        answers.MembersSchema,
        query=requests.PageSchema,
        refuses=(errors.Gone,),
    )
    async def page(self, operator: Identity, params: MemberPageParams) -> MembersAnswer:
        """The members of a room, in order of user id."""
        await self._rooms.public(params["room_id"])
        after = cursor.decode(params["cursor"], str)[0] if "cursor" in params else ""
        page, last = await self._members.page(params["room_id"], after, params["limit"])
        return {"members": page, "next_cursor": cursor.encode([last]) if last else None}

    @route(
        "PUT",
        "/v1/rooms/{room_id}/members",
        operator_answers.ChangedMembersSchema,
        body=requests.MemberSetSchema,
        refuses=(errors.Conflict, errors.Gone, errors.LimitExceeded),
    )
    async def declare(self, operator: Identity, params: MemberSetParams) -> ChangedMembersAnswer:
        """Declare all members of a group, with their roles: members not named are removed."""
        room_id = params["room_id"]
        await self._rooms.public(room_id)
        members = params["members"]
        return await self._answer(
            await self._provisioning.declare_members(room_id, operator.user_id, members)
        )

    @route(
        "POST",
        "/v1/rooms/{room_id}/members:batch",
        operator_answers.ChangedMembersSchema,
        body=requests.MemberBatchSchema,
        refuses=(errors.Conflict, errors.Gone, errors.LimitExceeded),
    )
    async def batch(self, operator: Identity, params: MemberBatchParams) -> ChangedMembersAnswer:
        """Add, remove and change members, all or none of them."""
        room_id = params["room_id"]
        await self._rooms.public(room_id)
        named = [
            *params["remove"],
            *(one["user_id"] for one in params["add"]),
            *(one["user_id"] for one in params["update"]),
        ]
        check_unique(named)
        wanted = MembershipChange(
            new_members(params["add"]),
            tuple(params["remove"]),
            tuple((one["user_id"], one["role"]) for one in params["update"]),
        )
        return await self._answer(
            await self._provisioning.change_members(room_id, operator.user_id, wanted)
        )

    async def _answer(self, changed: ProvisioningResult) -> ChangedMembersAnswer:
        return {
            "added": changed.affected("join"),
            "removed": changed.affected("go"),
            "updated": changed.affected("role"),
            "status": await wait_durable(changed.done, self._durable_wait),
        }
