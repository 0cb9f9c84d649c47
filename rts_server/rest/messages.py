"""Messages, for operators."""

from __future__ import annotations

from rts_server import errors
from rts_server.auth import Identity
from rts_server.config import Settings
from rts_server.domain.message import message_change
from rts_server.domain.reactions import shown
from rts_server.protocol import answers, requests
from rts_server.rest.routes import RoomParams, route
from rts_server.rest.wait_durable import wait_queued
from rts_server.roomlog.pending_write import PendingWrite
from rts_server.rooms.messages import Messages
from rts_server.rooms.rooms import Rooms
from rts_server.types.answers import (
    ChangedMessageAnswer,
    MessagesAnswer,
    OneMessageAnswer,
    SentAnswer,
)
from rts_server.types.objects import Message
from rts_server.types.requests import (
    IdempotencyKeyRequest,
    MessageChangeRequest,
    MessagePageRequest,
    NewMessageRequest,
    OnBehalfOfRequest,
)
from rts_server.views.history import AS_OPERATOR, History


class NewMessageParams(RoomParams, NewMessageRequest, IdempotencyKeyRequest):
    """Path, headers and body."""


class MessagePageParams(RoomParams, MessagePageRequest):
    """Path and query."""


class MessageParams(RoomParams):
    """The path of a message."""

    message_id: str


class MessageChangeParams(MessageParams, MessageChangeRequest):
    """Path and body."""


class MessageDeletionParams(MessageParams, OnBehalfOfRequest):
    """Path and query."""


class ReactionParams(MessageParams, OnBehalfOfRequest):
    """Path and query."""

    emoji: str


class MessageRoutes:
    """Send, edit, delete and react to messages, as the operator or for a member; read history."""

    def __init__(
        self,
        settings: Settings,
        rooms: Rooms,
        *,
        as_member: Messages,
        as_system: Messages,
        history: History,
    ) -> None:
        """`as_member` checks the sender's role; `as_system` checks none."""
        self._durable_wait = settings.durable_wait
        self._rooms = rooms
        self._as_member = as_member
        self._as_system = as_system
        self._history = history

    @route(
        "POST",
        "/v1/rooms/{room_id}/messages",
        answers.SentSchema,
        headers=requests.IdempotencyKeySchema,
        body=requests.NewMessageSchema,
        refuses=(errors.Conflict, errors.Gone),
    )
    async def send(self, operator: Identity, params: NewMessageParams) -> SentAnswer:
        """Send a message as the operator, or on behalf of a member who may send."""
        room_id = params["room_id"]
        await self._rooms.public(room_id)
        sender, sender_id = self._actor(operator, params)
        done = await sender.send(room_id, sender_id, params)
        status = await wait_queued(done, self._durable_wait, errors.NeverStored)
        return {
            "message_id": done.request_id,
            "client_msg_id": params["client_msg_id"],
            **done.ack_position(),
            "status": status,
        }

    @route(
        "GET",
        "/v1/rooms/{room_id}/messages",
        answers.MessagesSchema,
        query=requests.MessagePageSchema,
        refuses=(errors.Gone,),
    )
    async def page(self, operator: Identity, params: MessagePageParams) -> MessagesAnswer:
        """A page of history, ascending by seq."""
        await self._rooms.public(params["room_id"])
        messages, more = await self._history.list_page(params["room_id"], AS_OPERATOR, params)
        return {"messages": messages, "has_more": more}

    @route(
        "GET",
        "/v1/rooms/{room_id}/messages/{message_id}",
        answers.OneMessageSchema,
        refuses=(errors.Gone,),
    )
    async def get(self, operator: Identity, params: MessageParams) -> OneMessageAnswer:
        """One message in its newest state; of a deleted one the ids, seq and times."""
        room_id = params["room_id"]
        await self._rooms.public(room_id)
        return {"message": await self._history.message(room_id, AS_OPERATOR, params["message_id"])}

    @route(
        "PATCH",
        "/v1/rooms/{room_id}/messages/{message_id}",
        answers.ChangedMessageSchema,
        body=requests.MessageChangeSchema,
        refuses=(errors.Conflict, errors.Gone),
    )
    async def edit(self, operator: Identity, params: MessageChangeParams) -> ChangedMessageAnswer:
        """Change a message of the operator or, with `on_behalf_of`, of that member.

        Only its sender may edit a message. Operators may delete the messages of others.
        """
        room_id = params["room_id"]
        await self._rooms.public(room_id)
        sender, sender_id = self._actor(operator, params)
        message, done = await sender.edit(
            room_id,
            sender_id,
            params["message_id"],
            message_change(params),
            params.get("version"),
        )
        return await self._changed(message, done)

    @route(
        "DELETE",
        "/v1/rooms/{room_id}/messages/{message_id}",
        answers.ChangedMessageSchema,
        query=requests.OnBehalfOfSchema,
        refuses=(errors.Gone,),
    )
    async def delete(
        self, operator: Identity, params: MessageDeletionParams
    ) -> ChangedMessageAnswer:
        """Delete any message, or with `on_behalf_of` one that this member may delete."""
        room_id = params["room_id"]
        await self._rooms.public(room_id)
        actor, actor_id = self._actor(operator, params)
        message, done = await actor.delete(room_id, actor_id, params["message_id"])
        return await self._changed(message, done)

    @route(
        "PUT",
        "/v1/rooms/{room_id}/messages/{message_id}/reactions/{emoji}",
        answers.ChangedMessageSchema,
        query=requests.OnBehalfOfSchema,
        refuses=(errors.Gone, errors.LimitExceeded),
    )
    async def react(self, operator: Identity, params: ReactionParams) -> ChangedMessageAnswer:
        """React to a message as the operator or, with `on_behalf_of`, as that member."""
        return await self._react(operator, params, on=True)

    @route(
        "DELETE",
        "/v1/rooms/{room_id}/messages/{message_id}/reactions/{emoji}",
        answers.ChangedMessageSchema,
        query=requests.OnBehalfOfSchema,
        refuses=(errors.Gone,),
    )
    async def unreact(self, operator: Identity, params: ReactionParams) -> ChangedMessageAnswer:
        """Take back a reaction of the operator or, with `on_behalf_of`, of that member."""
        return await self._react(operator, params, on=False)

    async def _react(
        self, operator: Identity, params: ReactionParams, *, on: bool
    ) -> ChangedMessageAnswer:
        room_id = params["room_id"]
        await self._rooms.public(room_id)
        actor, actor_id = self._actor(operator, params)
        message, done = await actor.react(
            room_id, actor_id, params["message_id"], params["emoji"], on=on
        )
        return await self._changed(message, done)

    def _actor(self, operator: Identity, params: OnBehalfOfRequest) -> tuple[Messages, str]:
        """Return (commands on messages, user id) of the member named, else of the operator."""
        if member := params.get("on_behalf_of"):
            return self._as_member, member
        return self._as_system, operator.user_id

    async def _changed(self, message: Message, done: PendingWrite) -> ChangedMessageAnswer:
        status = await wait_queued(done, self._durable_wait)
        newest = done.ack_message() or {"message": message}
        return {"message": shown(newest["message"]), "status": status}
