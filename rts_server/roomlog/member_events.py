"""Appends of the commands on members and roles; pure, one function per command."""

from __future__ import annotations

import secrets
from collections.abc import Collection

from rts_server.domain.roles import OWNER, Role, roles_that, roles_that_grant
from rts_server.roomlog.request import AppendRequest, EventTemplate, MembershipChange, NewMember, Op
from rts_server.roomlog.system_message import system_message
from rts_server.roomlog.template import Slot, placeholder


def member_added(room_id: str, actor_id: str, user_ids: list[str], role: Role) -> AppendRequest:
    """New members, and a system message about them."""
    return AppendRequest(
        room_id=room_id,
        request_id=f"add:{secrets.token_hex(16)}",
        actor=actor_id,
        roles=roles_that_grant(role),
        group_only=True,
        new_members=tuple(NewMember(user_id, role) for user_id in user_ids),
        events=(
            members_event("member.added", actor_id, "join"),
            _members_line(room_id, actor_id, "member.added", "join"),
        ),
    )


def member_removed(room_id: str, actor_id: str, user_ids: list[str]) -> AppendRequest:
    """Members are removed, and a system message says so."""
    return AppendRequest(
        room_id=room_id,
        request_id=f"remove:{secrets.token_hex(16)}",
        actor=actor_id,
        roles=roles_that("member.remove"),
        group_only=True,
        removals=tuple(user_ids),
        events=(
            members_event("member.removed", actor_id, "go"),
            _members_line(room_id, actor_id, "member.removed", "go"),
        ),
    )


def member_left(room_id: str, user_id: str, new_owner: str | None) -> AppendRequest:
    """A member leaves; `new_owner` becomes an owner in the same append."""
    return AppendRequest(
        room_id=room_id,
        request_id=f"leave:{secrets.token_hex(16)}",
        actor=user_id,
        roles=roles_that("room.leave"),
        group_only=True,
        allow_frozen=True,
        role_changes=((new_owner, OWNER),) if new_owner else (),
        removals=(user_id,),
        events=(
            members_event("member.updated", user_id, "role"),
            _roles_line(room_id, user_id, {OWNER}),
            members_event("member.removed", user_id, "go"),
            _members_line(room_id, user_id, "member.removed", "go"),
        ),
    )


def member_updated(room_id: str, actor_id: str, user_id: str, role: Role) -> AppendRequest:
    """A member gets another role, and a system message says so."""
    return AppendRequest(
        room_id=room_id,
        request_id=f"role:{secrets.token_hex(16)}",
        actor=actor_id,
        roles=roles_that("member.update"),
        group_only=True,
        role_changes=((user_id, role),),
        events=(
            members_event("member.updated", actor_id, "role"),
            _roles_line(room_id, actor_id, {role}),
        ),
    )


def member_renamed(room_id: str, actor_id: str, user_id: str, name: str) -> AppendRequest:
    """A member gets another display name; nothing for a user who left meanwhile."""
    return AppendRequest(
        room_id=room_id,
        request_id=f"name:{secrets.token_hex(16)}",
        actor=actor_id,
        new_names=((user_id, name),),
        events=(members_event("member.updated", actor_id, "name"),),
    )


def members_changed(
    room_id: str, actor_id: str, wanted: MembershipChange, *, group_only: bool = True
) -> AppendRequest:
    """An operator's change of several members: removals first, then additions, then roles.

    Removals come first, so that a full room has places again for the new members.
    """
    return AppendRequest(
        room_id=room_id,
        request_id=f"members:{secrets.token_hex(16)}",
        actor=actor_id,
        group_only=group_only,
        new_members=wanted.new_members,
        removals=wanted.removals,
        role_changes=wanted.role_changes,
        events=(
            members_event("member.removed", actor_id, "go"),
            _members_line(room_id, actor_id, "member.removed", "go"),
            members_event("member.added", actor_id, "join"),
            _members_line(room_id, actor_id, "member.added", "join"),
            members_event("member.updated", actor_id, "role"),
            _roles_line(room_id, actor_id, {role for _, role in wanted.role_changes}),
        ),
    )


def members_event(kind: str, actor_id: str, op: Op) -> EventTemplate:
    """An event that names the members to whom `op` was done; without any it is not written."""
    return EventTemplate(
        kind, {"members": placeholder(Slot.MEMBERS)}, "r", actor_id=actor_id, op=op
    )


def _members_line(room_id: str, actor_id: str, event: str, op: Op) -> EventTemplate:
    users = placeholder(Slot.USER_IDS)
    return system_message(room_id, actor_id, {"event": event, "user_ids": users}, op)


def _roles_line(room_id: str, actor_id: str, roles: Collection[Role]) -> EventTemplate:
    """`role` is missing where several were given at once."""
    metadata = {"event": "member.updated", "user_ids": placeholder(Slot.USER_IDS)}
    if len(roles) == 1:
        metadata |= {"role": next(iter(roles))}
    return system_message(room_id, actor_id, metadata, "role")
