"""Records as the room log writes them."""

from __future__ import annotations

import json
from typing import Any

ROOM = "room-1"
TS = "2026-11-23T10:00:00.000Z"


def record(
    kind: str, epoch: int, offset: int, data: dict[str, Any], room_id: str = ROOM, **more: Any
) -> str:
    event = {"type": kind, "ts": TS, "room_id": room_id, "actor_id": "alice", "data": data}
    return json.dumps({"v": 1, "event": {**event, "epoch": epoch, "offset": offset}, **more})


def new(
    epoch: int,
    offset: int,
    seq: int,
    message_id: str | None = None,
    *,
    room_id: str = ROOM,
    sender: str = "alice",
    kind: str = "text",
    **more: Any,
) -> str:
    message_id = message_id or f"m{seq}"
    message = {
        "message_id": message_id,
        "client_msg_id": f"c-{message_id}",
        "room_id": room_id,
        "seq": seq,
        "epoch": epoch,
        "sender_id": sender,
        "type": kind,
        "text": f"text of {message_id}",
        "attachments": [],
        "mentions": [],
        "reactions": {},
        "metadata": {},
        "version": 1,
        "created_at": TS,
        **more,
    }
    proof = {} if kind == "system" else {"hash": f"hash-{message_id}"}
    return record("message.new", epoch, offset, {"message": message}, room_id, **proof)


def changed(
    kind: str, epoch: int, offset: int, seq: int, message_id: str, version: int, **more: Any
) -> str:
    """Return the record of `message.updated` or `message.deleted` for the message (epoch, seq)."""
    whole = json.loads(new(epoch, offset, seq, message_id, version=version, **more))
    return record(kind, epoch, offset, whole["event"]["data"])


def reacted(
    epoch: int, offset: int, message_id: str, version: int, user_id: str, *, on: bool = True
) -> str:
    """Return the record of a reaction `+`: it has the difference alone."""
    reaction = {"emoji": "+", "user_id": user_id, "on": on}
    data = {"message_id": message_id, "version": version, "reaction": reaction, "counts": {}}
    return record("message.updated", epoch, offset, data)


def settings(
    epoch: int, offset: int, rev: int, user_id: str, *, muted: bool = False, hidden: bool = False
) -> str:
    """Return the record of a member's settings of a room."""
    data = {"room_id": ROOM, "user_id": user_id, "epoch": epoch, "offset": offset, "rev": rev}
    return json.dumps({"v": 1, "settings": {**data, "muted": muted, "hidden": hidden}})


def cursors(*members: tuple[str, int, int]) -> str:
    """Return the record of read and delivered cursors of some members."""
    moved = [{"user_id": u, "read_seq": r, "delivered_seq": d} for u, r, d in members]
    return json.dumps({"v": 1, "cursors": {"room_id": ROOM, "members": moved}})


def failed(epoch: int, offset: int, seq: int, message_id: str, room_id: str = ROOM) -> str:
    data = {"message_id": message_id, "client_msg_id": "c", "seq": seq, "reason": "poison"}
    return record("message.failed", epoch, offset, data, room_id)


def barrier(nonce: str, room_id: str = ROOM) -> str:
    return json.dumps({"v": 1, "barrier": {"room_id": room_id, "nonce": nonce}})


def room(epoch: int, offset: int, kind: str = "room.created", room_id: str = ROOM, **m: Any) -> str:
    fields = {
        "room_id": room_id,
        "type": "group",
        "name": "Ärzte",
        "metadata": {"case": 7},
        "created_at": TS,
        "created_by": "alice",
        "version": 1,
        "member_count": 2,
        "frozen": False,
        "seq": 0,
        "epoch": epoch,
        "offset": offset,
        **m,
    }
    return record(kind, epoch, offset, {"room": fields}, room_id)


def added(
    epoch: int,
    offset: int,
    *users: str,
    seq: int = 0,
    room_id: str = ROOM,
    kind: str = "member.added",
    role: str = "member",
    name: str | None = None,
) -> str:
    known = {"role": role, "joined_at": TS, "read_seq": seq, "delivered_seq": seq}
    known |= {"name": name} if name else {}
    members = [{"user_id": user, **known} for user in users]
    # Some number that belongs to the position, as the number of members does.
    count = 100 * epoch + offset
    return record(kind, epoch, offset, {"members": members}, room_id, member_count=count)
