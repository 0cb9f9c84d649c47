"""The difference between a room as declared and as it is: pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from rts_server import keys
from rts_server.domain.size_limits import LIMITS
from rts_server.tools.cli.api_client import path_segment

MEMBERS_PER_REQUEST = LIMITS.ids_per_call


class MemberDeclaration(NamedTuple):
    """A member as declared. `name` counts only when the member is added; it renames nobody."""

    user_id: str
    role: str = "member"
    name: str | None = None

    def body(self) -> dict[str, str]:
        """Return the member as REST takes it."""
        optional = {"name": self.name} if self.name is not None else {}
        return {"user_id": self.user_id, "role": self.role, **optional}


@dataclass(frozen=True)
class RoomDeclaration:
    """A room as it should be. What is not declared stays as it is.

    `fields` holds some of name, metadata, frozen. `whole`: members that are not declared are
    removed. `create`: the room is created if it does not exist.
    """

    external_id: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[MemberDeclaration, ...] | None = None
    whole: bool = True
    create: bool = True

    @property
    def room_id(self) -> str:
        """The room id, which is derived from the external id."""
        return keys.external_room_id(self.external_id)


@dataclass(frozen=True)
class CurrentRoom:
    """A room as the server has it. `roles` maps user ids to roles."""

    fields: Mapping[str, Any]
    roles: Mapping[str, str]


NEW_ROOM = CurrentRoom({"name": None, "metadata": {}, "frozen": False}, {})
"""A room that was created without any field."""


@dataclass(frozen=True)
class RoomDifference:
    """Changes that make a room as declared; false if there are none.

    `fields` and `roles` map names to (old, new).
    """

    create: bool = False
    fields: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    add: tuple[MemberDeclaration, ...] = ()
    remove: tuple[str, ...] = ()
    roles: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.create or self.fields or self.add or self.remove or self.roles)


class ApiRequest(NamedTuple):
    """One request to the REST interface."""

    method: str
    path: str
    body: Mapping[str, object]


def difference(current: CurrentRoom | None, declared: RoomDeclaration) -> RoomDifference:
    """Return the changes to make; `current` is None if the room does not exist."""
    room = current or NEW_ROOM
    members = declared.members or ()
    declared_ids = {member.user_id for member in members}
    is_whole = declared.members is not None and declared.whole
    return RoomDifference(
        create=current is None,
        fields={
            name: (room.fields[name], value)
            for name, value in declared.fields.items()
            if room.fields[name] != value
        },
        add=tuple(member for member in members if member.user_id not in room.roles),
        remove=tuple(user for user in room.roles if is_whole and user not in declared_ids),
        roles={
            member.user_id: (room.roles[member.user_id], member.role)
            for member in members
            if room.roles.get(member.user_id, member.role) != member.role
        },
    )


def after_change(current: CurrentRoom | None, change: RoomDifference) -> CurrentRoom:
    """Return the room as it is after the change."""
    room = current or NEW_ROOM
    kept = {user: role for user, role in room.roles.items() if user not in change.remove}
    added = {member.user_id: member.role for member in change.add}
    changed = {user: new for user, (_, new) in change.roles.items()}
    fields = {name: new for name, (_, new) in change.fields.items()}
    return replace(room, fields={**room.fields, **fields}, roles=kept | added | changed)


def requests(declared: RoomDeclaration, change: RoomDifference) -> Iterator[ApiRequest]:
    """Yield the requests that make a change.

    Each is idempotent: if a run ends between two of them, the next run does the rest.
    """
    room = f"/v1/rooms/{declared.room_id}"
    fields = {name: new for name, (_, new) in change.fields.items()}
    add = list(change.add)
    if change.create:
        # PUT takes no `frozen`: it follows in a PATCH.
        later = {"frozen": fields.pop("frozen")} if "frozen" in fields else {}
        first, add = add[:MEMBERS_PER_REQUEST], add[MEMBERS_PER_REQUEST:]
        body = {**fields, "members": [member.body() for member in first]}
        yield ApiRequest("PUT", f"/v1/external-rooms/{path_segment(declared.external_id)}", body)
        fields = later
    if fields:
        yield ApiRequest("PATCH", room, fields)
    if change.remove:
        # The whole list, not the difference: members who came after the read are removed too.
        everybody = [member.body() for member in declared.members or ()]
        yield ApiRequest("PUT", f"{room}/members", {"members": everybody})
    else:
        yield from _member_batches(f"{room}/members:batch", add, change)


def _member_batches(
    path: str, add: list[MemberDeclaration], change: RoomDifference
) -> Iterator[ApiRequest]:
    entries = [("add", member.body()) for member in add]
    entries += [("update", {"user_id": u, "role": new}) for u, (_, new) in change.roles.items()]
    for start in range(0, len(entries), MEMBERS_PER_REQUEST):
        body: dict[str, list[dict[str, str]]] = {"add": [], "update": []}
        for kind, entry in entries[start : start + MEMBERS_PER_REQUEST]:
            body[kind].append(entry)
        yield ApiRequest("POST", path, body)
