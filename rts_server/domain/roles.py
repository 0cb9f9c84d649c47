"""The capabilities of roles. append.lua reads the actor's role itself; no caller passes it (A1)."""

from __future__ import annotations

from typing import Final, Literal

Role = Literal["owner", "admin", "member", "readonly"]

OWNER: Final = "owner"
ADMIN: Final = "admin"
MEMBER: Final = "member"
READONLY: Final = "readonly"

_TABLE: dict[str, frozenset[Role]] = {
    "message.send": frozenset({OWNER, ADMIN, MEMBER}),
    "message.edit": frozenset({OWNER, ADMIN, MEMBER}),
    "message.react": frozenset({OWNER, ADMIN, MEMBER}),
    "message.delete": frozenset({OWNER, ADMIN, MEMBER, READONLY}),
    "message.delete_any": frozenset({OWNER, ADMIN}),
    "room.update": frozenset({OWNER, ADMIN}),
    "room.leave": frozenset({OWNER, ADMIN, MEMBER, READONLY}),
    "room.settings": frozenset({OWNER, ADMIN, MEMBER, READONLY}),
    "member.add": frozenset({OWNER, ADMIN}),
    "member.update": frozenset({OWNER, ADMIN}),
    "member.remove": frozenset({OWNER, ADMIN}),
}
"""append.lua adds: only owners make, change or remove owners; the last owner stays; in a frozen
room only owners and admins act."""


def roles_that(capability: str) -> frozenset[Role]:
    """Return the roles that have a capability."""
    return _TABLE[capability]


def may_send(role: Role, *, frozen: bool) -> bool:
    """Return whether a message would be accepted now; append.lua decides when one is sent."""
    return role in (roles_that("room.update") if frozen else roles_that("message.send"))


def roles_that_grant(role: Role) -> frozenset[Role]:
    """Return the roles that may add a member with a role: only an owner makes owners."""
    return frozenset({OWNER}) if role == OWNER else roles_that("member.add")
