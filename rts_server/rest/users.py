"""Users, for operators."""

from __future__ import annotations

from typing import Any

from rts_server.auth import Identity
from rts_server.persistence.revocations import Revocations
from rts_server.protocol import answers, cursor, requests
from rts_server.protocol.event import rfc3339
from rts_server.realtime.control_channel import ControlChannel
from rts_server.rest.routes import Asked, route
from rts_server.views.inbox import InboxReader, InboxRow


class UserRoutes:
    """What a user has, and his connections."""

    def __init__(
        self, inboxes: InboxReader, everywhere: ControlChannel, revocations: Revocations
    ) -> None:
        self._inboxes = inboxes
        self._everywhere = everywhere
        self._revocations = revocations

    @route("GET", "/v1/users/{user_id}/rooms", answers.Rooms, query=requests.RoomPage)
    async def rooms(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """A page of the user's rooms by last activity, as they are to him."""
        return await self._inboxes.page(
            asked["user_id"], asked["limit"], asked.get("cursor"), hidden=asked["hidden"]
        )

    @route("GET", "/v1/users/{user_id}/unread", answers.ExplainedUnread, query=requests.UnreadPage)
    async def unread(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """The user's totals; explained, the parts of each room in order of its id."""
        after = cursor.decode(asked["cursor"], str)[0] if "cursor" in asked else ""
        inbox = await self._inboxes.read(asked["user_id"])
        totals: dict[str, Any] = {"unread": inbox.unread}
        if not asked["explain"]:
            return totals
        rooms = sorted(map(_explained, inbox.rows), key=lambda room: str(room["room_id"]))
        return totals | cursor.page(rooms, "rooms", "room_id", after, asked["limit"])

    @route("POST", "/v1/users/{user_id}:disconnect", answers.Told, body=requests.Disconnect)
    async def disconnect(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """Close the user's connections on all instances; his tokens stay good."""
        code = "draining" if asked["reconnect"] else "banned"
        return {"instances": await self._everywhere.close(asked["user_id"], code)}

    @route("POST", "/v1/users/{user_id}:revoke", answers.Revoked)
    async def revoke(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """Void the user's tokens issued up to now: stored for good, his connections close."""
        before = await self._revocations.revoke(asked["user_id"])
        return {"user_id": asked["user_id"], "revoked_before": rfc3339(before)}


def _explained(row: InboxRow) -> dict[str, Any]:
    return {
        "room_id": row.room_id,
        "seq": row.room["seq"],
        "read_seq": row.room["read_seq"],
        "uncounted": row.uncounted,
        "unread": row.room["unread"],
        "counts": row.counts,
    }
