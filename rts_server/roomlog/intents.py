"""Names of what a request decides: one field of a message, a room, or a member's settings.

append.lua keeps the latest acknowledged intent of each name for a while, so that the replay of a
lost request leaves out the fields that were decided again since (D8), and only those (D1).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import cast

from rts_server.domain.message import MessageChange
from rts_server.domain.room import RoomChange

ROOM_DELETED = "room deleted"
"""The deletion of a room; a later change of a field does not supersede it."""


def edit_intents(message_id: str, fields: Iterable[str]) -> tuple[str, ...]:
    """The intents of an edit: one per field."""
    return tuple(_edit(message_id, name) for name in fields)


def edit_left(message_id: str, change: MessageChange, intents: Collection[str]) -> MessageChange:
    """The fields of an edit whose intents are among these."""
    left = {n: value for n, value in change.items() if _edit(message_id, n) in intents}
    return cast(MessageChange, left)


def reaction_intents(message_id: str, user_id: str, emoji: str) -> tuple[str, ...]:
    """The intent of a user to have, or not to have, this reaction."""
    return (f"react {message_id} {user_id} {emoji}",)


def room_intents(fields: Iterable[str]) -> tuple[str, ...]:
    """The intents of a change of a room: one per field."""
    return tuple(map(_room, fields))


def room_left(change: RoomChange, intents: Collection[str]) -> RoomChange:
    """The fields of a change of a room whose intents are among these."""
    return cast(RoomChange, {n: value for n, value in change.items() if _room(n) in intents})


def settings_intent(user_id: str, field: str) -> str:
    """The intent of a member about one of their settings."""
    return f"settings {user_id} {field}"


def settings_intents(user_id: str, fields: Iterable[str]) -> tuple[str, ...]:
    """The intents of a change of a member's settings: one per field."""
    return tuple(settings_intent(user_id, name) for name in fields)


def _edit(message_id: str, field: str) -> str:
    return f"edit {message_id} {field}"


def _room(field: str) -> str:
    return f"room {field}"
