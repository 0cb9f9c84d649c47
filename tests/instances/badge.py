"""A client's unread count by the protocol's rules, from a snapshot and later events."""

from __future__ import annotations

from typing import Any


class Badge:
    """Unread messages of one user in one room, as a device shows them."""

    def __init__(self, user_id: str, room: dict[str, Any]) -> None:
        self.user_id, self.room_id = user_id, room["room_id"]
        self.unread, self.read_seq = room["unread"], room["read_seq"]
        self.at = (room["epoch"], room["offset"])

    def take(self, event: dict[str, Any]) -> None:
        """Apply an event; ignore one that the snapshot contains."""
        if event.get("room_id") != self.room_id:
            return
        if event["type"] == "unread.changed":
            self.unread, self.read_seq = event["data"]["unread"], event["data"]["read_seq"]
        if "offset" not in event or (event["epoch"], event["offset"]) <= self.at:
            return
        self.at = (event["epoch"], event["offset"])
        message = event["data"].get("message", {})
        if message.get("sender_id") == self.user_id or message.get("type") == "system":
            self._mine(event, message)
        elif message.get("seq", 0) > self.read_seq:
            self.unread += {"message.new": 1, "message.deleted": -1}.get(event["type"], 0)
        assert self.unread >= 0, event

    def _mine(self, event: dict[str, Any], message: dict[str, Any]) -> None:
        """Apply an own message, which marks everything before it as read."""
        if event["type"] == "message.new" and message["type"] != "system":
            self.unread, self.read_seq = 0, max(self.read_seq, message["seq"])


def counted(user_id: str, start: dict[str, Any], events: list[dict[str, Any]]) -> Badge:
    """Return the unread count after all events."""
    badge = Badge(user_id, start)
    for event in events:
        badge.take(event)
    return badge
