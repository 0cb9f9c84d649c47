"""Commands on rooms, and on a member's own settings of a room."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from rts_server import errors, keys
from rts_server.auth import Identity
from rts_server.domain.roles import MEMBER, OWNER
from rts_server.domain.room import NewRoom, RoomChange, RoomFields, RoomSettings
from rts_server.persistence.archive import Archive
from rts_server.roomlog.drains import RoomDrains
from rts_server.roomlog.intents import room_left
from rts_server.roomlog.log import RoomLog
from rts_server.roomlog.pending_write import PendingWrite
from rts_server.roomlog.refusals import RoomExists
from rts_server.roomlog.rehydrate import last_position
from rts_server.roomlog.request import AppendRequest, NewMember
from rts_server.roomlog.room_events import (
    room_created,
    room_deleted,
    room_unchanged,
    room_updated,
    settings_changed,
)
from rts_server.rooms.memberships import Memberships
from rts_server.types.commands import RoomCreatePayload
from rts_server.types.objects import PublicRoom
from rts_server.views.snapshots import SnapshotReader

MADE_BY_CLIENT: Final = "client"
"""`made_by` of a room that a client created under a business key; operators' rooms have none."""


@dataclass(frozen=True)
class RoomState:
    """A room's own fields, and its epoch when they were read (0 if the room is not warm)."""

    room: RoomFields
    epoch: int


class Rooms:
    """Creates and changes rooms. Every command is safe to repeat (D7)."""

    def __init__(
        self,
        appends: RoomLog,
        memberships: Memberships,
        *,
        snapshots: SnapshotReader,
        archive: Archive,
        drains: RoomDrains,
    ) -> None:
        self._appends = appends
        self._memberships = memberships
        self._snapshots = snapshots
        self._archive = archive
        self._drains = drains

    async def create(
        self, creator: Identity, command: RoomCreatePayload
    ) -> tuple[str, bool, PendingWrite]:
        """Create a room, or get the one that exists under the same key.

        Returns (room_id, whether it is new, the pending write). Raises NotFound if the room exists
        and the creator is not a member (A4), LimitExceeded.
        """
        room, joining = new_room(creator, command)
        room_id = room["room_id"]
        await self._memberships.check_room_limit(
            room_id, [one.user_id for one in joining], creator.user_id
        )
        request_id = f"create:{secrets.token_hex(16)}"
        request = room_created(room, creator.user_id, joining, request_id)
        try:
            return room_id, True, await self._appends.append(request)
        except RoomExists as met:
            if not met.is_member:
                raise errors.NotFound() from None
            mine = replace(request, new_members=request.new_members[:1])
            return room_id, False, self._appends.no_op(mine)

    async def public(self, room_id: str) -> PublicRoom:
        """The room without the fields of a member. Raises NotFound, Gone if it was deleted."""
        snapshot = await self._snapshots.read(room_id, ())
        if snapshot is None:
            await self._drains.wait_settled(room_id)
            snapshot = await self._snapshots.read(room_id, ())  # it may be warm by now
        room = snapshot.public() if snapshot is not None else await self._archived(room_id)
        if "deleted_at" in room:
            raise errors.Gone("The room was deleted.")
        return room

    async def load_if_cold(self, room_id: str) -> None:
        """Load a cold room. Raises Unavailable."""
        await self._appends.load_if_cold(room_id)

    async def _archived(self, room_id: str) -> PublicRoom:
        stored = await self._archive.room(room_id)
        if stored is None or stored.room is None:
            raise errors.NotFound()
        position, count = stored.position, stored.member_count
        if count is None:
            members = await self._archive.members(room_id)
            position = last_position(stored, members)
            count = sum(one.state == "in" for one in members)
        epoch, offset = position
        room: PublicRoom = {
            **stored.room,
            "member_count": count,
            "seq": stored.seq,
            "epoch": epoch,
            "offset": offset,
        }
        if stored.last:
            room["last_message"] = stored.last
        return room

    async def update(
        self, room_id: str, actor_id: str, change: RoomChange, version: int | None = None
    ) -> PendingWrite:
        """Change name, metadata or frozen. `version`: the expected one; None for any.

        Raises Conflict if the room has another version, Forbidden, NotFound.
        """

        async def read() -> RoomState:
            return await self._state(room_id)

        def updated(
            state: RoomState, change: RoomChange, *, replayed: bool = False
        ) -> AppendRequest | None:
            if replayed and "deleted_at" in state.room:
                return None
            if _has(state.room, change):
                return room_unchanged(state.room, state.epoch, actor_id, change)
            if not replayed and version not in (None, state.room["version"]):
                raise errors.Conflict(
                    "The room changed.",
                    details={"version": ["Not the current version."]},
                )
            return room_updated(state.room, state.epoch, actor_id, change)

        async def rebuild(intents: Collection[str]) -> AppendRequest | None:
            return updated(await read(), room_left(change, intents), replayed=True)

        try:
            _, _, done = await self._appends.change(read, partial(updated, change=change), rebuild)
        except errors.Forbidden:
            state = await read()
            if not _has(state.room, change):
                raise
            # Any member may request the present state; without the role this supersedes nothing.
            same = room_unchanged(state.room, state.epoch, actor_id, change)
            return self._appends.no_op(same)
        assert done is not None  # where nothing has to change, the intents are noted
        return done

    async def delete(self, room_id: str, actor_id: str) -> PendingWrite:
        """Remove all members and leave a tombstone of the room. Raises NotFound."""

        async def read() -> RoomState:
            return await self._state(room_id)

        def deleted(state: RoomState, *, replayed: bool = False) -> AppendRequest | None:
            if not replayed and "deleted_at" in state.room:
                return None
            return room_deleted(state.room, state.epoch, actor_id)

        async def stored() -> bool:
            kept = await self._archive.room(room_id)
            return bool(kept and kept.room and "deleted_at" in kept.room)

        async def rebuild(intents: Collection[str]) -> AppendRequest | None:
            # All of it again: members or messages may be in the half that was lost (D2).
            return deleted(await read(), replayed=True)

        _, _, done = await self._appends.change(read, deleted, rebuild)
        return done or self._appends.resolve_when("stored", stored)

    async def change_settings(
        self, room_id: str, user_id: str, settings: RoomSettings
    ) -> PendingWrite:
        """Set the user's own `muted` or `hidden`; only the user's devices receive the event."""
        return await self._appends.append(settings_changed(room_id, user_id, settings))

    async def _state(self, room_id: str) -> RoomState:
        """The state a change is decided on. A cold room is loaded first."""
        snapshot = await self._snapshots.read(room_id, ())
        if snapshot is None:
            await self._appends.load_if_cold(room_id)
            snapshot = await self._snapshots.read(room_id, ())
        if snapshot is not None:
            return RoomState(snapshot.room, snapshot.position[0])
        stored = await self._archive.room(room_id)
        if stored is None or stored.room is None:
            raise errors.NotFound()
        return RoomState(stored.room, 0)


def _has(room: RoomFields, change: RoomChange) -> bool:
    return change.items() <= room.items()


def new_room(
    creator: Identity, command: RoomCreatePayload
) -> tuple[NewRoom, tuple[NewMember, ...]]:
    """The fields and the first members (the creator first) of a `room.create`.

    Raises InvalidParam unless a direct room has exactly one other user.
    """
    me = creator.user_id
    others = [user_id for user_id in dict.fromkeys(command["members"]) if user_id != me]
    room: NewRoom = {
        "room_id": "",
        "type": command["type"],
        "name": command.get("name"),
        "metadata": command.get("metadata", {}),
    }
    if command["type"] == "direct":
        if len(others) != 1:
            raise errors.InvalidParam(details={"members": ["Exactly one other user."]})
        room["room_id"] = keys.direct_room_id(me, others[0])
        return room, (NewMember(me, MEMBER, creator.name), NewMember(others[0], MEMBER))
    if "external_id" in command:
        room["external_id"], room["made_by"] = command["external_id"], MADE_BY_CLIENT
        room["room_id"] = keys.external_room_id(command["external_id"])
    else:
        room["room_id"] = keys.client_room_id(me, command["client_room_id"])
    members = (NewMember(me, OWNER, creator.name), *(NewMember(user, MEMBER) for user in others))
    return room, members
