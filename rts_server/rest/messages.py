"""Messages, for operators."""

from __future__ import annotations

from rts_server import errors
from rts_server.auth import Identity
from rts_server.config import Settings
from rts_server.protocol import answers, requests
from rts_server.rest.routes import RoomParams, route
from rts_server.rest.wait_durable import wait_durable
from rts_server.rooms.messages import Messages
from rts_server.rooms.rooms import Rooms
from rts_server.types.answers import MessagesAnswer, SentAnswer
from rts_server.types.requests import (
    IdempotencyKeyRequest,
    MessagePageRequest,
    NewMessageRequest,
)
from rts_server.views.history import AS_OPERATOR, History
from rts_server.views.unread import UnreadPublisher


class NewMessageParams(RoomParams, NewMessageRequest, IdempotencyKeyRequest):
    """Path, headers and body."""


class MessagePageParams(RoomParams, MessagePageRequest):
    """Path and query."""


class MessageRoutes:
    """Send messages as the operator or on behalf of a member, and read history."""

    def __init__(
        self,
        settings: Settings,
        rooms: Rooms,
        *,
        as_member: Messages,
        as_system: Messages,
        history: History,
        unread: UnreadPublisher,
    ) -> None:
        """`as_member` checks the sender's role; `as_system` checks none."""
        self._durable_wait = settings.durable_wait
        self._rooms = rooms
        self._as_member = as_member
        self._as_system = as_system
        self._history = history
        self._unread = unread

    @route(
        "POST",
        "/v1/rooms/{room_id}/messages",
        answers.SentSchema,
        headers=requests.IdempotencyKeySchema,
        body=requests.NewMessageSchema,
    )
    async def send(self, operator: Identity, params: NewMessageParams) -> SentAnswer:
        """Send a message as the operator, or on behalf of a member who may send."""
        room_id, member = params["room_id"], params.get("on_behalf_of")
        await self._rooms.public(room_id)
        sender, sender_id = self._as_system, operator.user_id
        if member:
            sender, sender_id = self._as_member, member
        done = await sender.send(room_id, sender_id, params)
        for user_id in done.appended.unread_changed_for(sender_id):
            self._unread.publish_soon(user_id, room_id)
        status = await wait_durable([done], self._durable_wait, errors.NeverStored)
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
    )
    async def page(self, operator: Identity, params: MessagePageParams) -> MessagesAnswer:
        """A page of history, ascending by seq."""
        await self._rooms.public(params["room_id"])
        messages, more = await self._history.list_page(params["room_id"], AS_OPERATOR, params)
        return {"messages": messages, "has_more": more}
