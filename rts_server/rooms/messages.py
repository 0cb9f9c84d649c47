"""Durable commands on messages."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from rts_server import errors
from rts_server.persistence.statuses import Statuses
from rts_server.rooms import events
from rts_server.rooms.append import Append
from rts_server.rooms.appends import Appends, Done
from rts_server.rooms.history import ANYBODY, Current, History, Message
from rts_server.rooms.reactions import reacted
from rts_server.rooms.template import stamped
from rts_server.rooms.typing import Typing

log = logging.getLogger(__name__)


class Messages:
    """Send and change. Every command is safe to repeat."""

    def __init__(
        self,
        statuses: Statuses,
        appends: Appends,
        history: History,
        *,
        typing: Typing | None = None,
        system: bool = False,
    ) -> None:
        """`system`: whoever acts need not be a member, as in `SystemAppends`.

        `typing`: whom a message ends; None: nobody is told.
        """
        self._typing = typing
        self._statuses = statuses
        self._system = system
        self._appends = appends
        self._history = history

    async def send(self, room_id: str, sender_id: str, command: dict[str, Any]) -> Done:
        """Append a message. Raises Refusal, InvalidParam for a reply to what is not in the room."""
        request = events.message_new(room_id, sender_id, command)
        if "reply_to" in command and not await self._there(room_id, sender_id, command["reply_to"]):
            if done := await self._appends.known(request):  # sent when it was there
                return done
            raise errors.InvalidParam(details={"reply_to": ["No message of this room."]})
        if self._typing is None:
            return await self._appends.append(request)
        self._typing.sending(room_id, sender_id)
        done = await self._appends.append(request)
        if done.appended is not None and done.appended.typed:
            self._typing.tell(room_id)
        return done

    async def _there(self, room_id: str, sender_id: str, message_id: str) -> bool:
        reader = ANYBODY if self._system else sender_id
        try:
            await self._history.current(room_id, reader, message_id, self._appends.warm)
        except errors.NotFound:
            return False
        return True

    async def repeat(self, room_id: str, sender_id: str, command: dict[str, Any]) -> Done:
        """The first result of a message whose files are gone with it; nothing is appended.

        `attachments` hold no more than their ids. Raises InvalidParam when there was none.
        """
        done = await self._appends.known(events.message_new(room_id, sender_id, command))
        if done is None:
            raise errors.InvalidParam(details={"attachments": ["They are gone."]})
        return done

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
            done = await self._appends.append(events.message_failed(failure, room_id))
        except errors.Refusal as refusal:
            if refusal.retryable:
                raise
            log.error("nobody to tell of a failure", extra={"room_id": room_id, "seq": seq})
            return
        if await done.fate != "queued":
            raise errors.Unavailable()

    async def edit(
        self, room_id: str, actor_id: str, message_id: str, change: dict[str, Any]
    ) -> tuple[Message, Done]:
        """Append the message with another text, metadata or mentions; `change` may hold `version`.

        Raises InvalidParam for a text of nothing where no file remains.
        """
        expected = change.pop("version", None)

        def edited(current: Current, *, heard: bool = False) -> Append | None:
            message = current.message
            if message["sender_id"] != actor_id or message["type"] == "system":
                raise errors.Forbidden()
            if "deleted_at" in message:
                raise errors.Gone()
            if change.get("text") == "" and not message["attachments"]:
                raise errors.InvalidParam(details={"text": ["Not empty."]})
            if all(message[name] == value for name, value in change.items()):
                wishes = events.edit_wishes(message_id, change)
                return events.message_unchanged(message, current.epoch, actor_id, wishes)
            if not heard and expected not in (None, message["version"]):
                raise errors.Conflict("The message changed.", details={"version": ["Moved."]})
            return events.message_edited(message, current.epoch, actor_id, change)

        heard = partial(edited, heard=True)
        return await self._change(room_id, actor_id, message_id, edited, heard)

    async def delete(self, room_id: str, actor_id: str, message_id: str) -> tuple[Message, Done]:
        """Append the message's tombstone."""

        def deleted(current: Current) -> Append | None:
            if "deleted_at" in current.message:
                return None
            return events.message_deleted(current.message, current.epoch, actor_id)

        return await self._change(room_id, actor_id, message_id, deleted, deleted)

    async def react(
        self, room_id: str, actor_id: str, message_id: str, emoji: str, *, on: bool
    ) -> tuple[Message, Done]:
        """Append that a reaction came or went. Raises Gone, LimitExceeded."""

        def changed(current: Current) -> Append | None:
            message = current.message
            if "deleted_at" in message:
                raise errors.Gone()
            reactions = reacted(message["reactions"], emoji, actor_id, on=on)
            if reactions is None:
                wishes = events.reaction_wishes(message_id, actor_id, emoji)
                return events.message_unchanged(message, current.epoch, actor_id, wishes)
            return events.message_reacted(
                message | {"reactions": reactions}, current.epoch, actor_id, emoji, on=on
            )

        return await self._change(room_id, actor_id, message_id, changed, changed)

    async def _change(
        self,
        room_id: str,
        actor_id: str,
        message_id: str,
        make: Callable[[Current], Append | None],
        heard: Callable[[Current], Append | None],
    ) -> tuple[Message, Done]:
        """`heard`: as `make`, for a change that was heard and lost: nobody judges it again."""

        async def read(reader: str) -> Current:
            return await self._history.current(room_id, reader, message_id, self._appends.warm)

        async def remake() -> Append | None:
            return heard(await read(ANYBODY))

        reader = partial(read, ANYBODY if self._system else actor_id)
        current, request, done = await self._appends.change(reader, make, remake)
        if request is None or done is None or done.appended is None:
            return current.message, self._as_it_is(room_id, actor_id, message_id, current)
        return stamped(request.after, done.appended.ts), done

    def _as_it_is(self, room_id: str, actor_id: str, message_id: str, current: Current) -> Done:
        """Nothing to change: as durable as what is there."""

        async def queued() -> bool:
            reader = ANYBODY if self._system else actor_id
            return not (await self._history.current(room_id, reader, message_id)).waiting

        return self._appends.agree("queued", queued if current.waiting else None)

    def tell_sender(self, room_id: str, user_id: str, data: dict[str, Any]) -> None:
        """`message.status` to the sender's devices on all instances."""
        self._statuses.tell(room_id, user_id, data)
