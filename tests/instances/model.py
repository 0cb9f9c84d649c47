"""A model in memory of what the tables hold after a walk through the lifecycle."""

from __future__ import annotations

import json
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from rts_server.persistence import stored_items
from rts_server.tools.dev import aws
from tests.helpers.world import World

Table = dict[str, dict[str, Any]]


class Model:
    """One room. Every method applies one acked command."""

    def __init__(self, room_id: str, owner: str, members: list[str]) -> None:
        self.room_id = room_id
        self.room: dict[str, Any] = {"version": 1, "name": "G", "metadata": {}, "frozen": False}
        self.seq = 0
        self.members: Table = {}
        self.messages: Table = {}
        self.uncounted: set[int] = set()
        self._come([owner], "owner")
        self._come(members, "member")

    def contents(self) -> dict[str, Any]:
        """Return everything, to be compared with the tables."""
        names = ("room", "seq", "members", "messages", "uncounted")
        return {name: getattr(self, name) for name in names}

    def update(self, **change: Any) -> None:
        self.room |= change | {"version": self.room["version"] + 1}
        self._system("room.updated", [])

    def add(self, users: list[str], role: str = "member") -> None:
        self._system("member.added", users, lambda: self._come(users, role))

    def remove(self, users: list[str]) -> None:
        for user in users:
            self.members[user] = {"state": "out"}
        self._system("member.removed", users)

    def set_role(self, user: str, role: str) -> None:
        self.members[user]["role"] = role
        self._system("member.updated", [user])

    def change_settings(self, user: str, **settings: bool) -> None:
        member = self.members[user]
        self.members[user] = {"muted": False, "hidden": False} | member | settings

    def send(self, user: str, message_id: str, text: str, **more: Any) -> None:
        self._new(message_id, {"sender_id": user, "type": "text", "text": text, **more})
        self.members[user]["read_seq"] = self.seq
        for other, member in self.members.items():
            if other != user and member.get("hidden"):
                member["hidden"] = False

    def edit(self, message_id: str, **change: Any) -> None:
        self._change(message_id, change)

    def delete(self, message_id: str, by: str) -> None:
        self._change(message_id, {"text": "", "reactions": {}, "mentions": [], "deleted_by": by})
        self.uncounted.add(self.messages[message_id]["seq"])

    def react(self, message_id: str, emoji: str, user: str, *, on: bool) -> None:
        reactions = dict(self.messages[message_id]["reactions"])
        users = [one for one in reactions.pop(emoji, {}).get("user_ids", []) if one != user]
        users += [user] if on else []
        if users:
            reactions[emoji] = {"count": len(users), "user_ids": users}
        self._change(message_id, {"reactions": reactions})

    def _come(self, users: list[str], role: str) -> None:
        for user in users:
            self.members[user] = {"state": "in", "role": role, "join_seq": self.seq}

    def _system(self, event: str, users: list[str], come: Any = lambda: None) -> None:
        come()
        self._new(f"system {self.seq + 1}", {"type": "system", "event": event, "users": users})
        self.uncounted.add(self.seq)

    def _new(self, message_id: str, message: dict[str, Any]) -> None:
        self.seq += 1
        plain = {"version": 1, "seq": self.seq, "reactions": {}, "mentions": []}
        self.messages[message_id] = plain | message

    def _change(self, message_id: str, change: dict[str, Any]) -> None:
        message = self.messages[message_id]
        self.messages[message_id] = message | change | {"version": message["version"] + 1}


def stored(world: World, room_id: str) -> dict[str, Any]:
    """Return the same from the tables."""
    settings = world.stack.settings
    items = {item["sk"]: item for item in _items(world, settings.rooms_table, room_id)}
    room = items["ROOM"]
    members = {sk.removeprefix("MEMBER#"): item for sk, item in items.items() if "MEMBER" in sk}
    kept = ("state", "role", "join_seq", "read_seq", "muted", "hidden")
    found = _items(world, settings.messages_table, room_id)
    whole: Any = [one.message for one in stored_items.messages(found).values()]
    return {
        "room": {name: room.get(name) for name in ("version", "name", "frozen")}
        | {"metadata": json.loads(room.get("metadata", "null"))},
        "seq": items.get("HEAD", {}).get("seq"),
        "members": {
            user: {name: item[name] for name in kept if name in item}
            for user, item in members.items()
        },
        "messages": {_name(one): _message(one) for one in whole},
        "uncounted": {
            int(seq) for sk, item in items.items() if "DELETED" in sk for seq in item["seqs"]
        },
    }


def _name(message: dict[str, Any]) -> str:
    system = message["type"] == "system"
    return f"system {message['seq']}" if system else str(message["message_id"])


def _message(body: dict[str, Any]) -> dict[str, Any]:
    if body["type"] == "system":
        shown = {"event": body["metadata"]["event"], "users": body["metadata"]["user_ids"]}
    else:
        shown = {name: body[name] for name in ("sender_id", "text")}
        shown |= {name: body[name] for name in ("deleted_by", "reply_to") if name in body}
    plain = ("type", "version", "seq", "reactions", "mentions")
    return shown | {name: body[name] for name in plain}


def _items(world: World, table: str, room_id: str) -> list[dict[str, Any]]:
    client, plain = aws.client(world.stack.settings, "dynamodb"), TypeDeserializer()
    pages = client.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="room_id = :r",
        ExpressionAttributeValues={":r": {"S": room_id}},
        ConsistentRead=True,
    )
    return [
        {name: plain.deserialize(value) for name, value in item.items()}
        for page in pages
        for item in page["Items"]
    ]
