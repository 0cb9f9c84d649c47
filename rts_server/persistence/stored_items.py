"""Rooms, members and messages as they are stored, parsed from items of DynamoDB."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, cast

from rts_server.domain.position import Position, SeqPosition
from rts_server.domain.roles import Role
from rts_server.domain.room import RoomFields
from rts_server.persistence import records
from rts_server.types.objects import LastMessage, Message

Item = dict[str, Any]


@dataclass(frozen=True)
class StoredRoom:
    """A room, of its items ROOM and HEAD.

    Attributes:
        room: The protocol's object, without member_count, head and the parts of one member. None
            if the room does not exist, and only a seq, an epoch or a barrier is stored.
        starts: Per epoch (epoch, the seq after which it began).
        last: The last message, shortened.
        position: (epoch, offset) of the last event that is stored; if `member_count` is not known,
            changes of members are not among them.
        empty: Whether the last event of the room itself found no members.
        member_count: How many members there are; None if an earlier release stored them.
    """

    room_id: str
    room: RoomFields | None
    epoch: int = 0
    starts: list[SeqPosition] = field(default_factory=list)
    seq: int = 0
    last: LastMessage | None = None
    barrier: str | None = None
    position: Position = (0, 0)
    empty: bool = False
    member_count: int | None = None


@dataclass(frozen=True)
class StoredMember:
    """One membership, current (`in`) or ended (`out`).

    The cursors are never below the seq of joining. (`epoch`, `offset`) is the position of the event
    that set the state, `role_position` that of the event that set role and name.
    """

    room_id: str
    user_id: str
    state: Literal["in", "out"]
    role: Role
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
    role_position: Position = (0, 0)


class StoredMembership(NamedTuple):
    """A room of a user, and the position of the event that set the state."""

    room_id: str
    epoch: int
    offset: int
    state: Literal["in", "out"]


@dataclass(frozen=True)
class StoredMessage:
    """A message, or the tombstone of a failed one, which has no `position`."""

    message: Message
    position: str
    hash: str | None
    failed: bool
    epoch: int
    seq: int
    offset: int


def rooms(items: Iterable[Item]) -> dict[str, StoredRoom]:
    """Parse the items ROOM and HEAD of rooms, by room id; a room may have but one of them.

    Raises ValueError for tables of an earlier release, whose seqs would otherwise begin again.
    """
    pairs: dict[str, dict[str, Item]] = {}
    for item in items:
        pairs.setdefault(item["room_id"], {})[item["sk"]] = item
    return {
        room_id: _room(room_id, pair.get(records.ROOM, {}), pair.get(records.HEAD, {}))
        for room_id, pair in pairs.items()
    }


def _room(room_id: str, item: Item, head: Item) -> StoredRoom:
    if "head" in item:
        raise ValueError(f"Room {room_id} is stored in the layout of an earlier release.")
    return StoredRoom(
        room_id=room_id,
        room=_room_object(item) if "type" in item else None,
        epoch=int(item.get("epoch", 0)),
        starts=[_start(text) for text in item.get("starts", ())],
        seq=int(head.get("seq", 0)),
        last={"deleted": False} | json.loads(head["last"]) if "last" in head else None,
        barrier=item.get("barrier"),
        position=max(
            records.parse_position(text)
            for text in (item.get("pos", ""), item.get("members_pos", ""), head.get("head", ""))
        ),
        empty=item.get("member_count") == 0,
        member_count=_member_count(item),
    )


def _member_count(item: Item) -> int | None:
    """The number of members after the last change of them, or at the last event of the room."""
    if item.get("pos", "") > item.get("members_pos", ""):
        count = item.get("member_count")
    else:
        count = item.get("members")
    return None if count is None else int(count)


def _room_object(item: Item) -> RoomFields:
    room: RoomFields = {
        "room_id": item["room_id"],
        "type": item["type"],
        "name": item.get("name"),
        "metadata": json.loads(item.get("metadata", "{}")),
        "created_at": item.get("created_at", ""),
        "created_by": item.get("created_by", ""),
        "version": int(item.get("version", 1)),
        "frozen": bool(item.get("frozen", False)),
    }
    if "external_id" in item:
        room["external_id"] = item["external_id"]
    if "made_by" in item:
        room["made_by"] = item["made_by"]
    if "deleted_at" in item:
        room["deleted_at"] = item["deleted_at"]
    return room


def _start(text: str) -> SeqPosition:
    epoch, _, seq = text.partition(":")
    return int(epoch), int(seq)


def member(item: Item) -> StoredMember:
    """Parse the item of a member."""
    joined = int(item.get("join_seq", 0))
    read = max(joined, int(item.get("read_seq", 0)))
    epoch, offset = records.parse_position(item.get("pos", ""))
    # Settings of an earlier membership are void: the member has left and come back since.
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
        # Cursors are stored one by one, and a message raises only the read cursor of its sender.
        delivered_seq=max(read, int(item.get("delivered_seq", 0))),
        epoch=epoch,
        offset=offset,
        muted=valid and bool(item.get("muted")),
        hidden=valid and bool(item.get("hidden")),
        role_position=records.parse_position(item.get("role_pos", "")),
        settings_rev=int(item.get("settings_pos", "0").rpartition("#")[2]),
    )


def membership(item: Mapping[str, Any]) -> StoredMembership:
    """Parse the item of a member as DynamoDB's own JSON has it."""
    epoch, offset = records.parse_position(item["pos"]["S"] if "pos" in item else "")
    return StoredMembership(item["room_id"]["S"], epoch, offset, item["state"]["S"])


def messages(items: Iterable[Item]) -> dict[str, StoredMessage]:
    """Parse messages and the items of reactions beside them, by message id."""
    given = {item["message_id"]: item for item in items}
    return {
        name: _message(item, given.get(name + records.REACTIONS, {}))
        for name, item in given.items()
        if not name.endswith(records.REACTIONS)
    }


def _message(item: Item, reactions: Item) -> StoredMessage:
    epoch, seq = int(item.get("epoch", 0)), int(item.get("seq", 0))
    body = records.with_reactions(json.loads(item["body"]), item["body_key"], reactions)
    return StoredMessage(
        message=cast(Message, body | {"epoch": epoch, "seq": seq}),
        position=item.get("position", ""),
        hash=item.get("hash"),
        failed=bool(item.get("failed", False)),
        offset=int(item.get("offset", 0)),
        epoch=epoch,
        seq=seq,
    )
