"""Which rooms a user is in: the user index, rebuilt from the archive where Redis lost it."""

from __future__ import annotations

import asyncio
import secrets

from rts_server.persistence.archive import Archive
from rts_server.persistence.stored_items import StoredMembership
from rts_server.persistence.user_rooms import IndexedMembership, UserIndex, UserRooms

ARCHIVE_USERS_PER_READ = 50
"""Users whose rooms are read from the archive at once."""


class UserMemberships:
    """Reads the memberships of users; methods that read whole indexes complete them first."""

    def __init__(self, archive: Archive, user_rooms: UserRooms) -> None:
        self._archive = archive
        self._user_rooms = user_rooms

    async def current(self, user_id: str) -> list[IndexedMembership]:
        """The user's current memberships. Raises Unavailable."""
        return (await self.current_with_version(user_id))[0]

    async def current_with_version(self, user_id: str) -> tuple[list[IndexedMembership], str]:
        """The user's current memberships and the version of the user index.

        An index that Redis lost is rebuilt from the archive first. Raises Unavailable.
        """
        index = await self._complete(user_id, await self._user_rooms.all(user_id))
        return _in(index), index.version

    async def _complete(self, user_id: str, index: UserIndex) -> UserIndex:
        if index.complete:
            return index
        return await self._user_rooms.rebuild(user_id, await self._archive.rooms_of(user_id))

    async def current_and_former(self, user_id: str) -> list[IndexedMembership]:
        """All memberships in the user index as it is, also those of rooms the user has left."""
        return (await self._user_rooms.all(user_id)).rooms

    async def is_member(self, user_id: str, room_id: str) -> bool:
        """True if the user is a member, by the user index alone.

        The cost does not depend on whether the room exists (A4).
        """
        state = await self._user_rooms.state(user_id, room_id)
        if state is None and not (await self._user_rooms.all(user_id)).complete:
            return any(m.room_id == room_id for m in await self.current(user_id))
        return state == "in"

    async def share_room(self, user_id: str, others: list[str]) -> set[str]:
        """The users among `others` who share a room with the user; always includes the user.

        For every other user there is one query to the archive, for an id of nobody if the user
        index already has the answer: a stranger takes as long as a user id that does not exist,
        however many rooms they are in (A4). Raises Unavailable.
        """
        shared = await self._user_rooms.shared(user_id, others)
        if not all(shared[other] or other == user_id for other in others):
            index = await self._user_rooms.all(user_id)
            if not index.complete:
                await self._complete(user_id, index)
                shared = await self._user_rooms.shared(user_id, others)
        found = {other for other in others if shared[other] or other == user_id}
        strangers = [other for other in others if other not in found]
        for i in range(0, len(strangers), ARCHIVE_USERS_PER_READ):
            batch = strangers[i : i + ARCHIVE_USERS_PER_READ]
            queried = [other if shared[other] is None else nobody() for other in batch]
            stored = await asyncio.gather(*map(self._archive.rooms_of, queried))
            unknown = dict(zip(batch, stored, strict=True))
            found |= await self._sharing_in_archive(
                user_id, {other: unknown[other] for other in batch if shared[other] is None}
            )
        return found

    async def _sharing_in_archive(
        self, user_id: str, others: dict[str, list[StoredMembership]]
    ) -> set[str]:
        own = {one.room_id for one in await self.current(user_id)} if others else set()
        return {
            other
            for other, rooms in others.items()
            if any(one.state == "in" and one.room_id in own for one in rooms)
        }


def nobody() -> str:
    """An id that no user can have, for a query to the archive whose result is not used.

    Another one each time: a partition of DynamoDB takes 3,000 reads/s, and one id lies in one.
    """
    return f" {secrets.token_hex(8)}"


def _in(index: UserIndex) -> list[IndexedMembership]:
    return [one for one in index.rooms if one.state == "in"]
