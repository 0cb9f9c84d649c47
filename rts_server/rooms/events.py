"""Which events a command becomes: pure, one function per command."""

from __future__ import annotations

import secrets
from typing import Any

import orjson

from rts_server import keys
from rts_server.protocol.event import ephemeral
from rts_server.rooms.append import RECORD_VERSION, Append, Event, Joining
from rts_server.rooms.roles import roles_that, roles_that_give
from rts_server.rooms.template import Slot, hole, pieces

PREVIEW = 200


def message_new(
    room_id: str, sender_id: str, command: dict[str, Any], version: int = RECORD_VERSION
) -> Append:
    """A message: one event, durable once its record is in the queue."""
    client_msg_id = command["client_msg_id"]
    message_id = keys.message_id(room_id, sender_id, client_msg_id)
    text = command.get("text", "")
    message: dict[str, Any] = {
        "message_id": message_id,
        "client_msg_id": client_msg_id,
        "room_id": room_id,
        "seq": hole(Slot.SEQ),
        "epoch": hole(Slot.EPOCH),
        "sender_id": sender_id,
        "type": "text",
        "text": text,
        "attachments": [],
        "mentions": command.get("mentions", []),
        "reactions": {},
        "metadata": command.get("metadata", {}),
        "version": 1,
        "created_at": hole(Slot.TS),
    }
    if "reply_to" in command:
        message["reply_to"] = command["reply_to"]
    body = orjson.dumps(
        [text, message["mentions"], message["metadata"], message.get("reply_to")],
        option=orjson.OPT_SORT_KEYS,
    )
    digest = keys.body_hash(body.decode())
    return Append(
        room_id=room_id,
        request_id=message_id,
        hash=digest,
        actor=sender_id,
        roles=roles_that("message.send"),
        ask_archive=True,
        events=(
            Event(
                "message.new",
                {"message": message},
                "m",
                actor_id=sender_id,
                takes_seq=True,
                sender=sender_id,
                last=_last(message),
                extra={"hash": digest},
                version=version,
            ),
        ),
    )


def _last(message: dict[str, Any]) -> list[str | int]:
    return pieces(
        {
            "message_id": message["message_id"],
            "seq": message["seq"],
            "sender_id": message["sender_id"],
            "type": message["type"],
            "preview": message["text"][:PREVIEW],
            "created_at": message["created_at"],
        }
    )


def message_failed(failure: dict[str, Any], room_id: str) -> Append:
    """The queue's other end could never apply a message: everybody who saw it removes it."""
    message_id = failure["message_id"]
    data = {name: failure.get(name) for name in ("message_id", "client_msg_id", "seq", "reason")}
    return Append(
        room_id=room_id,
        request_id=f"failed:{message_id}",
        fails=message_id,
        events=(
            Event(
                "message.failed",
                data,
                "m",
                fails={"message_id": message_id, "seq": failure["seq"]},
            ),
        ),
    )


def room_created(
    room: dict[str, Any], creator_id: str, joining: tuple[Joining, ...], request_id: str
) -> Append:
    """A room and its first members; never a system message."""
    static = room | {
        "created_at": hole(Slot.TS),
        "created_by": creator_id,
        "version": 1,
        "frozen": False,
    }
    seen = static | {
        "member_count": hole(Slot.MEMBER_COUNT),
        "seq": hole(Slot.SEQ),
        "epoch": hole(Slot.EPOCH),
        "offset": hole(Slot.OFFSET),
    }
    return Append(
        room_id=room["room_id"],
        request_id=request_id,
        actor=creator_id,
        absent=True,
        joining=joining,
        events=(
            Event("room.created", {"room": seen}, "r", actor_id=creator_id, room=pieces(static)),
            _member_added(creator_id),
        ),
    )


def message_edited(
    message: dict[str, Any], epoch: int, actor_id: str, change: dict[str, Any]
) -> Append:
    """The message with another text or metadata."""
    after = message | change | {"version": message["version"] + 1, "edited_at": hole(Slot.TS)}
    return _changed("message.updated", message, after, epoch, actor_id, "message.edit")


def message_deleted(message: dict[str, Any], epoch: int, actor_id: str) -> Append:
    """A tombstone: ids, seq and times stay."""
    after = message | {
        "text": "",
        "attachments": [],
        "mentions": [],
        "reactions": {},
        "metadata": {},
        "version": message["version"] + 1,
        "deleted_at": hole(Slot.TS),
        "deleted_by": actor_id,
    }
    own = message["sender_id"] == actor_id
    needs = "message.delete" if own else "message.delete_any"
    return _changed("message.deleted", message, after, epoch, actor_id, needs)


def _changed(
    kind: str, before: dict[str, Any], after: dict[str, Any], epoch: int, actor: str, needs: str
) -> Append:
    message_id = before["message_id"]
    changes: dict[str, Any] = {
        "message_id": message_id,
        "version": after["version"],
        "pieces": pieces(after),
        "last": _last(after),
    }
    if kind == "message.deleted":
        changes["uncounted"] = before["seq"]
    return Append(
        room_id=before["room_id"],
        request_id=f"change:{secrets.token_hex(16)}",
        actor=actor,
        roles=roles_that(needs),
        change={"message_id": message_id, "version": before["version"], "epoch": epoch},
        events=(Event(kind, {"message": after}, "m", actor_id=actor, changes=changes),),
    )


def member_added(room_id: str, actor_id: str, user_ids: list[str], role: str) -> Append:
    """New members, and the line about it in the history."""
    return Append(
        room_id=room_id,
        request_id=f"add:{secrets.token_hex(16)}",
        actor=actor_id,
        roles=roles_that_give(role),
        group_only=True,
        joining=tuple(Joining(user_id, role) for user_id in user_ids),
        events=(_member_added(actor_id), _system(room_id, actor_id, "member.added")),
    )


def member_removed(room_id: str, actor_id: str, user_ids: list[str]) -> Append:
    """Members go, and the line about it in the history."""
    gone = Event(
        "member.removed", {"members": hole(Slot.MEMBERS)}, "r", actor_id=actor_id, parts=True
    )
    return Append(
        room_id=room_id,
        request_id=f"remove:{secrets.token_hex(16)}",
        actor=actor_id,
        roles=roles_that("member.remove"),
        group_only=True,
        going=tuple(user_ids),
        events=(gone, _system(room_id, actor_id, "member.removed")),
    )


def _member_added(actor_id: str) -> Event:
    return Event(
        "member.added", {"members": hole(Slot.MEMBERS)}, "r", actor_id=actor_id, joins=True
    )


def _system(room_id: str, actor_id: str, event: str) -> Event:
    """A membership change as a message: it takes a seq and counts for nobody."""
    message_id = keys.message_id(room_id, "", secrets.token_hex(16))
    message = {
        "message_id": message_id,
        "client_msg_id": message_id,
        "room_id": room_id,
        "seq": hole(Slot.SEQ),
        "epoch": hole(Slot.EPOCH),
        "sender_id": actor_id,
        "type": "system",
        "text": "",
        "attachments": [],
        "mentions": [],
        "reactions": {},
        "metadata": {"event": event, "user_ids": hole(Slot.USER_IDS)},
        "version": 1,
        "created_at": hole(Slot.TS),
    }
    return Event(
        "message.new", {"message": message}, "m", actor_id=actor_id, takes_seq=True, counts=False
    )


def message_status(room_id: str, data: dict[str, Any]) -> str:
    """The event that follows an ack `accepted`; ephemeral."""
    return ephemeral("message.status", data, room_id)
