"""Rooms, for operators."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rts_server import errors
from rts_server.auth import Identity
from rts_server.config import Settings
from rts_server.protocol import answers, requests
from rts_server.rest.routes import Asked, route
from rts_server.rest.settling import settled
from rts_server.rooms.declared import Changed, Declarations
from rts_server.rooms.rooms import CLIENT, Rooms
from rts_server.rooms.verify import Verified, Verifier


class RoomRoutes:
    """Get-or-create by a business key, read and change."""

    def __init__(
        self,
        settings: Settings,
        rooms: Rooms,
        declarations: Declarations,
        verifier: Verifier,
    ) -> None:
        self._verifier = verifier
        self._patience = settings.durable_wait
        self._rooms = rooms
        self._declarations = declarations

    @route(
        "PUT",
        "/v1/external-rooms/{external_id}",
        answers.DeclaredRoom,
        body=requests.ExternalRoom,
    )
    async def declare(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """Get or create the group of a business key; one that is there stays as it is.

        `conflict` where a client made it: its owner and members are the client's.
        """
        external_id = asked.pop("external_id")
        room_id, created, done = await self._declarations.group(
            operator.user_id, external_id, asked
        )
        room = await self._rooms.public(room_id)
        if room.get("made_by") == CLIENT:
            raise errors.Conflict("A client made the room of this external_id.")
        status = await settled([done], self._patience)
        return {"room": done.placed(room), "created": created, "status": status}

    @route("GET", "/v1/rooms/{room_id}", answers.PublicRoom)
    async def get(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """One room, without what it is to a member."""
        return {"room": await self._rooms.public(asked["room_id"])}

    @route("DELETE", "/v1/rooms/{room_id}", answers.Removed)
    async def delete(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """Everybody goes, nobody comes back; a tombstone stays.

        Its messages are kept for 30 days more.
        """
        room_id = asked["room_id"]
        emptied = await self._declarations.empty(room_id, operator.user_id)
        done = await self._rooms.delete(room_id, operator.user_id)
        changed = Changed((*emptied.done, done))
        status = await settled(changed.done, self._patience)
        return {"removed": changed.picked("go"), "status": status}

    @route("POST", "/v1/rooms/{room_id}:verify", answers.Verified, query=requests.Repair)
    async def verify(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """Hold what Redis has of a room's messages against the archive; with `repair` mend it.

        Gaps and duplicates are told only. `unavailable` while the queue is behind.
        """
        await self._rooms.public(asked["room_id"])
        found = await self._verifier.verify(asked["room_id"], repair=asked["repair"])
        return {**asdict(found.findings), **_summed(found)}

    @route("PATCH", "/v1/rooms/{room_id}", answers.ChangedPublicRoom, body=requests.RoomChange)
    async def update(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """Another name or metadata, or frozen: then only owners, admins and operators write."""
        room_id = asked.pop("room_id")
        await self._rooms.public(room_id)
        done = await self._rooms.update(room_id, operator.user_id, asked)
        room = await self._rooms.public(room_id)
        status = await settled([done], self._patience)
        return {"room": done.placed(room), "status": status}


def _summed(found: Verified) -> dict[str, Any]:
    return {"messages": found.messages, "warm": found.warm, "repaired": found.repaired}
