"""`/receipts`: read and delivered cursors, and unread counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from functools import partial

from rts_server import errors
from rts_server.namespaces.answer import Answer, LaterAnswer, command
from rts_server.namespaces.base import Namespace, NamespaceContext
from rts_server.namespaces.session import Session
from rts_server.protocol import commands
from rts_server.rooms.receipt_script import Cursors
from rts_server.rooms.receipts import ReceiptWriter
from rts_server.types.commands import (
    NothingPayload,
    ReceiptDeliveredPayload,
    ReceiptReadPayload,
    RoomGetPayload,
)
from rts_server.types.objects import Cursor, Member
from rts_server.views.inbox_row import InboxRow
from rts_server.views.member_list import MemberList


class ReceiptsNamespace(Namespace):
    """Cursors only move forward (D8), so every command may be repeated.

    Receipts are gathered over all sessions of the instance, and answered once they are written.
    """

    def __init__(
        self,
        context: NamespaceContext,
        *,
        receipts: ReceiptWriter,
        members: MemberList,
        on_joined: Callable[[str], None],
    ) -> None:
        """`on_joined` is called with the id of a user of whom a connection joined."""
        super().__init__("/receipts", context)
        self._on_joined = on_joined
        self._receipts = receipts
        self._members = members

    async def opened(self, session: Session) -> None:
        """Write the counts that changed while the connection was in `/chat` alone."""
        self._on_joined(session.user_id)

    @command("receipt.read", commands.ReceiptReadSchema)
    async def receipt_read(self, session: Session, payload: ReceiptReadPayload) -> Answer:
        """Mark everything up to a seq as read."""
        await self._require_member(session, payload["room_id"])
        return LaterAnswer(partial(self._read, session.user_id, payload))

    async def _read(self, user_id: str, payload: ReceiptReadPayload) -> Mapping[str, object]:
        room_id = payload["room_id"]
        cursors = {room_id: (payload["up_to_seq"], 0)}
        moved = (await self._receipts.move_gathered(user_id, cursors)).get(room_id)
        if moved is None:
            raise errors.NotFound()
        return {
            "read_seq": moved.read_seq,
            "delivered_seq": moved.delivered_seq,
            "unread": moved.unread,
        }

    @command("receipt.delivered", commands.ReceiptDeliveredSchema)
    async def receipt_delivered(self, session: Session, payload: ReceiptDeliveredPayload) -> Answer:
        """Mark everything up to a seq as delivered, in several rooms; other rooms are ignored."""
        rooms = payload["rooms"]
        mine: Set[str] = self._connections.rooms(session.eio_sid).keys()
        if not rooms.keys() <= mine:  # one that was just added, or of others
            mine = {one.room_id for one in await self._user_memberships.current(session.user_id)}
        cursors = {room_id: (0, seq) for room_id, seq in rooms.items() if room_id in mine}
        return LaterAnswer(partial(self._delivered, session.user_id, cursors)) if cursors else {}

    async def _delivered(
        self, user_id: str, cursors: Mapping[str, Cursors]
    ) -> Mapping[str, object]:
        await self._receipts.move_gathered(user_id, cursors)
        return {}

    @command("receipt.list", commands.RoomGetSchema)
    async def receipt_list(self, session: Session, payload: RoomGetPayload) -> Answer:
        """Return the cursors of all members."""
        await self._require_member(session, payload["room_id"])
        members = await self._members.all(payload["room_id"], session.user_id)
        return {"receipts": [_cursor(member) for member in members]}

    @command("unread.get", commands.NothingSchema)
    async def unread_get(self, session: Session, payload: NothingPayload) -> Answer:
        """Return the user's unread totals."""
        return {"unread": await self._inboxes.unread(session.user_id)}

    @command("unread.explain", commands.RoomGetSchema)
    async def unread_explain(self, session: Session, payload: RoomGetPayload) -> Answer:
        """Explain a room's unread count: seq − read_seq − the later messages that do not count."""
        await self._require_member(session, payload["room_id"])
        row = await self._row(session.user_id, payload["room_id"])
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


def _cursor(member: Member) -> Cursor:
    return {
        "user_id": member["user_id"],
        "read_seq": member["read_seq"],
        "delivered_seq": member["delivered_seq"],
    }
