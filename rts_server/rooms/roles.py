"""Who may do what: one table. The role itself is read inside the append script, never passed."""

from __future__ import annotations

OWNER, ADMIN, MEMBER, READONLY = "owner", "admin", "member", "readonly"

_TABLE: dict[str, frozenset[str]] = {
    "message.send": frozenset({OWNER, ADMIN, MEMBER}),
    "message.edit": frozenset({OWNER, ADMIN, MEMBER}),
    "message.delete": frozenset({OWNER, ADMIN, MEMBER, READONLY}),
    "message.delete_any": frozenset({OWNER, ADMIN}),
    "member.add": frozenset({OWNER, ADMIN}),
    "member.remove": frozenset({OWNER, ADMIN}),
}


def roles_that(capability: str) -> frozenset[str]:
    """The roles that have a capability."""
    return _TABLE[capability]


def roles_that_give(role: str) -> frozenset[str]:
    """The roles that may add a member with a role: only an owner makes owners."""
    return frozenset({OWNER}) if role == OWNER else roles_that("member.add")
