"""Data requests: export or erase everything of one user, in all rooms they are or were in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Literal, Protocol

from rts_server import errors
from rts_server.persistence.archive import Archive
from rts_server.persistence.stored_items import StoredMember
from rts_server.persistence.user_rooms import UserRooms
from rts_server.roomlog.log import SystemRoomLog
from rts_server.roomlog.member_events import members_changed
from rts_server.roomlog.pending_write import PendingWrite
from rts_server.roomlog.request import MembershipChange
from rts_server.rooms.messages import Messages
from rts_server.types import objects
from rts_server.types.objects import Attachment, Message
from rts_server.types.operator_answers import (
    ErasedLineAnswer,
    ExportLineAnswer,
    MembershipAnswer,
)
from rts_server.views.history import AS_OPERATOR, History, SeqRange

EXPORT_PAGE_MESSAGES = 100
DURABLE_WAIT_SECONDS = 10.0
"""Seconds to wait until a page of erasures is queued, so that they do not outrun the queue."""


class Files(Protocol):
    """The uploaded files of users."""

    async def attachments(self, room_id: str, user_id: str) -> list[Attachment]:
        """The user's files in a room, as the protocol's attachments."""

    async def erase(self, room_id: str, user_id: str) -> list[str]:
        """Erase the user's files in a room; returns their ids."""


class StoredPresence(Protocol):
    """The presence of one user."""

    @property
    def last(self) -> int:
        """When the user was last active (ms since 1970), 0 for never."""

    def shown(self, user_id: str) -> objects.Presence:
        """The protocol's presence."""


class Presences(Protocol):
    """The presence of users."""

    async def read(self, user_ids: Iterable[str]) -> Mapping[str, StoredPresence]:
        """The presence of each user."""

    async def forget(self, user_id: str) -> bool:
        """Delete the user's presence. Returns whether there was any."""


class DataRequests:
    """Exports and erases a user's data.

    Both read the whole history of each room: there is no index of messages by sender. Both raise
    Unavailable.
    """

    def __init__(
        self,
        appends: SystemRoomLog,
        messages: Messages,
        *,
        history: History,
        archive: Archive,
        user_rooms: UserRooms,
        files: Files,
        presences: Presences,
    ) -> None:
        """`messages`: made with `system=True`, so that the operator need not be a member."""
        self._appends = appends
        self._messages = messages
        self._history = history
        self._archive = archive
        self._user_rooms = user_rooms
        self._files = files
        self._presences = presences

    async def export(self, user_id: str) -> AsyncIterator[ExportLineAnswer]:
        """Yield a line for the presence, each membership (also past ones), message and file.

        The last line is `{kind: "end", lines: count}`; without it the export broke off.
        """
        count = 0
        presence = (await self._presences.read([user_id]))[user_id]
        if presence.last:
            count += 1
            yield {"kind": "presence", "presence": presence.shown(user_id)}
        for room_id in await self._rooms_of(user_id):
            stored = await self._archive.member(room_id, user_id)
            if stored is not None:
                count += 1
                yield {"kind": "membership", "membership": _membership_line(stored)}
            async for message in self._all(room_id):
                if message["sender_id"] == user_id:
                    count += 1
                    yield {"kind": "message", "message": message}
            for attachment in await self._files.attachments(room_id, user_id):
                count += 1
                yield {"kind": "file", "room_id": room_id, "attachment": attachment}
        yield {"kind": "end", "lines": count}

    async def erase(self, actor_id: str, user_id: str) -> AsyncIterator[ErasedLineAnswer]:
        """Remove the user from every room and erase their messages, reactions, files and presence.

        Yields a line for each; the last one is `{kind: "end", lines: count}`. Safe to repeat, also
        after it broke off.
        """
        count, rooms = 0, await self._rooms_of(user_id)
        # Memberships first: the user can then write nothing that the walk below has passed already.
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
                    message_id = message["message_id"]
                    yield {"kind": kind, "room_id": room_id, "message_id": message_id}
                if len(waiting) >= EXPORT_PAGE_MESSAGES:
                    waiting = await self._wait_durable(waiting)
            await self._wait_durable(waiting)
            for attachment_id in await self._files.erase(room_id, user_id):
                count += 1
                yield {"kind": "file", "room_id": room_id, "attachment_id": attachment_id}
        if await self._presences.forget(user_id):
            count += 1
            yield {"kind": "presence"}
        yield {"kind": "end", "lines": count}

    async def _rooms_of(self, user_id: str) -> list[str]:
        """The rooms in the archive and in the user index, which may be newer; also past ones."""
        stored = await self._archive.rooms_of(user_id)
        fresh = (await self._user_rooms.all(user_id)).rooms
        return sorted({one.room_id for one in stored} | {one.room_id for one in fresh})

    async def _all(self, room_id: str) -> AsyncIterator[Message]:
        after, more = 0, True
        while more:
            wanted = SeqRange(after, None, EXPORT_PAGE_MESSAGES, "oldest")
            messages, more = await self._history.page(room_id, AS_OPERATOR, wanted)
            for message in messages:
                yield message
            after = messages[-1]["seq"] if messages else after

    async def _erased(
        self, room_id: str, actor_id: str, user_id: str, message: Message
    ) -> AsyncIterator[tuple[Literal["message", "reaction"], PendingWrite]]:
        """Erase the user's part of a message: the message itself, or their reactions to it."""
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
        """Remove the user, from a direct room too. Returns whether they were a member."""
        wanted = MembershipChange(removals=(user_id,))
        try:
            done = await self._appends.append(
                members_changed(room_id, actor_id, wanted, group_only=False)
            )
        except (errors.NotFound, errors.Gone):
            return False
        await self._wait_durable([done])
        return bool(done.affected("go"))

    async def _wait_durable(self, waiting: list[PendingWrite]) -> list[PendingWrite]:
        if waiting:
            await asyncio.wait([done.durability for done in waiting], timeout=DURABLE_WAIT_SECONDS)
        return []


def _membership_line(stored: StoredMember) -> MembershipAnswer:
    return {
        "room_id": stored.room_id,
        "state": stored.state,
        "role": stored.role,
        "name": stored.name,
        "joined_at": stored.joined_at,
        "read_seq": stored.read_seq,
        "muted": stored.muted,
        "hidden": stored.hidden,
    }
