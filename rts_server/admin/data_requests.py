"""Everything of one user, in all rooms he is or was in: told, or taken away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Protocol

from rts_server import errors
from rts_server.persistence.archive import Archive
from rts_server.persistence.stored_items import StoredMember
from rts_server.persistence.user_rooms import UserRooms
from rts_server.roomlog import events
from rts_server.roomlog.log import SystemRoomLog
from rts_server.roomlog.pending_write import PendingWrite
from rts_server.roomlog.request import MembershipChange
from rts_server.rooms.messages import Messages
from rts_server.views.history import AS_OPERATOR, History, Message, SeqRange

Line = dict[str, Any]

PAGE = 100
PATIENCE = 10.0
"""Seconds that a page of erasures waits for the queue, so that it does not run ahead of it."""


class Files(Protocol):
    """The files of a user in a room."""

    async def told(self, room_id: str, user_id: str) -> list[Line]:
        """The protocol's attachments."""

    async def erase(self, room_id: str, user_id: str) -> list[str]:
        """Their ids; they go."""


class Shown(Protocol):
    """How a user is to others."""

    @property
    def last(self) -> int:
        """When he was here last (ms), 0 for never."""

    def shown(self, user_id: str) -> Line:
        """As the protocol shows it."""


class Presences(Protocol):
    """How users are."""

    async def read(self, user_ids: Iterable[str]) -> Mapping[str, Shown]:
        """What is kept of each."""

    async def forget(self, user_id: str) -> bool:
        """Whether there was anything; it is gone."""


class DataRequests:
    """Both walk the whole history of each room: nothing says by whom a message is but itself."""

    def __init__(
        self,
        appends: SystemRoomLog,
        messages: Messages,
        reads: tuple[History, Archive, UserRooms],
        kept: tuple[Files, Presences],
    ) -> None:
        """`messages`: those of the system."""
        self._appends = appends
        self._messages = messages
        self._history, self._archive, self._user_rooms = reads
        self._files, self._presences = kept

    async def export(self, user_id: str) -> AsyncIterator[Line]:
        """A line for each membership, past ones too, each message he sent, each file he uploaded,
        and for how he is."""
        count = 0
        presence = (await self._presences.read([user_id]))[user_id]
        if presence.last:
            count += 1
            yield {"kind": "presence", "presence": presence.shown(user_id)}
        for room_id in await self._rooms_of(user_id):
            stored = await self._archive.member(room_id, user_id)
            if stored is not None:
                count += 1
                yield {"kind": "membership", "membership": _told(stored)}
            async for message in self._all(room_id):
                if message["sender_id"] == user_id:
                    count += 1
                    yield {"kind": "message", "message": message}
            for attachment in await self._files.told(room_id, user_id):
                count += 1
                yield {"kind": "file", "room_id": room_id, "attachment": attachment}
        yield {"kind": "end", "lines": count}

    async def erase(self, actor_id: str, user_id: str) -> AsyncIterator[Line]:
        """He leaves every room, each of his messages becomes a tombstone; his reactions, his files
        and how he was go.

        A line for each. Safe to repeat, and to be repeated where it broke off.
        """
        count, rooms = 0, await self._rooms_of(user_id)
        for room_id in rooms:
            if await self._leave(room_id, actor_id, user_id):
                count += 1
                yield {"kind": "membership", "room_id": room_id}
        for room_id in rooms:
            waiting: list[PendingWrite] = []
            async for message in self._all(room_id):
                async for kind, done in self._erased(room_id, actor_id, user_id, message):
                    waiting.append(done)
                    count += 1
                    told = {"room_id": room_id, "message_id": message["message_id"]}
                    yield {"kind": kind, **told}
                if len(waiting) >= PAGE:
                    waiting = await self._settle(waiting)
            await self._settle(waiting)
            for attachment_id in await self._files.erase(room_id, user_id):
                count += 1
                yield {"kind": "file", "room_id": room_id, "attachment_id": attachment_id}
        if await self._presences.forget(user_id):
            count += 1
            yield {"kind": "presence"}
        yield {"kind": "end", "lines": count}

    async def _rooms_of(self, user_id: str) -> list[str]:
        """Of the archive and of what is on its way there."""
        stored = await self._archive.rooms_of(user_id)
        fresh = (await self._user_rooms.all(user_id)).rooms
        return sorted({one.room_id for one in stored} | {one.room_id for one in fresh})

    async def _all(self, room_id: str) -> AsyncIterator[Message]:
        after, more = 0, True
        while more:
            wanted = SeqRange(after, None, PAGE, "oldest")
            messages, more = await self._history.page(room_id, AS_OPERATOR, wanted)
            for message in messages:
                yield message
            after = messages[-1]["seq"] if messages else after

    async def _erased(
        self, room_id: str, actor_id: str, user_id: str, message: Message
    ) -> AsyncIterator[tuple[str, PendingWrite]]:
        """What a message has of the user: itself, or his reactions to it."""
        if "deleted_at" in message or message["type"] == "system":
            return
        message_id = message["message_id"]
        if message["sender_id"] == user_id:
            _, done = await self._messages.delete(room_id, actor_id, message_id)
            yield "message", done
            return
        for emoji, given in message["reactions"].items():
            if user_id in given["user_ids"] or given["count"] > len(given["user_ids"]):
                _, done = await self._messages.react(room_id, user_id, message_id, emoji, on=False)
                if done.result:
                    yield "reaction", done

    async def _leave(self, room_id: str, actor_id: str, user_id: str) -> bool:
        """Whether he was in. From a direct room too: what is left is the other's."""
        wanted = MembershipChange(removals=(user_id,))
        try:
            done = await self._appends.append(
                events.members_changed(room_id, actor_id, wanted, group_only=False)
            )
        except (errors.NotFound, errors.Gone):
            return False
        await self._settle([done])
        return bool(done.affected("go"))

    async def _settle(self, waiting: list[PendingWrite]) -> list[PendingWrite]:
        if waiting:
            await asyncio.wait([done.durability for done in waiting], timeout=PATIENCE)
        return []


def _told(stored: StoredMember) -> Line:
    names = ("room_id", "state", "role", "name", "joined_at", "read_seq", "muted", "hidden")
    return {name: getattr(stored, name) for name in names}
