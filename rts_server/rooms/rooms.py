"""What commands on rooms do: an append, the user index before the ack, a fate to wait for."""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass
from typing import Any

import orjson
from redis.asyncio import Redis

from rts_server import errors, keys
from rts_server.auth import Identity
from rts_server.persistence.user_rooms import Membership, UserRooms
from rts_server.rooms import events
from rts_server.rooms.append import Append, Appended, Joining
from rts_server.rooms.chatlist import ChatLists
from rts_server.rooms.fates import Fates
from rts_server.rooms.log import Exists, RoomLog
from rts_server.rooms.roles import MEMBER, OWNER

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Done:
    """What was appended (None: nothing had to be) and what will become of it."""

    appended: Appended | None
    fate: asyncio.Future[str]


class Rooms:
    """Durable commands. Every one is safe to repeat."""

    def __init__(
        self,
        redis: Redis,
        room_log: RoomLog,
        fates: Fates,
        user_rooms: UserRooms,
        chat_lists: ChatLists,
    ) -> None:
        self._redis = redis
        self._log = room_log
        self._fates = fates
        self._user_rooms = user_rooms
        self._chat_lists = chat_lists

    async def send(self, room_id: str, sender_id: str, command: dict[str, Any]) -> Done:
        """Append a message. Raises Refusal."""
        return await self._append(events.message_new(room_id, sender_id, command))

    async def fail(
        self, room_id: str, message_id: str, client_msg_id: str | None, seq: int, reason: str
    ) -> None:
        """Append `message.failed` for what a Lambda could never apply. Raises Refusal."""
        failure = {
            "message_id": message_id,
            "client_msg_id": client_msg_id,
            "seq": seq,
            "reason": reason,
        }
        await self._log.append(events.message_failed(failure, room_id))

    async def create(self, creator: Identity, command: dict[str, Any]) -> tuple[str, bool, Done]:
        """(room_id, whether it is new, the append). Raises NotFound where one is not a member."""
        room, joining = _new_room(creator, command)
        room_id: str = room["room_id"]
        request_id = f"create:{secrets.token_hex(16)}"
        request = events.room_created(room, creator.user_id, joining, request_id)
        try:
            return room_id, True, await self._append(request)
        except Exists as met:
            if not met.is_member:
                raise errors.NotFound() from None
            return room_id, False, _nothing()

    async def add(self, room_id: str, actor_id: str, user_ids: list[str], role: str) -> Done:
        """Append new members, if any are new. Raises Refusal."""
        return await self._append(events.member_added(room_id, actor_id, user_ids, role))

    async def tell_sender(self, room_id: str, user_id: str, data: dict[str, Any]) -> None:
        """`message.status` to the sender's devices on all instances."""
        text = events.message_status(room_id, data)
        message = {"kind": "event", "namespace": "/chat", "type": "message.status", "text": text}
        await self._redis.publish(keys.user_channel(user_id), orjson.dumps(message))

    async def _append(self, request: Append) -> Done:
        self._fates.check_room()
        appended = await self._log.append(request)
        if appended is None:
            return _nothing()
        if request.joining:
            await self._index(request, appended)
        return Done(appended, self._fates.follow(request, appended))

    async def _index(self, request: Append, appended: Appended) -> None:
        """Before the ack; the relay does it again, so a failure here is only late, never lost."""
        offset = appended.offset - len(request.events) + 1
        joins = next(i for i, event in enumerate(request.events) if event.joins)
        changes = [
            (user_id, Membership(request.room_id, appended.epoch, offset + joins, "in"))
            for user_id in appended.added
        ]
        try:
            await self._user_rooms.note_all(changes)
        except Exception:
            log.warning("user index is late", extra={"room_id": request.room_id})


def _nothing() -> Done:
    fate: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    fate.set_result("stored")
    return Done(None, fate)


def _new_room(
    creator: Identity, command: dict[str, Any]
) -> tuple[dict[str, Any], tuple[Joining, ...]]:
    """The room's own fields and its first members, the creator first."""
    me = creator.user_id
    others = [user_id for user_id in dict.fromkeys(command["members"]) if user_id != me]
    room: dict[str, Any] = {
        "type": command["type"],
        "name": command.get("name"),
        "metadata": command.get("metadata", {}),
    }
    if command["type"] == "direct":
        if len(others) != 1:
            raise errors.InvalidParam(details={"members": ["Exactly one other user."]})
        room["room_id"] = keys.direct_room_id(me, others[0])
        return room, (Joining(me, MEMBER, creator.name), Joining(others[0], MEMBER))
    if "external_id" in command:
        room["external_id"] = command["external_id"]
        room["room_id"] = keys.external_room_id(command["external_id"])
    else:
        room["room_id"] = keys.client_room_id(me, command["client_room_id"])
    members = (Joining(me, OWNER, creator.name), *(Joining(user, MEMBER) for user in others))
    return room, members
