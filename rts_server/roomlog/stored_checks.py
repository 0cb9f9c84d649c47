"""The items by which the archive shows that an append to room and members is stored; pure."""

from __future__ import annotations

from rts_server.persistence.archive import Check
from rts_server.roomlog.pending import Durability
from rts_server.roomlog.request import AppendRequest, AppendResult, Op

_POSITION_ATTRIBUTE: dict[Op, str] = {
    "join": "pos",
    "go": "pos",
    "role": "role_pos",
    "name": "role_pos",
}
"""Attribute of a member's item that holds the position of the last change of this kind."""


def stored_checks(request: AppendRequest, result: AppendResult) -> list[Check]:
    """The items that an append of room and member events must leave in the archive.

    Returns:
        (room_id, sort key, attribute, position) of each; none for messages.
    """
    checks: list[Check] = []
    for offset, event in result.written(request):
        position = f"{result.epoch:010d}#{offset:010d}"
        if event.room is not None:
            checks.append((request.room_id, "ROOM", "pos", position))
        if event.op is not None and not event.allocates_seq:
            checks += [
                (request.room_id, f"MEMBER#{user_id}", _POSITION_ATTRIBUTE[event.op], position)
                for user_id in result.affected[event.op]
            ]
    if request.settings and result.settings_rev:
        position = f"{result.epoch:010d}#{result.offset:010d}#{result.settings_rev:010d}"
        checks.append((request.room_id, f"MEMBER#{request.actor}", "settings_pos", position))
    return checks


def final_durability(request: AppendRequest, result: AppendResult) -> Durability:
    """The durability an append can reach: `stored` if the archive shows it by itself."""
    return "stored" if stored_checks(request, result) else "queued"
