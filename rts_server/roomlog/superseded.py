"""Reduces a lost append to the targets that no later acknowledged command decided; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import cast

from rts_server.domain.room import RoomSettings
from rts_server.roomlog.intents import settings_intent
from rts_server.roomlog.request import AppendRequest, EventTemplate, Op
from rts_server.types.objects import Message

Target = tuple[str, str]
"""(`member` | `settings` | `room`, user id or empty): the part of a room that an append decides."""

ROOM: Target = ("room", "")
_POSITION_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "member": ("pos", "role_pos"),
    "settings": ("settings_pos",),
    "room": ("pos",),
}


def targets(request: AppendRequest) -> frozenset[Target]:
    """The targets of a request. None for messages, which have ids and versions of their own.

    None for a creation either: it meets the room that exists.
    """
    if request.must_not_exist or (request.events and request.events[0].queue == "m"):
        return frozenset()
    users = [one.user_id for one in request.new_members]
    users += [*request.removals, *(user_id for user_id, _ in request.role_changes)]
    users += [user_id for user_id, _ in request.new_names]
    found: set[Target] = {("member", user_id) for user_id in users}
    if request.settings:
        found.add(("settings", request.actor))
    if any(event.room is not None for event in request.events):
        found.add(ROOM)
    return frozenset(found)


def without(request: AppendRequest, superseded: Collection[Target]) -> AppendRequest | None:
    """The request without superseded targets; None if nothing of it remains."""
    about = targets(request)
    if not about & set(superseded):
        return request
    left = about - set(superseded)
    if not left or ROOM in superseded or request.settings:
        return None
    return replace(
        request,
        new_members=tuple(one for one in request.new_members if ("member", one.user_id) in left),
        removals=tuple(user_id for user_id in request.removals if ("member", user_id) in left),
        role_changes=tuple(one for one in request.role_changes if ("member", one[0]) in left),
        new_names=tuple(one for one in request.new_names if ("member", one[0]) in left),
    )


def without_intents(request: AppendRequest, superseded: Collection[str]) -> AppendRequest:
    """A change of a member's settings without superseded intents."""
    left = tuple(intent for intent in request.intents if intent not in superseded)
    settings = request.settings or {}
    kept = {n: v for n, v in settings.items() if settings_intent(request.actor, n) in left}
    return replace(request, intents=left, settings=cast(RoomSettings, kept))


def is_system_message(event: EventTemplate) -> bool:
    """True for a system message, which shows a change of the members or the room in the history."""
    return event.allocates_seq and event.message["type"] == "system"


def with_first_names(
    request: AppendRequest, affected: Mapping[Op, tuple[str, ...]]
) -> AppendRequest:
    """The request with its system messages as they were first published, whoever is affected now.

    `affected`: the users the lines named then. A line without users was not published.
    """
    events = []
    for event in request.events:
        if not is_system_message(event) or event.op is None:
            events.append(event)
        elif event.op in affected:
            events.append(_naming(event, affected[event.op]))
    return replace(request, events=tuple(events))


def system_messages(request: AppendRequest) -> tuple[EventTemplate, ...]:
    """The system messages of a request."""
    return tuple(event for event in request.events if is_system_message(event))


def with_lines_of(request: AppendRequest, lost: AppendRequest) -> AppendRequest:
    """A request that was built anew, with the system messages that the lost one published."""
    others = tuple(event for event in request.events if not is_system_message(event))
    return replace(request, events=(*others, *system_messages(lost)))


def only_lines(request: AppendRequest) -> AppendRequest | None:
    """The system messages of a request without the change itself; None if it has none."""
    lines = system_messages(request)
    if not lines:
        return None
    return replace(
        request,
        new_members=(),
        removals=(),
        role_changes=(),
        new_names=(),
        remove_everybody=False,
        room_change=None,
        intents=(),
        events=lines,
    )


def only_new_members(request: AppendRequest) -> AppendRequest | None:
    """The new members of a creation, to be added to the room that exists; None if it has none."""
    if not request.new_members:
        return None
    members = tuple(event for event in request.events if event.op is not None)
    return replace(request, must_not_exist=False, events=members)


def _naming(line: EventTemplate, user_ids: tuple[str, ...]) -> EventTemplate:
    metadata = line.message["metadata"] | {"user_ids": list(user_ids)}
    named: Message = {**line.message, "metadata": metadata}
    return replace(line, op=None, data={"message": named})


def item_attributes(target: Target) -> list[tuple[str, str]]:
    """(sort key, attribute) of the rooms table: the position of the target's last change."""
    kind, user_id = target
    key = "ROOM" if target == ROOM else f"MEMBER#{user_id}"
    return [(key, attribute) for attribute in _POSITION_ATTRIBUTES[kind]]
