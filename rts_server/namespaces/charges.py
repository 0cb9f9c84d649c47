"""What a command costs, and whom: one table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from rts_server.namespaces.session import Session

PATIENCE = 2.0
"""Seconds that message.send may be delayed before it is refused."""

CHANGES = frozenset(
    {
        "room.create",
        "room.update",
        "room.leave",
        "room.hide",
        "room.mute",
        "member.add",
        "member.remove",
        "member.update",
        "message.edit",
        "message.delete",
        "message.react",
    }
)
_ALSO = {
    "room.create": "rooms",
    "message.list": "history",
    "sync": "history",
    "presence.set": "presence",
    "upload.request": "uploads",
}
_NAMES = {"room.create": "members", "member.add": "user_ids", "member.remove": "user_ids"}
"""Commands that name members, and where: anybody can be named, so each name costs."""
_BY_ID = frozenset({"presence.query", "presence.watch"})


class Charge(NamedTuple):
    """So much of a rate under a key; `patience`: seconds the command may wait for it."""

    rate: str
    key: str
    cost: float = 1.0
    patience: float = 0.0


def commands(session: Session) -> Charge:
    """The charge of every command, taken before its payload is looked at."""
    return Charge("commands", session.eio_sid)


def charges(name: str, session: Session, data: dict[str, Any], rooms: set[str]) -> Iterator[Charge]:
    """The charges of a valid command. `rooms`: the rooms of its connection. A stranger to a room
    uses up nothing of its rate, and does not learn whether it is busy (A4).
    """
    user_id, room_id = session.user_id, data.get("room_id")
    if name == "message.send":
        yield Charge("messages", user_id, patience=PATIENCE)
    elif name in CHANGES:
        yield Charge("changes", user_id)
    if name in _NAMES:
        yield Charge("members", user_id, float(len(data[_NAMES[name]])))
    if room_id in rooms and (name == "message.send" or name in CHANGES):
        yield Charge("room", room_id)
    if name in _ALSO:
        yield Charge(_ALSO[name], user_id)
    elif name in _BY_ID:
        yield Charge("presence_ids", user_id, float(len(data["user_ids"])))
    elif name == "typing.start":
        yield Charge("typing", f"{user_id} {data['room_id']}")
