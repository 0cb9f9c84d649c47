"""Plan and apply: read a room, compare it with its declaration, and make the requests."""

from __future__ import annotations

from dataclasses import dataclass, field

from rts_server.tools.cli.api_client import ApiClient, ApiError
from rts_server.tools.cli.difference import (
    NEW_ROOM,
    CurrentRoom,
    RoomDeclaration,
    RoomDifference,
    after_change,
    difference,
    requests,
)

MAX_ROOM_ATTEMPTS = 3
"""Attempts per room while somebody else creates and deletes it."""

STATUSES_WEAKEST_FIRST = ("accepted", "stored")


@dataclass(frozen=True)
class RoomOutcome:
    """The changes of a room, planned or applied, or the error that prevented them."""

    declared: RoomDeclaration
    current: CurrentRoom | None = None
    change: RoomDifference = field(default_factory=RoomDifference)
    status: str = ""
    error: ApiError | None = None

    @property
    def action(self) -> str:
        """One of create, change, none, failed."""
        if self.error:
            return "failed"
        if self.change.create:
            return "create"
        return "change" if self.change else "none"

    @property
    def after(self) -> CurrentRoom:
        """The room as it is after the change."""
        return after_change(self.current, self.change)


async def fetch_room(
    client: ApiClient, room_id: str, *, members: bool = True
) -> CurrentRoom | None:
    """Return the room, or None if it does not exist. Raises ApiError.

    `members=False` saves their pages and leaves `roles` empty.
    """
    path = f"/v1/rooms/{room_id}"
    try:
        room = (await client.request("GET", path))["room"]
    except ApiError as error:
        if error.code == "not_found":
            return None
        raise
    roles = {}
    if members:
        async for member in client.list_items(f"{path}/members", "members"):
            roles[member["user_id"]] = member["role"]
    fields = {name: room.get(name, default) for name, default in NEW_ROOM.fields.items()}
    return CurrentRoom(fields, roles)


async def plan_room(client: ApiClient, declared: RoomDeclaration) -> RoomOutcome:
    """Compare a room with its declaration; change nothing."""
    try:
        current = await fetch_room(client, declared.room_id, members=declared.members is not None)
        if current is None and not declared.create:
            raise ApiError("not_found", "There is no such room.")
        return RoomOutcome(declared, current, difference(current, declared))
    except ApiError as error:
        return RoomOutcome(declared, error=error)


async def apply_room(client: ApiClient, declared: RoomDeclaration) -> RoomOutcome:
    """Make a room as declared. Idempotent."""
    for _ in range(MAX_ROOM_ATTEMPTS):
        outcome = await plan_room(client, declared)
        if outcome.error or not outcome.change:
            return outcome
        try:
            status = await _send_requests(client, declared, outcome.change)
        except ApiError as error:
            return RoomOutcome(declared, outcome.current, outcome.change, error=error)
        if status:
            return RoomOutcome(declared, outcome.current, outcome.change, status)
    conflict = ApiError("conflict", "The room is created and deleted by others at the same time.")
    return RoomOutcome(declared, error=conflict)


async def _send_requests(
    client: ApiClient, declared: RoomDeclaration, change: RoomDifference
) -> str:
    """Return the weakest status of all answers; empty if somebody else created the room first."""
    statuses = {"stored"}
    for request in requests(declared, change):
        answer = await client.request(*request)
        if not answer.get("created", True):
            return ""
        statuses.add(answer["status"])
    return next(status for status in STATUSES_WEAKEST_FIRST if status in statuses)
