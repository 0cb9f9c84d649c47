"""The rates that each command is charged to, as one table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from rts_server.namespaces.session import Session

MESSAGE_SEND_MAX_WAIT_SECONDS = 2.0
"""A message.send above its rate is delayed up to this long before it is refused."""

CHANGE_COMMANDS = frozenset(
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
_RATE_OF_COMMAND = {
    "room.create": "rooms",
    "message.list": "history",
    "sync": "history",
    "presence.set": "presence",
    "upload.request": "uploads",
}
_USER_LIST_FIELDS = {
    "room.create": "members",
    "member.add": "user_ids",
    "member.remove": "user_ids",
}
"""Commands that name any users, with the field that does: each name costs one."""
_CHARGED_PER_USER_ID = frozenset({"presence.query", "presence.watch"})


class Charge(NamedTuple):
    """A charge of `cost` tokens to the bucket of a rate and a key.

    `max_wait`: how many seconds the command may wait for the tokens.
    """

    rate: str
    key: str
    cost: float = 1.0
    max_wait: float = 0.0


def commands(session: Session) -> Charge:
    """Return the charge of every command, taken before its payload is parsed."""
    return Charge("commands", session.eio_sid)


def charges(
    name: str, session: Session, payload: Mapping[str, Any], rooms: Collection[str]
) -> Iterator[Charge]:
    """Yield the charges of a valid command, apart from that of every command.

    `rooms` are the rooms of its connection. A user who is not in the room does not use up its rate,
    and cannot learn from a refusal whether it is busy (A4).
    """
    user_id, room_id = session.user_id, payload.get("room_id", "")
    if name == "message.send":
        yield Charge("messages", user_id, max_wait=MESSAGE_SEND_MAX_WAIT_SECONDS)
    elif name in CHANGE_COMMANDS:
        yield Charge("changes", user_id)
    if name in _USER_LIST_FIELDS:
        yield Charge("members", user_id, float(len(payload[_USER_LIST_FIELDS[name]])))
    if room_id in rooms and (name == "message.send" or name in CHANGE_COMMANDS):
        yield Charge("room", room_id)
    if name in _RATE_OF_COMMAND:
        yield Charge(_RATE_OF_COMMAND[name], user_id)
    elif name in _CHARGED_PER_USER_ID:
        yield Charge("presence_ids", user_id, float(len(payload["user_ids"])))
    elif name == "typing.start":
        yield Charge("typing", f"{user_id} {payload['room_id']}")
