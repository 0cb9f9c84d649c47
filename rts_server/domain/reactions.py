"""Reactions of a message, as pure functions.

They are stored with all `user_ids` and shown to clients with at most 100 users each.
"""

from __future__ import annotations

from rts_server.domain.size_limits import LIMITS
from rts_server.errors import LimitExceeded
from rts_server.types.objects import Message, Reaction

Reactions = dict[str, Reaction]
"""By emoji."""


def reacted(reactions: Reactions, emoji: str, user_id: str, *, on: bool) -> Reactions | None:
    """Return the reactions after a user added or removed one; None if nothing changes.

    Raises LimitExceeded beyond 20 emoji or 500 reactions on a message.
    """
    given = reactions[emoji]["user_ids"] if emoji in reactions else []
    if (user_id in given) == on:
        return None
    users = [*given, user_id] if on else [one for one in given if one != user_id]
    after = {name: one for name, one in reactions.items() if name != emoji or users}
    if users:
        after[emoji] = {"count": len(users), "user_ids": users}
    if on and len(after) > LIMITS.emoji:
        raise LimitExceeded(f"A message has at most {LIMITS.emoji} different reactions.")
    if on and sum(one["count"] for one in after.values()) > LIMITS.reactions:
        raise LimitExceeded(f"A message has at most {LIMITS.reactions} reactions.")
    return after


def counts(reactions: Reactions) -> dict[str, int]:
    """Return the number of users by emoji."""
    return {emoji: one["count"] for emoji, one in reactions.items()}


def shown(message: Message) -> Message:
    """Return a message as clients see it; the same object if no list of users must be cut."""
    reactions: Reactions = message.get("reactions") or {}
    if all(one["count"] <= LIMITS.reaction_users for one in reactions.values()):
        return message
    cut: Reactions = {
        emoji: {**one, "user_ids": one["user_ids"][: LIMITS.reaction_users]}
        for emoji, one in reactions.items()
    }
    return {**message, "reactions": cut}
