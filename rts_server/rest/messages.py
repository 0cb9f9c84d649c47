"""Messages, for operators."""

from __future__ import annotations

import secrets
from typing import Any

from rts_server import errors
from rts_server.auth import Identity
from rts_server.config import Settings
from rts_server.protocol import answers, requests
from rts_server.rest.routes import Asked, route
from rts_server.rest.wait_durable import settled
from rts_server.rooms.messages import Messages
from rts_server.rooms.rooms import Rooms
from rts_server.views.history import AS_OPERATOR, History
from rts_server.views.unread import UnreadPublisher


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
        self._patience = settings.durable_wait
        self._rooms = rooms
        self._as_member = as_member
        self._as_system = as_system
        self._history = history
        self._unread = unread

    @route(
        "POST",
        "/v1/rooms/{room_id}/messages",
        answers.Sent,
        headers=requests.IdempotencyKey,
        body=requests.NewMessage,
    )
    async def send(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """Send a message: of a member, who must be allowed to, or of the operator himself."""
        room_id, member = asked["room_id"], asked.pop("on_behalf_of", None)
        await self._rooms.public(room_id)
        client_msg_id = asked.setdefault("client_msg_id", secrets.token_hex(16))
        sender, sender_id = self._as_system, operator.user_id
        if member:
            sender, sender_id = self._as_member, member
        done = await sender.send(room_id, sender_id, asked)
        assert done.result is not None
        for user_id in done.result.unread_changed_for(sender_id):
            self._unread.publish_soon(user_id, room_id)
        status = await settled([done], self._patience, errors.NeverStored)
        named = {"message_id": done.request_id, "client_msg_id": client_msg_id}
        return named | done.ack_position() | {"status": status}

    @route("GET", "/v1/rooms/{room_id}/messages", answers.Messages, query=requests.MessagePage)
    async def page(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """A page of history, ascending by seq."""
        await self._rooms.public(asked["room_id"])
        messages, more = await self._history.list_page(asked["room_id"], AS_OPERATOR, asked)
        return {"messages": messages, "has_more": more}
