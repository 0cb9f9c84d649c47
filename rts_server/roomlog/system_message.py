"""System messages: lines of the history about changes of the members and of the room; pure."""

from __future__ import annotations

import secrets
from typing import Any

from rts_server import keys
from rts_server.domain.room import RoomChange, RoomFields
from rts_server.roomlog.request import EventTemplate, Op
from rts_server.roomlog.template import Slot, placeholder
from rts_server.types.objects import Message


def system_message(
    room_id: str, actor_id: str, metadata: dict[str, Any], op: Op | None = None
) -> EventTemplate:
    """A system message; it never counts as unread, and is never a room's last message.

    `op`: what was done to the members it names; without any it is not written.
    """
    message_id = keys.message_id(room_id, "", secrets.token_hex(16))
    message: Message = {
        "message_id": message_id,
        "client_msg_id": message_id,
        "room_id": room_id,
        "seq": placeholder(Slot.SEQ),
        "epoch": placeholder(Slot.EPOCH),
        "sender_id": actor_id,
        "type": "system",
        "text": "",
        "attachments": [],
        "mentions": [],
        "reactions": {},
        "metadata": metadata,
        "version": 1,
        "created_at": placeholder(Slot.TS),
    }
    return EventTemplate(
        "message.new",
        {"message": message},
        "m",
        actor_id=actor_id,
        allocates_seq=True,
        counts=False,
        op=op,
    )


def room_lines(room: RoomFields, actor_id: str, change: RoomChange) -> tuple[EventTemplate, ...]:
    """The line about another name of a room, or about its freezing; none about other fields."""
    shown: dict[str, Any] = {}
    if change.get("name", room["name"]) != room["name"]:
        shown["name"] = change["name"]
    if change.get("frozen", room["frozen"]) != room["frozen"]:
        shown["frozen"] = change["frozen"]
    if not shown:
        return ()
    metadata = {"event": "room.updated", "user_ids": [], **shown}
    return (system_message(room["room_id"], actor_id, metadata),)
