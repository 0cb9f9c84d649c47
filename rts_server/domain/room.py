"""A room without what moves with its log; clients see `Room` of `rts_server/types/objects.py`."""

from __future__ import annotations

from typing import Any, Literal, Never, NotRequired, TypedDict


class ChosenRoomFields(TypedDict):
    """The fields that the creator of a room chooses."""

    room_id: str
    type: Literal["direct", "group"]
    name: str | None
    metadata: dict[str, Any]
    external_id: NotRequired[str]
    made_by: NotRequired[Literal["client"]]


class NewRoom(ChosenRoomFields):
    """A room that is to be created."""

    deleted_at: NotRequired[Never]
    last_message: NotRequired[Never]


class RoomFields(ChosenRoomFields):
    """A room's own fields, as its head in Redis and its item in the archive hold them.

    The last message is kept beside them, so that a message does not rewrite the room.
    """

    created_at: str
    created_by: str
    version: int
    frozen: bool
    deleted_at: NotRequired[str]
    last_message: NotRequired[Never]


class RoomChange(TypedDict, total=False):
    """The fields of a room that an update sets."""

    name: str
    metadata: dict[str, Any]
    frozen: bool


class RoomSettings(TypedDict, total=False):
    """The settings of a member in a room."""

    muted: bool
    hidden: bool


def room_change(request: RoomChange) -> RoomChange:
    """The fields that an update changes, without the id and the expected version."""
    change: RoomChange = {}
    if "name" in request:
        change["name"] = request["name"]
    if "metadata" in request:
        change["metadata"] = request["metadata"]
    if "frozen" in request:
        change["frozen"] = request["frozen"]
    return change
