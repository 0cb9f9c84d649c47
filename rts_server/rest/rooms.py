"""Rooms, for operators."""

from __future__ import annotations

from typing import TypedDict

from rts_server import errors, keys
from rts_server.admin.verify import Verifier
from rts_server.auth import Identity
from rts_server.config import Settings
from rts_server.domain.room import room_change
from rts_server.protocol import answers, operator_answers, requests
from rts_server.rest.routes import RoomParams, route
from rts_server.rest.wait_durable import wait_durable
from rts_server.rooms.provisioning import Provisioning, ProvisioningResult
from rts_server.rooms.rooms import MADE_BY_CLIENT, Rooms
from rts_server.types.answers import RemovedAnswer
from rts_server.types.operator_answers import (
    ChangedPublicRoomAnswer,
    DeclaredRoomAnswer,
    PublicRoomAnswer,
    VerifiedAnswer,
)
from rts_server.types.requests import (
    DirectRoomRequest,
    ExternalRoomRequest,
    RepairRequest,
    RoomChangeRequest,
)


class ExternalRoomPlace(TypedDict):
    """The path of the room of a business key."""

    external_id: str


class ExternalRoomParams(ExternalRoomPlace, ExternalRoomRequest):
    """Path and body."""


class DirectRoomPlace(TypedDict):
    """The path of the direct room of two users, in either order."""

    user_id: str
    other_id: str


class DirectRoomParams(DirectRoomPlace, DirectRoomRequest):
    """Path and body."""


class VerifyParams(RoomParams, RepairRequest):
    """Path and query."""


class RoomChangeParams(RoomParams, RoomChangeRequest):
    """Path and body."""


class RoomRoutes:
    """Get or create rooms by a business key or by their two users; read, change, delete them."""

    def __init__(
        self,
        settings: Settings,
        rooms: Rooms,
        provisioning: Provisioning,
        verifier: Verifier,
    ) -> None:
        self._verifier = verifier
        self._durable_wait = settings.durable_wait
        self._rooms = rooms
        self._provisioning = provisioning

    @route(
        "PUT",
        "/v1/external-rooms/{external_id}",
        operator_answers.DeclaredRoomSchema,
        body=requests.ExternalRoomSchema,
        refuses=(errors.Conflict, errors.Gone, errors.LimitExceeded),
    )
    async def declare(self, operator: Identity, params: ExternalRoomParams) -> DeclaredRoomAnswer:
        """Get or create the group of a business key; an existing one is left as it is.

        `conflict` if a client created it: the client chose its owner and members.
        """
        room_id, created, done = await self._provisioning.get_or_create_group(
            operator.user_id, params["external_id"], params
        )
        room = await self._rooms.public(room_id)
        if room.get("made_by") == MADE_BY_CLIENT:
            raise errors.Conflict("A client created the room of this external_id.")
        status = await wait_durable([done], self._durable_wait)
        return {"room": done.ack_room(room), "created": created, "status": status}

    @route(
        "GET",
        "/v1/external-rooms/{external_id}",
        operator_answers.PublicRoomAnswerSchema,
        refuses=(errors.Gone,),
    )
    async def get_external(self, operator: Identity, params: ExternalRoomPlace) -> PublicRoomAnswer:
        """The room of a business key, whoever created it."""
        return {"room": await self._rooms.public(keys.external_room_id(params["external_id"]))}

    @route(
        "PUT",
        "/v1/direct-rooms/{user_id}/{other_id}",
        operator_answers.DeclaredRoomSchema,
        body=requests.DirectRoomSchema,
        refuses=(errors.Gone, errors.LimitExceeded),
    )
    async def declare_direct(
        self, operator: Identity, params: DirectRoomParams
    ) -> DeclaredRoomAnswer:
        """Get or create the direct room of two users; an existing one is left as it is.

        The order of the two does not matter, nor whether one of them created the room.
        """
        room_id, created, done = await self._provisioning.get_or_create_direct(
            operator.user_id, (params["user_id"], params["other_id"]), params
        )
        room = await self._rooms.public(room_id)
        status = await wait_durable([done], self._durable_wait)
        return {"room": done.ack_room(room), "created": created, "status": status}

    @route(
        "GET",
        "/v1/direct-rooms/{user_id}/{other_id}",
        operator_answers.PublicRoomAnswerSchema,
        refuses=(errors.Gone,),
    )
    async def get_direct(self, operator: Identity, params: DirectRoomPlace) -> PublicRoomAnswer:
        """The direct room of two users, in either order."""
        room_id = keys.direct_room_id(params["user_id"], params["other_id"])
        return {"room": await self._rooms.public(room_id)}

    @route(
        "GET",
        "/v1/rooms/{room_id}",
        operator_answers.PublicRoomAnswerSchema,
        refuses=(errors.Gone,),
    )
    async def get(self, operator: Identity, params: RoomParams) -> PublicRoomAnswer:
        """One room, without the fields that depend on the member."""
        return {"room": await self._rooms.public(params["room_id"])}

    @route("DELETE", "/v1/rooms/{room_id}", answers.RemovedSchema)
    async def delete(self, operator: Identity, params: RoomParams) -> RemovedAnswer:
        """Delete a room: all members are removed, nobody can be added, a tombstone stays.

        Its messages are kept for another 30 days.
        """
        room_id = params["room_id"]
        emptied = await self._provisioning.remove_most_members(room_id, operator.user_id)
        done = await self._rooms.delete(room_id, operator.user_id)
        changed = ProvisioningResult((*emptied.done, done))
        status = await wait_durable(changed.done, self._durable_wait)
        return {"removed": changed.affected("go"), "status": status}

    @route(
        "POST",
        "/v1/rooms/{room_id}:verify",
        operator_answers.VerifiedSchema,
        query=requests.RepairSchema,
        refuses=(errors.Gone,),
    )
    async def verify(self, operator: Identity, params: VerifyParams) -> VerifiedAnswer:
        """Compare a room's messages in Redis with the archive; with `repair`, store what differs.

        Gaps and duplicates are reported only. `unavailable` while the queue is behind.
        """
        await self._rooms.public(params["room_id"])
        found = await self._verifier.verify(params["room_id"], repair=params["repair"])
        return {
            "gaps": found.findings.gaps,
            "duplicates": found.findings.duplicates,
            "orphans": found.findings.orphans,
            "changed": found.findings.changed,
            "messages": found.messages,
            "warm": found.warm,
            "repaired": found.repaired,
        }

    @route(
        "PATCH",
        "/v1/rooms/{room_id}",
        operator_answers.ChangedPublicRoomSchema,
        body=requests.RoomChangeSchema,
        refuses=(errors.Conflict, errors.Gone),
    )
    async def update(self, operator: Identity, params: RoomChangeParams) -> ChangedPublicRoomAnswer:
        """Change name, metadata or `frozen`: then only owners, admins and operators can write."""
        room_id = params["room_id"]
        await self._rooms.public(room_id)
        done = await self._rooms.update(
            room_id, operator.user_id, room_change(params), params.get("version")
        )
        room = await self._rooms.public(room_id)
        status = await wait_durable([done], self._durable_wait)
        return {"room": done.ack_room(room), "status": status}
