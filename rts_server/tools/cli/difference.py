"""What is declared of a room, what is there, and what lies between: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from rts_server import keys
from rts_server.protocol.fields import LIMITS
from rts_server.tools.cli.server import place

SLICE = LIMITS.ids_per_call


class Member(NamedTuple):
    """A member as declared. The name counts only when he comes: nobody renames who is in."""

    user_id: str
    role: str = "member"
    name: str | None = None

    def body(self) -> dict[str, str]:
        """As REST takes him."""
        named = {"name": self.name} if self.name is not None else {}
        return {"user_id": self.user_id, "role": self.role, **named}


@dataclass(frozen=True)
class Declared:
    """A room as it is to be. What is not declared stays as it is.

    `fields`: of name, metadata, frozen. `whole`: who is not among the members goes. `create`: it
    is made where it is not.
    """

    external_id: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[Member, ...] | None = None
    whole: bool = True
    create: bool = True

    @property
    def room_id(self) -> str:
        """The business key names the room."""
        return keys.external_room_id(self.external_id)


@dataclass(frozen=True)
class Present:
    """A room as it is; `roles` by user."""

    fields: Mapping[str, Any]
    roles: Mapping[str, str]


EMPTY = Present({"name": None, "metadata": {}, "frozen": False}, {})
"""A room as it is made without a word."""


@dataclass(frozen=True)
class Change:
    """What makes a room as declared; false when nothing does. `fields`, `roles`: (old, new)."""

    create: bool = False
    fields: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    add: tuple[Member, ...] = ()
    remove: tuple[str, ...] = ()
    roles: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.create or self.fields or self.add or self.remove or self.roles)


class Step(NamedTuple):
    """One request."""

    method: str
    path: str
    body: dict[str, Any]


def difference(present: Present | None, declared: Declared) -> Change:
    """What is to be done; `present` is None where there is no room."""
    there = present or EMPTY
    members = declared.members or ()
    named = {one.user_id for one in members}
    all_told = declared.members is not None and declared.whole
    return Change(
        create=present is None,
        fields={
            name: (there.fields[name], value)
            for name, value in declared.fields.items()
            if there.fields[name] != value
        },
        add=tuple(one for one in members if one.user_id not in there.roles),
        remove=tuple(user for user in there.roles if all_told and user not in named),
        roles={
            one.user_id: (there.roles[one.user_id], one.role)
            for one in members
            if there.roles.get(one.user_id, one.role) != one.role
        },
    )


def becomes(present: Present | None, change: Change) -> Present:
    """The room after the change."""
    there = present or EMPTY
    stay = {user: role for user, role in there.roles.items() if user not in change.remove}
    come = {one.user_id: one.role for one in change.add}
    given = {user: new for user, (_, new) in change.roles.items()}
    fields = {name: new for name, (_, new) in change.fields.items()}
    return replace(there, fields={**there.fields, **fields}, roles=stay | come | given)


def steps(declared: Declared, change: Change) -> Iterator[Step]:
    """The requests of a change, each safe to repeat; a run that ends between goes on later."""
    room = f"/v1/rooms/{declared.room_id}"
    fields = {name: new for name, (_, new) in change.fields.items()}
    add = list(change.add)
    if change.create:
        frozen = {"frozen": fields.pop("frozen")} if "frozen" in fields else {}
        first, add = add[:SLICE], add[SLICE:]
        body = {**fields, "members": [one.body() for one in first]}
        yield Step("PUT", f"/v1/external-rooms/{place(declared.external_id)}", body)
        fields = frozen
    if fields:
        yield Step("PATCH", room, fields)
    if change.remove:
        # The whole set, not the difference: who came since it was read goes too.
        everybody = [one.body() for one in declared.members or ()]
        yield Step("PUT", f"{room}/members", {"members": everybody})
    else:
        yield from _batches(f"{room}/members:batch", add, change)


def _batches(path: str, add: list[Member], change: Change) -> Iterator[Step]:
    named = [("add", one.body()) for one in add]
    named += [("update", {"user_id": who, "role": new}) for who, (_, new) in change.roles.items()]
    for at in range(0, len(named), SLICE):
        body: dict[str, Any] = {"add": [], "update": []}
        for what, one in named[at : at + SLICE]:
            body[what].append(one)
        yield Step("POST", path, body)
