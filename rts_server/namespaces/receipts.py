"""`/receipts`: who has read what, and what is unread."""

from __future__ import annotations

from typing import Any

from rts_server import errors
from rts_server.config import Settings
from rts_server.engine.server import Server
from rts_server.namespaces.answer import Answer, command
from rts_server.namespaces.base import Namespace
from rts_server.namespaces.connections import Connections
from rts_server.namespaces.session import Session
from rts_server.protocol import commands
from rts_server.rooms.receipts import ReceiptWriter
from rts_server.views.inbox import InboxReader, InboxRow
from rts_server.views.member_list import MemberList
from rts_server.views.unread import UnreadPublisher

CURSOR = ("user_id", "read_seq", "delivered_seq")


class ReceiptsNamespace(Namespace):
    """Cursors move forward only; every command is safe to repeat."""

    def __init__(
        self,
        settings: Settings,
        server: Server,
        connections: Connections,
        writes: tuple[ReceiptWriter, UnreadPublisher],
        reads: tuple[InboxReader, MemberList],
    ) -> None:
        inboxes, self._members = reads
        super().__init__("/receipts", settings, server, connections, inboxes)
        self._receipts, self._unread = writes

    @command("receipt.read", commands.ReceiptRead)
    async def receipt_read(self, session: Session, asked: dict[str, Any]) -> Answer:
        """Everything up to a seq is read."""
        room_id, user_id = asked["room_id"], session.user_id
        await self._must_be_in(session, room_id)
        cursors = {room_id: (asked["up_to_seq"], 0)}
        moved = (await self._receipts.move(user_id, cursors)).get(room_id)
        if moved is None:
            raise errors.NotFound()
        if moved.read:
            self._unread.publish_soon(user_id, room_id)
        row = await self._row(user_id, room_id)
        return {
            "read_seq": moved.read_seq,
            "delivered_seq": moved.delivered_seq,
            "unread": row.room["unread"],
        }

    @command("receipt.delivered", commands.ReceiptDelivered)
    async def receipt_delivered(self, session: Session, asked: dict[str, Any]) -> Answer:
        """Everything up to a seq has arrived, in several rooms at once; rooms of others are not."""
        mine = {one.room_id for one in await self._inboxes.memberships(session.user_id)}
        cursors = {room_id: (0, seq) for room_id, seq in asked["rooms"].items() if room_id in mine}
        if cursors:
            await self._receipts.move(session.user_id, cursors)
        return {}

    @command("receipt.list", commands.RoomGet)
    async def receipt_list(self, session: Session, asked: dict[str, Any]) -> Answer:
        """The cursors of all members."""
        await self._must_be_in(session, asked["room_id"])
        members = await self._members.for_member(asked["room_id"], session.user_id)
        return {"receipts": [{name: member[name] for name in CURSOR} for member in members]}

    @command("unread.get", commands.Nothing)
    async def unread_get(self, session: Session, asked: dict[str, Any]) -> Answer:
        """The user's totals."""
        return {"unread": (await self._inboxes.read(session.user_id)).unread}

    @command("unread.explain", commands.RoomGet)
    async def unread_explain(self, session: Session, asked: dict[str, Any]) -> Answer:
        """Why a room's unread is what it is: seq − read_seq − what does not count behind it."""
        await self._must_be_in(session, asked["room_id"])
        row = await self._row(session.user_id, asked["room_id"])
        return {
            "seq": row.room["seq"],
            "read_seq": row.room["read_seq"],
            "uncounted": row.uncounted,
            "unread": row.room["unread"],
        }

    async def _row(self, user_id: str, room_id: str) -> InboxRow:
        rows = (await self._inboxes.read_rooms(user_id, [room_id])).rows
        if not rows:
            raise errors.NotFound()
        return rows[0]
