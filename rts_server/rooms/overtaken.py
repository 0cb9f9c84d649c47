"""What of a lost append still stands when a newer wish about the same was answered; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from rts_server.rooms.append import Append, Event, Op

Target = tuple[str, str]
"""(`member` | `settings` | `room`, user or empty): what of a room an append is about."""

ROOM: Target = ("room", "")
_TABLE: dict[str, tuple[str, ...]] = {
    "member": ("pos", "role_pos"),
    "settings": ("settings_pos",),
    "room": ("pos",),
}


def targets(request: Append) -> frozenset[Target]:
    """Nothing for messages: they have ids and versions of their own. A creation meets its room."""
    if request.absent or (request.events and request.events[0].queue == "m"):
        return frozenset()
    users = [one.user_id for one in request.joining]
    users += [*request.going, *(user_id for user_id, _ in request.giving)]
    found: set[Target] = {("member", user_id) for user_id in users}
    if request.settings:
        found.add(("settings", request.actor))
    if any(event.room is not None for event in request.events):
        found.add(ROOM)
    return frozenset(found)


def without(request: Append, gone: Collection[Target]) -> Append | None:
    """The request as far as it was not overtaken; None when nothing of it is left."""
    about = targets(request)
    if not about & set(gone):
        return request
    left = about - set(gone)
    if not left or ROOM in gone or request.settings:
        return None
    return replace(
        request,
        joining=tuple(one for one in request.joining if ("member", one.user_id) in left),
        going=tuple(user_id for user_id in request.going if ("member", user_id) in left),
        giving=tuple(one for one in request.giving if ("member", one[0]) in left),
    )


def is_line(event: Event) -> bool:
    """A change of members as a message of the history."""
    return event.takes_seq and event.data["message"]["type"] == "system"


def as_said(request: Append, picked: Mapping[Op, tuple[str, ...]]) -> Append:
    """Its lines as they were heard, whoever of those named comes or goes by now.

    `picked`: the users whom the lines named then; a line about nobody was not heard.
    """
    events = []
    for event in request.events:
        if not is_line(event) or event.op is None:
            events.append(event)
        elif event.op in picked:
            events.append(_naming(event, picked[event.op]))
    return replace(request, events=tuple(events))


def only_lines(request: Append) -> Append | None:
    """What was said of members without the change, which needs no more; None where nothing was."""
    lines = tuple(event for event in request.events if is_line(event))
    if not lines:
        return None
    return replace(request, joining=(), going=(), giving=(), everybody=False, events=lines)


def only_members(request: Append) -> Append | None:
    """Of a creation who comes, where the room is there already; None where nobody does."""
    if not request.joining:
        return None
    members = tuple(event for event in request.events if event.op is not None)
    return replace(request, absent=False, events=members)


def _naming(line: Event, user_ids: tuple[str, ...]) -> Event:
    message = line.data["message"]
    metadata = message["metadata"] | {"user_ids": list(user_ids)}
    return replace(line, op=None, data={"message": message | {"metadata": metadata}})


def places(target: Target) -> list[tuple[str, str]]:
    """(sort key, attribute) of the table where a newer wish shows."""
    kind, user_id = target
    key = "ROOM" if target == ROOM else f"MEMBER#{user_id}"
    return [(key, attribute) for attribute in _TABLE[kind]]
