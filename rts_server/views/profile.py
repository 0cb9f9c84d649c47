"""What the server knows of a user, for operators: there is no table of users."""

from __future__ import annotations

import asyncio

from rts_server.persistence.archive import Archive
from rts_server.presence.presences import UserPresences
from rts_server.types.operator_answers import NamedUserAnswer, UserProfileAnswer
from rts_server.views.user_memberships import UserMemberships


class ProfileReader:
    """Reads names from memberships, which get them from tokens and from operators."""

    def __init__(
        self, archive: Archive, memberships: UserMemberships, presences: UserPresences
    ) -> None:
        self._archive = archive
        self._memberships = memberships
        self._presences = presences

    async def read(self, user_id: str) -> UserProfileAnswer:
        """Return name, presence and number of rooms of a user. Raises RedisError, Unavailable."""
        memberships, name, presences = await asyncio.gather(
            self._memberships.current(user_id), self._name(user_id), self._presences.read([user_id])
        )
        user: NamedUserAnswer = {"user_id": user_id}
        if name:
            user["name"] = name
        return {
            "user": user,
            "presence": presences[user_id].shown(user_id),
            "rooms": len(memberships),
        }

    async def _name(self, user_id: str) -> str | None:
        """Return the name in the newest current membership that has one.

        Past memberships are left out: a user who was erased is in no room, and has no name.
        """
        stored = await self._archive.members_of(user_id)
        named = [one for one in stored if one.name and one.state == "in"]
        return max(named, key=lambda one: one.joined_at).name if named else None
