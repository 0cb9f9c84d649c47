"""A device's copy of a room, kept by the protocol's rules for clients."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.nemesis.recorder import Json, Position


@dataclass
class Held:
    """`cursor`: sent at a reconnect. `whole`: the messages are all of the log up to there."""

    cursor: Position = (0, 0)
    whole: bool = False
    messages: dict[str, Json] = field(default_factory=dict)
    early: list[Json] = field(default_factory=list)
    """Reactions to messages that are not there yet: the requested page may be older."""

    def reset(self, cursor: Position | None = None) -> None:
        """Drop the messages; `message.list` must be asked again."""
        self.cursor = cursor or self.cursor
        self.messages.clear()
        self.early.clear()
        self.whole = False

    def learn(self, room: Json) -> None:
        """Apply a snapshot, before the first page: the stream may only be behind it."""
        self.cursor = max(self.cursor, (room["epoch"], room["offset"]))

    def page(self, messages: list[Json]) -> None:
        """Apply a page of message.list."""
        for message in messages:
            self._merge(message)
        early, self.early = self.early, []
        for data in early:
            self._react(data)

    def take(self, event: Json) -> None:
        """Apply a durable event of the room."""
        at = (event["epoch"], event["offset"])
        if at <= self.cursor:
            return
        data = event["data"]
        if event["type"] == "room.epoch" and tuple(data["prev"]) != self.cursor:
            return  # sync.reset follows and says where to stand
        self.cursor = at
        if "reaction" in data:
            self._react(data)
        elif event["type"] == "message.failed":
            self.messages.pop(data["message_id"], None)
        elif "message" in data:
            self._merge(data["message"])

    def _merge(self, message: Json) -> None:
        """Keep the higher version of a message, and its later position."""
        old = self.messages.get(message["message_id"], message)
        body = message if message["version"] >= old["version"] else old
        place = max((one["epoch"], one["seq"]) for one in (message, old))
        self.messages[message["message_id"]] = body | dict(
            zip(("epoch", "seq"), place, strict=True)
        )

    def _react(self, data: Json) -> None:
        message = self.messages.get(data["message_id"])
        if message is None:
            self.early.append(data)
            return
        if data["version"] <= message["version"]:
            return
        emoji, user, on = (data["reaction"][name] for name in ("emoji", "user_id", "on"))
        users = [u for u in message["reactions"].get(emoji, {}).get("user_ids", []) if u != user]
        reactions = dict(message["reactions"])
        reactions[emoji] = {"count": data["counts"].get(emoji, 0), "user_ids": users + [user] * on}
        if not data["counts"].get(emoji):
            reactions.pop(emoji)
        changed = {"version": data["version"], "reactions": reactions}
        self.messages[data["message_id"]] = message | changed
