"""The messages on the channel of a user, for all instances to which the user is connected."""

from __future__ import annotations

from typing import Literal, TypedDict


class UserEvent(TypedDict):
    """An event for the user's devices. `text` is the event as JSON."""

    kind: Literal["event"]
    namespace: str
    type: str
    text: str


class UserRoomChange(TypedDict):
    """A membership of the user began (`in`) or ended; user_rooms.lua publishes it.

    `version` is the version of the user index.
    """

    kind: Literal["room"]
    room_id: str
    epoch: int
    offset: int
    state: Literal["in", "out"]
    version: int


class UserRoomsRebuilt(TypedDict):
    """Rooms changed as the user index was rebuilt; user_rooms_rebuild.lua publishes it."""

    kind: Literal["rooms"]
    version: int


UserMessage = UserEvent | UserRoomChange | UserRoomsRebuilt
