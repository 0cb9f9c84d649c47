"""What commands on rooms do: an append, the user index before the ack, a fate to wait for."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import errors, keys
from rts_server.auth import Identity
from rts_server.persistence.user_rooms import Membership, State, UserRooms
from rts_server.rooms import events
from rts_server.rooms.append import Append, Appended, Joining
from rts_server.rooms.fates import Fates
from rts_server.rooms.history import History, Message
from rts_server.rooms.log import Exists, Moved, RoomLog
from rts_server.rooms.roles import MEMBER, OWNER

log = logging.getLogger(__name__)

AGAIN = 0.01


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
        history: History,
    ) -> None:
        self._redis = redis
        self._log = room_log
        self._fates = fates
        self._user_rooms = user_rooms
        self._history = history

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

    async def remove(self, room_id: str, actor_id: str, user_ids: list[str]) -> Done:
        """Append that members go, if any are in. Raises Refusal."""
        return await self._append(events.member_removed(room_id, actor_id, user_ids))

    async def edit(
        self, room_id: str, actor_id: str, message_id: str, change: dict[str, Any]
    ) -> tuple[Message, Done]:
        """Append the message with another text or metadata; `change` may hold a `version`."""
        expected = change.pop("version", None)

        def edited(message: Message, epoch: int) -> Append | None:
            if message["sender_id"] != actor_id or message["type"] == "system":
                raise errors.Forbidden()
            if "deleted_at" in message:
                raise errors.Gone()
            if all(message[name] == value for name, value in change.items()):
                return None
            if expected not in (None, message["version"]):
                raise errors.Conflict("The message changed.", details={"version": ["Moved."]})
            return events.message_edited(message, epoch, actor_id, change)

        return await self._change(room_id, actor_id, message_id, edited)

    async def delete(self, room_id: str, actor_id: str, message_id: str) -> tuple[Message, Done]:
        """Append the message's tombstone."""

        def deleted(message: Message, epoch: int) -> Append | None:
            if "deleted_at" in message:
                return None
            return events.message_deleted(message, epoch, actor_id)

        return await self._change(room_id, actor_id, message_id, deleted)

    async def _change(
        self,
        room_id: str,
        actor_id: str,
        message_id: str,
        make: Callable[[Message, int], Append | None],
    ) -> tuple[Message, Done]:
        """Read, decide, append; again from the start when somebody else was faster."""
        while True:
            message, epoch = await self._history.current(room_id, actor_id, message_id)
            request = make(message, epoch)
            if request is None:
                return message, _nothing("queued")
            try:
                done = await self._append(request)
            except Moved:
                await asyncio.sleep(AGAIN)
                continue
            return (await self._history.current(room_id, actor_id, message_id))[0], done

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
        if request.joining or request.going:
            await self._index(request, appended)
        return Done(appended, self._fates.follow(request, appended))

    async def _index(self, request: Append, appended: Appended) -> None:
        """Before the ack; the relay does it again, so a failure here is only late, never lost."""
        first = appended.offset - len(request.events) + 1
        at = next(i for i, event in enumerate(request.events) if event.joins or event.parts)
        state: State = "out" if request.going else "in"
        changes = [
            (user_id, Membership(request.room_id, appended.epoch, first + at, state))
            for user_id in appended.picked
        ]
        try:
            await self._user_rooms.note_all(changes)
        except (RedisError, OSError):
            log.warning("user index is late", extra={"room_id": request.room_id})


def _nothing(status: str = "stored") -> Done:
    fate: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    fate.set_result(status)
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
