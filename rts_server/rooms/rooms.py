"""What commands on rooms do: an append, the user index before the ack, a fate to wait for."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import errors, keys
from rts_server.auth import Identity
from rts_server.persistence.archive import Archive
from rts_server.persistence.user_rooms import Membership, State, UserRooms
from rts_server.rooms import events
from rts_server.rooms.append import Append, Appended, Joining
from rts_server.rooms.fates import Fates
from rts_server.rooms.history import Current, History, Message
from rts_server.rooms.log import Exists, Moved, RoomLog
from rts_server.rooms.roles import MEMBER, OWNER
from rts_server.rooms.template import stamped

log = logging.getLogger(__name__)

AGAIN = 0.01


@dataclass(frozen=True)
class Done:
    """What was appended (None: nothing had to be) and what will become of it.

    `first`: nobody else on this instance is told of that fate yet; `request_id`: a message's id.
    """

    appended: Appended | None
    fate: asyncio.Future[str]
    first: bool = False
    request_id: str = ""


class Rooms:
    """Durable commands. Every one is safe to repeat."""

    def __init__(
        self,
        redis: Redis,
        room_log: RoomLog,
        fates: Fates,
        user_rooms: UserRooms,
        archive: Archive,
        history: History,
    ) -> None:
        self._redis = redis
        self._log = room_log
        self._fates = fates
        self._user_rooms = user_rooms
        self._archive = archive
        self._history = history

    async def send(self, room_id: str, sender_id: str, command: dict[str, Any]) -> Done:
        """Append a message. Raises Refusal."""
        return await self._append(events.message_new(room_id, sender_id, command))

    async def fail(
        self, room_id: str, message_id: str, client_msg_id: str | None, seq: int, reason: str
    ) -> None:
        """Append `message.failed` for what a Lambda could never apply, and see it queued.

        A room that is not there has nobody to tell. Raises Refusal when it is to be tried again.
        """
        failure = {
            "message_id": message_id,
            "client_msg_id": client_msg_id,
            "seq": seq,
            "reason": reason,
        }
        try:
            done = await self._append(events.message_failed(failure, room_id))
        except errors.Refusal as refusal:
            if refusal.retryable:
                raise
            log.error("nobody to tell of a failure", extra={"room_id": room_id, "seq": seq})
            return
        if await done.fate != "queued":
            raise errors.Unavailable()

    async def create(self, creator: Identity, command: dict[str, Any]) -> tuple[str, bool, Done]:
        """(room_id, whether it is new, the append). Raises NotFound where one is not a member."""
        room, joining = _new_room(creator, command)
        room_id: str = room["room_id"]
        await self._must_have_room(room_id, [one.user_id for one in joining])
        request_id = f"create:{secrets.token_hex(16)}"
        request = events.room_created(room, creator.user_id, joining, request_id)
        try:
            return room_id, True, await self._append(request)
        except Exists as met:
            if not met.is_member:
                raise errors.NotFound() from None
            return room_id, False, self._nothing(replace(request, joining=request.joining[:1]))

    async def add(self, room_id: str, actor_id: str, user_ids: list[str], role: str) -> Done:
        """Append new members, if any are new. Raises Refusal."""
        await self._must_have_room(room_id, user_ids)
        return await self._append(events.member_added(room_id, actor_id, user_ids, role))

    async def _must_have_room(self, room_id: str, user_ids: list[str]) -> None:
        """Nobody is put into more rooms than a user may be in, by whomever; who is in stays."""
        most = self._fates.settings.limits.user_rooms
        if await self._user_rooms.full(room_id, user_ids, most):
            raise errors.LimitExceeded(f"A user is in at most {most} rooms.")

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

        async def remake() -> Append | None:
            current = await self._history.current(room_id, actor_id, message_id)
            return make(current.message, current.epoch)

        while True:
            current = await self._history.current(room_id, actor_id, message_id)
            request = make(current.message, current.epoch)
            if request is None:
                return current.message, self._as_it_is(room_id, actor_id, message_id, current)
            try:
                done = await self._append(replace(request, remake=remake))
            except Moved:
                await asyncio.sleep(AGAIN)
                continue
            assert done.appended is not None
            changed: Message = request.events[0].data["message"]
            return stamped(changed, done.appended.ts), done

    def _as_it_is(self, room_id: str, actor_id: str, message_id: str, current: Current) -> Done:
        """Nothing to change: as durable as what is there."""

        async def queued() -> bool:
            return not (await self._history.current(room_id, actor_id, message_id)).waiting

        return Done(None, self._fates.agree("queued", None if not current.waiting else queued))

    async def tell_sender(self, room_id: str, user_id: str, data: dict[str, Any]) -> None:
        """`message.status` to the sender's devices on all instances."""
        text = events.message_status(room_id, data)
        message = {"kind": "event", "namespace": "/chat", "type": "message.status", "text": text}
        await self._redis.publish(keys.user_channel(user_id), orjson.dumps(message))

    async def _append(self, request: Append) -> Done:
        self._fates.check_room()
        appended = await self._log.append(request)
        if appended is None:
            return self._nothing(request)
        if request.joining or request.going:
            await self.index(request, appended)
        return Done(appended, *self._fates.follow(request, appended), request.request_id)

    def _nothing(self, request: Append) -> Done:
        """All is as it was asked for already; `stored` when the table says so too."""
        wanted = {one.user_id: "in" for one in request.joining} | dict.fromkeys(
            request.going, "out"
        )

        async def stored() -> bool:
            return await self._archive.agrees(request.room_id, wanted)

        return Done(None, self._fates.agree("stored", stored))

    async def index(self, request: Append, appended: Appended) -> None:
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
