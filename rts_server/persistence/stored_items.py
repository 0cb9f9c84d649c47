"""What is stored of rooms, members and messages, read from the items of DynamoDB."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from rts_server.persistence import records

Item = dict[str, Any]
Place = tuple[int, int]


@dataclass(frozen=True)
class StoredRoom:
    """A room's item. `room` is the protocol's object without member_count, head and personal part.

    `room` is None where only a seq, an epoch or a barrier is stored: no room exists then. `starts`
    holds (epoch, seq after which it began); `position` is the last event known here. `empty`: the
    last event of the room itself found no members.
    """

    room_id: str
    room: dict[str, Any] | None
    epoch: int = 0
    starts: list[Place] = field(default_factory=list)
    seq: int = 0
    last: dict[str, Any] | None = None
    barrier: str | None = None
    position: Place = (0, 0)
    empty: bool = False


@dataclass(frozen=True)
class StoredMember:
    """One membership, in or out. The cursors are effective: never below the seq of joining.

    (`epoch`, `offset`) is the position of the event that made it so, `role_position` that of the
    one which gave the role.
    """

    room_id: str
    user_id: str
    state: str
    role: str
    name: str | None
    joined_at: str
    join_seq: int
    read_seq: int
    delivered_seq: int
    epoch: int
    offset: int
    muted: bool = False
    hidden: bool = False
    settings_rev: int = 0
    role_position: Place = (0, 0)


@dataclass(frozen=True)
class StoredMessage:
    """A message, or the tombstone of a failed one; `epoch`, `seq`, `offset` are its place."""

    message: dict[str, Any]
    hash: str | None
    failed: bool
    epoch: int
    seq: int
    offset: int


def room(item: Item) -> StoredRoom:
    """A room of its item."""
    return StoredRoom(
        room_id=item["room_id"],
        room=_room_object(item) if "type" in item else None,
        epoch=int(item.get("epoch", 0)),
        starts=[_start(text) for text in item.get("starts", ())],
        seq=int(item.get("seq", 0)),
        last={"deleted": False} | json.loads(item["last"]) if "last" in item else None,
        barrier=item.get("barrier"),
        position=max(records.pair(item.get(name, "")) for name in ("pos", "head")),
        empty=item.get("member_count") == 0,
    )


def _room_object(item: Item) -> dict[str, Any]:
    room = {
        "room_id": item["room_id"],
        "type": item["type"],
        "name": item.get("name"),
        "metadata": json.loads(item.get("metadata", "{}")),
        "created_at": item.get("created_at", ""),
        "created_by": item.get("created_by"),
        "version": int(item.get("version", 1)),
        "frozen": bool(item.get("frozen", False)),
    }
    more = ("external_id", "made_by", "deleted_at")
    return room | {name: item[name] for name in more if name in item}


def _start(text: str) -> Place:
    epoch, _, seq = text.partition(":")
    return int(epoch), int(seq)


def member(item: Item) -> StoredMember:
    """A membership of its item."""
    joined = int(item.get("join_seq", 0))
    read = max(joined, int(item.get("read_seq", 0)))
    epoch, offset = records.pair(item.get("pos", ""))
    # what he had set before he left and came back counts no more
    valid = item.get("settings_pos", "") > item.get("pos", "")
    return StoredMember(
        room_id=item["room_id"],
        user_id=item["user_id"],
        state=item["state"],
        role=item.get("role", "member"),
        name=item.get("name"),
        joined_at=item.get("joined_at", ""),
        join_seq=joined,
        read_seq=read,
        # a message lifts what its sender has read alone, and cursors are stored one by one
        delivered_seq=max(read, int(item.get("delivered_seq", 0))),
        epoch=epoch,
        offset=offset,
        muted=valid and bool(item.get("muted")),
        hidden=valid and bool(item.get("hidden")),
        role_position=records.pair(item.get("role_pos", "")),
        settings_rev=int(item.get("settings_pos", "0").rpartition("#")[2]),
    )


def message(item: Item) -> StoredMessage:
    """A message of its item."""
    place = {"epoch": int(item.get("epoch", 0)), "seq": int(item.get("seq", 0))}
    return StoredMessage(
        message={**json.loads(item["body"]), **place},
        hash=item.get("hash"),
        failed=bool(item.get("failed", False)),
        offset=int(item.get("offset", 0)),
        **place,
    )
