"""A client's copy of a room: a snapshot, with every later event applied."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
PREVIEW = 200


class View:
    """One user's room. `room` is what room.get would return."""

    def __init__(self, user: str, room: Json) -> None:
        self.user, self.room = user, dict(room)

    @property
    def at(self) -> tuple[int, int]:
        """Return the position of the copy."""
        return self.room["epoch"], self.room["offset"]

    def learn(self, room: Json) -> None:
        """Replace the copy by a newer snapshot; ignore an older one."""
        if (room["epoch"], room["offset"]) >= self.at:
            self.room = dict(room)

    def take(self, event: Json) -> None:
        """Apply an event; ignore one that is not newer than the position."""
        rule = getattr(self, "_" + event["type"].replace(".", "_"), None)
        if "offset" in event:
            if (event["epoch"], event["offset"]) <= self.at:
                return
            self.room |= {"epoch": event["epoch"], "offset": event["offset"]}
        if rule is not None:
            rule(event["data"])
        assert self.room["unread"] >= 0, event

    def _message_new(self, data: Json) -> None:
        message = data["message"]
        seq, mine = message["seq"], message["sender_id"] == self.user
        self.room["seq"] = seq
        if message["type"] == "system":
            return
        names = ("message_id", "seq", "sender_id", "type", "created_at")
        last = {name: message[name] for name in names}
        self.room["last_message"] = last | _preview_fields(message)
        if mine:
            self.room |= {"read_seq": seq, "delivered_seq": seq, "unread": 0}
        elif seq > self.room["read_seq"]:
            self.room["unread"] += 1

    def _message_updated(self, data: Json) -> None:
        if "message" in data:
            self._preview(data["message"])

    def _message_deleted(self, data: Json) -> None:
        message = data["message"]
        counted = message["sender_id"] != self.user and message["type"] != "system"
        if counted and message["seq"] > self.room["read_seq"]:
            self.room["unread"] -= 1
        self._preview(message)

    def _preview(self, message: Json) -> None:
        last = self.room.get("last_message")
        if last and last["message_id"] == message["message_id"]:
            self.room["last_message"] = last | _preview_fields(message)

    def _room_updated(self, data: Json) -> None:
        names = ("name", "metadata", "version", "frozen")
        self.room |= {name: data["room"][name] for name in names}

    def _member_added(self, data: Json) -> None:
        self.room["member_count"] += len(data["members"])

    def _member_removed(self, data: Json) -> None:
        self.room["member_count"] -= len(data["members"])

    def _member_updated(self, data: Json) -> None:
        for member in data["members"]:
            if member["user_id"] == self.user:
                self.room["role"] = member["role"]

    def _room_state(self, data: Json) -> None:
        self.room |= data

    def _receipt_updated(self, data: Json) -> None:
        for cursor in data["cursors"]:
            if cursor["user_id"] == self.user:
                self._forward(cursor["read_seq"], cursor["delivered_seq"])

    def _unread_changed(self, data: Json) -> None:
        self._forward(data["read_seq"], data["read_seq"])
        self.room["unread"] = data["unread"]

    def _forward(self, read: int, delivered: int) -> None:
        self.room["read_seq"] = max(self.room["read_seq"], read)
        self.room["delivered_seq"] = max(self.room["delivered_seq"], delivered)


def _preview_fields(message: Json) -> Json:
    return {"preview": message["text"][:PREVIEW], "deleted": "deleted_at" in message}
