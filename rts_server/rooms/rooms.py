"""Durable commands on rooms themselves, and on what a room is to one member."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, replace
from typing import Any

from rts_server import errors, keys
from rts_server.auth import Identity
from rts_server.persistence.archive import Archive
from rts_server.rooms import events
from rts_server.rooms.append import Append, Joining
from rts_server.rooms.appends import Appends, Done
from rts_server.rooms.cold import last_position
from rts_server.rooms.drains import Drains
from rts_server.rooms.log import Exists
from rts_server.rooms.memberships import Memberships
from rts_server.rooms.roles import MEMBER, OWNER
from rts_server.rooms.standing import Standings

CLIENT = "client"
"""`made_by` of a room whose business key a client gave; the operator's rooms have none."""


@dataclass(frozen=True)
class RoomState:
    """A room's own fields, and its epoch when they were read (0: the room is not warm)."""

    room: dict[str, Any]
    epoch: int


class Rooms:
    """Create and change. Every command is safe to repeat."""

    def __init__(
        self,
        appends: Appends,
        memberships: Memberships,
        reads: tuple[Standings, Archive, Drains],
    ) -> None:
        self._appends = appends
        self._memberships = memberships
        self._standings, self._archive, self._drains = reads

    async def create(self, creator: Identity, command: dict[str, Any]) -> tuple[str, bool, Done]:
        """(room_id, whether it is new, the append). Raises NotFound where one is not a member."""
        room, joining = new_room(creator, command)
        room_id: str = room["room_id"]
        await self._memberships.must_fit(room_id, [one.user_id for one in joining], creator.user_id)
        request_id = f"create:{secrets.token_hex(16)}"
        request = events.room_created(room, creator.user_id, joining, request_id)
        try:
            return room_id, True, await self._appends.append(request)
        except Exists as met:
            if not met.is_member:
                raise errors.NotFound() from None
            mine = replace(request, joining=request.joining[:1])
            return room_id, False, self._appends.nothing(mine)

    async def public(self, room_id: str) -> dict[str, Any]:
        """The room without a personal part. Raises NotFound, Gone for one that was deleted."""
        standing = await self._standings.join(room_id, ())
        if standing is None:
            await self._drains.settle(room_id)
            standing = await self._standings.join(room_id, ())  # it may be warm by now
        room = standing.public() if standing is not None else await self._archived(room_id)
        if "deleted_at" in room:
            raise errors.Gone("The room was deleted.")
        return room

    async def warm(self, room_id: str) -> None:
        """Load a cold room. Raises Unavailable."""
        await self._appends.warm(room_id)

    async def _archived(self, room_id: str) -> dict[str, Any]:
        stored, members = await asyncio.gather(
            self._archive.room(room_id), self._archive.members(room_id)
        )
        if stored is None or stored.room is None:
            raise errors.NotFound()
        epoch, offset = last_position(stored, members)
        room = stored.room | {"member_count": sum(one.state == "in" for one in members)}
        room |= {"seq": stored.seq, "epoch": epoch, "offset": offset}
        return room | ({"last_message": stored.last} if stored.last else {})

    async def update(self, room_id: str, actor_id: str, change: dict[str, Any]) -> Done:
        """Append the room with another name, metadata or frozen; `change` may hold a `version`.

        Raises Refusal, Conflict when the room has another version.
        """
        expected = change.pop("version", None)

        async def read() -> RoomState:
            return await self._state(room_id)

        def updated(state: RoomState, *, heard: bool = False) -> Append | None:
            if all(state.room[name] == value for name, value in change.items()):
                return None
            if not heard and expected not in (None, state.room["version"]):
                raise errors.Conflict("The room changed.", details={"version": ["Moved."]})
            return events.room_updated(state.room, state.epoch, actor_id, change)

        async def remake() -> Append | None:
            return updated(await read(), heard=True)

        state, _, done = await self._appends.change(read, updated, remake)

        async def stored() -> bool:
            kept = await self._archive.room(room_id)
            return bool(kept and kept.room and kept.room["version"] >= state.room["version"])

        return done or self._appends.agree("stored", stored)

    async def delete(self, room_id: str, actor_id: str) -> Done:
        """Append that everybody goes and the room is no more. Raises NotFound."""

        async def read() -> RoomState:
            return await self._state(room_id)

        def deleted(state: RoomState, *, heard: bool = False) -> Append | None:
            if not heard and "deleted_at" in state.room:
                return None
            return events.room_deleted(state.room, state.epoch, actor_id)

        async def stored() -> bool:
            kept = await self._archive.room(room_id)
            return bool(kept and kept.room and "deleted_at" in kept.room)

        async def remake() -> Append | None:
            # All of it once more: members or messages may have been in the half that was lost.
            return deleted(await read(), heard=True)

        _, _, done = await self._appends.change(read, deleted, remake)
        return done or self._appends.agree("stored", stored)

    async def set(self, room_id: str, user_id: str, settings: dict[str, bool]) -> Done:
        """Append the user's own `muted` or `hidden`; told to his devices alone."""
        return await self._appends.append(events.settings_changed(room_id, user_id, settings))

    async def _state(self, room_id: str) -> RoomState:
        """What a change is decided on: a cold room is loaded first."""
        standing = await self._standings.join(room_id, ())
        if standing is None:
            await self._appends.warm(room_id)
            standing = await self._standings.join(room_id, ())
        if standing is not None:
            return RoomState(standing.room, standing.position[0])
        stored = await self._archive.room(room_id)
        if stored is None or stored.room is None:
            raise errors.NotFound()
        return RoomState(stored.room, 0)


def new_room(
    creator: Identity, command: dict[str, Any]
) -> tuple[dict[str, Any], tuple[Joining, ...]]:
    """The room's own fields and its first members, the creator first."""
    me = creator.user_id
    others = [user_id for user_id in dict.fromkeys(command["members"]) if user_id != me]
    room: dict[str, Any] = {
        "type": command["type"],
        "name": command.get("name"),
        "metadata": command.get("metadata", {}),
    }
    if command["type"] == "direct":
        if len(others) != 1:
            raise errors.InvalidParam(details={"members": ["Exactly one other user."]})
        room["room_id"] = keys.direct_room_id(me, others[0])
        return room, (Joining(me, MEMBER, creator.name), Joining(others[0], MEMBER))
    if "external_id" in command:
        room |= {"external_id": command["external_id"], "made_by": CLIENT}
        room["room_id"] = keys.external_room_id(command["external_id"])
    else:
        room["room_id"] = keys.client_room_id(me, command["client_room_id"])
    members = (Joining(me, OWNER, creator.name), *(Joining(user, MEMBER) for user in others))
    return room, members
