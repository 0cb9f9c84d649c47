"""Commands on messages: send, edit, delete, react."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from functools import partial
from typing import cast

from rts_server import errors
from rts_server.domain.message import MessageChange, MessageDraft
from rts_server.domain.reactions import reacted
from rts_server.persistence.message_status import StatusPublisher
from rts_server.roomlog.intents import edit_intents, edit_left, reaction_intents
from rts_server.roomlog.log import RoomLog
from rts_server.roomlog.message_events import (
    message_deleted,
    message_edited,
    message_failed,
    message_new,
    message_reacted,
    message_unchanged,
)
from rts_server.roomlog.pending_write import PendingWrite
from rts_server.roomlog.request import AppendRequest
from rts_server.roomlog.template import with_timestamp
from rts_server.rooms.typing import TypingPublisher
from rts_server.types.events import MessageFailedData, MessageStatusData
from rts_server.types.objects import Attachment, Message
from rts_server.views.history import AS_OPERATOR, History, MessageState

log = logging.getLogger(__name__)


class Messages:
    """Sends and changes messages. Every command is safe to repeat (D7)."""

    def __init__(
        self,
        statuses: StatusPublisher,
        appends: RoomLog,
        history: History,
        *,
        typing: TypingPublisher | None = None,
        system: bool = False,
    ) -> None:
        """`system`: the actor need not be a member, as with `SystemRoomLog`.

        `typing`: where a message ends its sender's typing; None for senders who do not type.
        """
        self._typing = typing
        self._statuses = statuses
        self._system = system
        self._appends = appends
        self._history = history

    async def send(
        self,
        room_id: str,
        sender_id: str,
        draft: MessageDraft,
        attachments: list[Attachment] | None = None,
    ) -> PendingWrite:
        """Append a message. Raises InvalidParam if `reply_to` is not a message of the room."""
        request = message_new(room_id, sender_id, draft, attachments)
        if "reply_to" in draft and not await self._found(room_id, sender_id, draft["reply_to"]):
            if done := await self._appends.find(request):  # a retry of a send
                return done
            raise errors.InvalidParam(details={"reply_to": ["No message of this room."]})
        if self._typing is None:
            return await self._appends.append(request)
        # Before the append: a start that still waits to be published must not follow the message.
        self._typing.end_for_message(room_id, sender_id)
        done = await self._appends.append(request)
        if done.result is not None and done.result.typing_ended:
            self._typing.publish(room_id)
        return done

    async def _found(self, room_id: str, sender_id: str, message_id: str) -> bool:
        reader = AS_OPERATOR if self._system else sender_id
        try:
            await self._history.current(room_id, reader, message_id, self._appends.load_if_cold)
        except errors.NotFound:
            return False
        return True

    async def first_result(
        self, room_id: str, sender_id: str, draft: MessageDraft, attachment_ids: list[str]
    ) -> PendingWrite:
        """The first result of a message whose files were erased since; appends nothing.

        Raises InvalidParam if no such message was sent.
        """
        # Of the files only their ids are left, and only those are part of the hash.
        erased = cast(list[Attachment], [{"attachment_id": one} for one in attachment_ids])
        done = await self._appends.find(message_new(room_id, sender_id, draft, erased))
        if done is None:
            raise errors.InvalidParam(details={"attachments": ["The files no longer exist."]})
        return done

    async def fail(
        self, room_id: str, message_id: str, client_msg_id: str | None, seq: int, reason: str
    ) -> None:
        """Append `message.failed` for a message that a Lambda could never apply; wait until queued.

        A room that does not exist has no members to notify. Raises Refusal if the caller must try
        again.
        """
        failure: MessageFailedData = {
            "message_id": message_id,
            "client_msg_id": client_msg_id,
            "seq": seq,
            "reason": reason,
        }
        try:
            done = await self._appends.append(message_failed(failure, room_id))
        except errors.Refusal as refusal:
            if refusal.retryable:
                raise
            log.error(
                "failed message not reported: no such room", extra={"room_id": room_id, "seq": seq}
            )
            return
        if await done.durability != "queued":
            raise errors.Unavailable()

    async def edit(
        self,
        room_id: str,
        actor_id: str,
        message_id: str,
        change: MessageChange,
        version: int | None = None,
    ) -> tuple[Message, PendingWrite]:
        """Change text, metadata or mentions. Returns (the message, the pending write).

        `version`: the expected one; None for any. Raises Forbidden unless the actor is the
        sender, Gone for a deleted message, Conflict for another version, InvalidParam for an empty
        text without attachments.
        """

        def edited(
            current: MessageState, change: MessageChange, *, replayed: bool = False
        ) -> AppendRequest | None:
            message = current.message
            if message["sender_id"] != actor_id or message["type"] == "system":
                raise errors.Forbidden("Only its sender may edit a message.")
            if "deleted_at" in message:
                raise errors.Gone()
            if change.get("text") == "" and not message["attachments"]:
                raise errors.InvalidParam(details={"text": ["Must not be empty."]})
            if change.items() <= message.items():
                intents = edit_intents(message_id, change)
                return message_unchanged(message, current.epoch, actor_id, intents)
            if not replayed and version not in (None, message["version"]):
                raise errors.Conflict(
                    "The message changed.",
                    details={"version": ["Not the current version."]},
                )
            return message_edited(message, current.epoch, actor_id, change)

        def rebuild(current: MessageState, intents: Collection[str]) -> AppendRequest | None:
            return edited(current, edit_left(message_id, change, intents), replayed=True)

        make = partial(edited, change=change)
        return await self._change(room_id, actor_id, message_id, make, rebuild)

    async def delete(
        self, room_id: str, actor_id: str, message_id: str
    ) -> tuple[Message, PendingWrite]:
        """Replace the message by its tombstone. Returns (the tombstone, the pending write)."""

        def deleted(current: MessageState, intents: Collection[str] = ()) -> AppendRequest | None:
            if "deleted_at" in current.message:
                return None
            return message_deleted(current.message, current.epoch, actor_id)

        return await self._change(room_id, actor_id, message_id, deleted, deleted)

    async def react(
        self, room_id: str, actor_id: str, message_id: str, emoji: str, *, on: bool
    ) -> tuple[Message, PendingWrite]:
        """Add or remove a reaction. Returns (the message, the pending write).

        Raises Gone for a deleted message, LimitExceeded for too many reactions.
        """

        def changed(current: MessageState, intents: Collection[str] = ()) -> AppendRequest | None:
            message = current.message
            if "deleted_at" in message:
                raise errors.Gone()
            reactions = reacted(message["reactions"], emoji, actor_id, on=on)
            if reactions is None:
                intents = reaction_intents(message_id, actor_id, emoji)
                return message_unchanged(message, current.epoch, actor_id, intents)
            after: Message = {**message, "reactions": reactions}
            return message_reacted(after, current.epoch, actor_id, emoji, on=on)

        return await self._change(room_id, actor_id, message_id, changed, changed)

    async def _change(
        self,
        room_id: str,
        actor_id: str,
        message_id: str,
        make: Callable[[MessageState], AppendRequest | None],
        rebuild: Callable[[MessageState, Collection[str]], AppendRequest | None],
    ) -> tuple[Message, PendingWrite]:
        """`rebuild`: like `make`, for a change that was accepted and lost: only its intents that
        are left, and without checking again what the actor may do.
        """

        async def read(reader: str) -> MessageState:
            return await self._history.current(
                room_id, reader, message_id, self._appends.load_if_cold
            )

        async def read_and_rebuild(intents: Collection[str]) -> AppendRequest | None:
            return rebuild(await read(AS_OPERATOR), intents)

        reader = partial(read, AS_OPERATOR if self._system else actor_id)
        current, request, done = await self._appends.change(reader, make, read_and_rebuild)
        if request is None or request.after is None or done is None or done.result is None:
            return current.message, self._unchanged(room_id, actor_id, message_id, current)
        return with_timestamp(request.after, done.result.ts), done

    def _unchanged(
        self, room_id: str, actor_id: str, message_id: str, current: MessageState
    ) -> PendingWrite:
        """A change that changes nothing is as durable as the state it found."""

        async def queued() -> bool:
            reader = AS_OPERATOR if self._system else actor_id
            return not (await self._history.current(room_id, reader, message_id)).waiting

        return self._appends.resolve_when("queued", queued if current.waiting else None)

    def publish_status(self, room_id: str, user_id: str, data: MessageStatusData) -> None:
        """Publish `message.status` to the sender's devices on all instances."""
        self._statuses.publish_soon(room_id, user_id, data)
