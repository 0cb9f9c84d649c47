"""The item beside a message that holds its reactions since its body was written, one by one.

A reaction of a message of 64 KB then costs one write unit instead of 64. Each change has the rank
of the message's state that it made, as a body has: what the body is ahead of is in it already.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from rts_server.persistence.records.keys import MESSAGES, body_key, reactions_key
from rts_server.persistence.records.record import Record
from rts_server.persistence.records.record_data import ReactionData
from rts_server.persistence.records.write import Replacement, Step, Write, update

CLOSED = "closed"
"""Attribute of the item of a deleted message, which takes no reactions any more."""
GIVEN = "given_"
"""Begin of the names of attributes with a change each."""
NAME_CHARACTERS = 18


def write_reaction(record: Record[ReactionData]) -> list[Step]:
    """Write a change: a reaction with its emoji and user, or only the rank of a withdrawn one."""
    data = record.data
    change = data["reaction"]
    name = _name(change["emoji"], change["user_id"])
    rank = body_key(data["version"], record.epoch, record.offset)
    given = f"{rank} {change['emoji']} {change['user_id']}" if change["on"] else rank
    key = reactions_key(record.room_id, data["message_id"])
    return [Write(MESSAGES, update(key, {name: given}, above=[name], absent=[CLOSED]))]


def close_reactions(room_id: str, message_id: str) -> Replacement:
    """Return the step that erases who reacted to a deleted message, whatever comes later."""
    return Replacement(MESSAGES, {**reactions_key(room_id, message_id), CLOSED: True})


def _name(emoji: str, user_id: str) -> str:
    """Return the attribute of a user's reaction. Of one withdrawn it tells neither."""
    return GIVEN + sha256(f"{emoji} {user_id}".encode()).hexdigest()[:NAME_CHARACTERS]


def with_reactions(
    message: Mapping[str, Any], rank: str, item: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a message with the changes in `item` that its body, of this rank, does not have."""
    changes = {name: text.partition(" ") for name, text in item.items() if name.startswith(GIVEN)}
    newer = {name: change for name, change in changes.items() if change[0] > rank}
    if not newer:
        return dict(message)
    users: dict[str, list[str]] = {
        emoji: [user for user in one["user_ids"] if _name(emoji, user) not in newer]
        for emoji, one in (message.get("reactions") or {}).items()
    }
    for _, _, given in sorted(newer.values()):
        if given:
            emoji, _, user = given.rpartition(" ")
            users.setdefault(emoji, []).append(user)
    version = max(int(change[0].partition("#")[0]) for change in newer.values())
    return {
        **message,
        "version": max(message["version"], version),
        "reactions": {
            emoji: {"count": len(those), "user_ids": those}
            for emoji, those in users.items()
            if those
        },
    }
