"""Appends of the commands on rooms and on members' own settings; pure, one function per command."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace

from rts_server.domain.roles import roles_that
from rts_server.domain.room import NewRoom, RoomChange, RoomFields, RoomSettings
from rts_server.persistence.records import DELETED_ROOM_TTL_SECONDS, expiry
from rts_server.roomlog.intents import ROOM_DELETED, room_intents, settings_intents
from rts_server.roomlog.member_events import members_event
from rts_server.roomlog.request import AppendRequest, EventTemplate, NewMember
from rts_server.roomlog.system_message import room_lines
from rts_server.roomlog.template import Slot, placeholder, text_template
from rts_server.types.objects import PublicRoom


def room_created(
    room: NewRoom, creator_id: str, joining: tuple[NewMember, ...], request_id: str
) -> AppendRequest:
    """A room and its first members. Unlike a later addition, it adds no system message."""
    static: RoomFields = {
        **room,
        "created_at": placeholder(Slot.TS),
        "created_by": creator_id,
        "version": 1,
        "frozen": False,
    }
    return AppendRequest(
        room_id=room["room_id"],
        request_id=request_id,
        actor=creator_id,
        must_not_exist=True,
        new_members=joining,
        events=(
            _room_event("room.created", static, creator_id),
            members_event("member.added", creator_id, "join"),
        ),
    )


def room_updated(room: RoomFields, epoch: int, actor_id: str, change: RoomChange) -> AppendRequest:
    """A room with another name, metadata or frozen; `room` and `epoch` are as they were read.

    A system message tells of the name and of frozen.
    """
    after: RoomFields = {**room, **change, "version": room["version"] + 1}
    return AppendRequest(
        room_id=room["room_id"],
        request_id=f"room:{secrets.token_hex(16)}",
        actor=actor_id,
        roles=roles_that("room.update"),
        room_change={"version": room["version"], "epoch": epoch},
        intents=room_intents(change),
        events=(_room_event("room.updated", after, actor_id), *room_lines(room, actor_id, change)),
    )


def room_unchanged(
    room: RoomFields, epoch: int, actor_id: str, change: RoomChange
) -> AppendRequest:
    """No event, only the intents: the room has these values already."""
    updated = room_updated(room, epoch, actor_id, change)
    return replace(updated, request_id=f"unchanged:{secrets.token_hex(16)}", events=())


def room_deleted(room: RoomFields, epoch: int, actor_id: str) -> AppendRequest:
    """The deletion of a room: all members are removed, and a tombstone stays.

    A record behind all messages of the room makes them expire in the archive.
    """
    after: RoomFields = {
        **room,
        "version": room["version"] + 1,
        "frozen": True,
        "deleted_at": placeholder(Slot.TS),
    }
    return AppendRequest(
        room_id=room["room_id"],
        request_id=f"delete:{secrets.token_hex(16)}",
        actor=actor_id,
        remove_everybody=True,
        expiry=expiry(room["room_id"], int(time.time()) + DELETED_ROOM_TTL_SECONDS),
        room_change={"version": room["version"], "epoch": epoch},
        intents=(ROOM_DELETED,),
        events=(
            members_event("member.removed", actor_id, "go"),
            _room_event("room.updated", after, actor_id),
        ),
    )


def settings_changed(room_id: str, user_id: str, settings: RoomSettings) -> AppendRequest:
    """A member's own `muted` or `hidden`; only the member's devices receive an event."""
    return AppendRequest(
        room_id=room_id,
        request_id=f"settings:{secrets.token_hex(16)}",
        actor=user_id,
        roles=roles_that("room.settings"),
        allow_frozen=True,
        settings=settings,
        intents=settings_intents(user_id, settings),
        events=(),
    )


def empty_append(room_id: str) -> AppendRequest:
    """An append without events. It writes nothing, but loads the room if it is cold.

    Its id begins with `touch:`, as those of other requests begin with what they do.
    """
    return AppendRequest(
        room_id=room_id, request_id=f"touch:{secrets.token_hex(16)}", allow_frozen=True, events=()
    )


def _room_event(kind: str, room: RoomFields, actor_id: str) -> EventTemplate:
    """An event with the whole room; the head keeps the room without the fields that move."""
    shown_room: PublicRoom = {
        **room,
        "member_count": placeholder(Slot.MEMBER_COUNT),
        "seq": placeholder(Slot.SEQ),
        "epoch": placeholder(Slot.EPOCH),
        "offset": placeholder(Slot.OFFSET),
    }
    frozen = bool(room["frozen"])
    return EventTemplate(
        kind, {"room": shown_room}, "r", actor_id=actor_id, room=text_template(room), frozen=frozen
    )
