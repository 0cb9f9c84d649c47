"""Which events a command becomes: pure, one function per command."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from typing import Any

import orjson

from rts_server import keys
from rts_server.domain.reactions import counts, shown
from rts_server.domain.roles import OWNER, roles_that, roles_that_grant
from rts_server.persistence.records import KEPT, expiry, preview_text
from rts_server.roomlog.intents import (
    ROOM_DELETED,
    edit_intents,
    reaction_intents,
    room_intents,
    settings_intents,
)
from rts_server.roomlog.request import (
    RECORD_VERSION,
    AppendRequest,
    EventTemplate,
    MembershipChange,
    NewMember,
    Op,
)
from rts_server.roomlog.template import Slot, placeholder, segments


def message_new(
    room_id: str, sender_id: str, command: dict[str, Any], version: int = RECORD_VERSION
) -> AppendRequest:
    """A message: one event, durable once its record is in the queue."""
    client_msg_id = command["client_msg_id"]
    message_id = keys.message_id(room_id, sender_id, client_msg_id)
    text, attachments = command.get("text", ""), command.get("attachments", [])
    message: dict[str, Any] = {
        "message_id": message_id,
        "client_msg_id": client_msg_id,
        "room_id": room_id,
        "seq": placeholder(Slot.SEQ),
        "epoch": placeholder(Slot.EPOCH),
        "sender_id": sender_id,
        "type": "file" if attachments else "text",
        "text": text,
        "attachments": attachments,
        "mentions": command.get("mentions", []),
        "reactions": {},
        "metadata": command.get("metadata", {}),
        "version": 1,
        "created_at": placeholder(Slot.TS),
    }
    if "reply_to" in command:
        message["reply_to"] = command["reply_to"]
    digest = _digest(message)
    return AppendRequest(
        room_id=room_id,
        request_id=message_id,
        hash=digest,
        actor=sender_id,
        roles=roles_that("message.send"),
        check_archive=True,
        events=(
            EventTemplate(
                "message.new",
                {"message": message},
                "m",
                actor_id=sender_id,
                allocates_seq=True,
                sender=sender_id,
                last=_last(message),
                extra={"hash": digest},
                version=version,
            ),
        ),
    )


def _digest(message: dict[str, Any]) -> str:
    """What `conflict` compares; of attachments their ids, the rest is the store's word."""
    body = [message["text"], message["mentions"], message["metadata"], message.get("reply_to")]
    if message["attachments"]:
        body.append([one["attachment_id"] for one in message["attachments"]])
    return keys.body_hash(orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode())


def _last(message: dict[str, Any]) -> list[str | int]:
    return segments(
        {
            "message_id": message["message_id"],
            "seq": message["seq"],
            "sender_id": message["sender_id"],
            "type": message["type"],
            "preview": preview_text(message),
            "deleted": "deleted_at" in message,
            "created_at": message["created_at"],
        }
    )


def message_failed(failure: dict[str, Any], room_id: str) -> AppendRequest:
    """The queue's other end could never apply a message: everybody who saw it removes it."""
    message_id = failure["message_id"]
    data = {name: failure.get(name) for name in ("message_id", "client_msg_id", "seq", "reason")}
    return AppendRequest(
        room_id=room_id,
        request_id=f"failed:{message_id}",
        fails=message_id,
        events=(
            EventTemplate(
                "message.failed",
                data,
                "m",
                fails={"message_id": message_id, "seq": failure["seq"]},
            ),
        ),
    )


def room_created(
    room: dict[str, Any], creator_id: str, joining: tuple[NewMember, ...], request_id: str
) -> AppendRequest:
    """A room and its first members; never a system message."""
    static = room | {
        "created_at": placeholder(Slot.TS),
        "created_by": creator_id,
        "version": 1,
        "frozen": False,
    }
    return AppendRequest(
        room_id=room["room_id"],
        request_id=request_id,
        actor=creator_id,
        must_not_exist=True,
        new_members=joining,
        events=(
            _room_event("room.created", static, creator_id),
            _members("member.added", creator_id, "join"),
        ),
    )


def room_updated(
    room: dict[str, Any], epoch: int, actor_id: str, change: dict[str, Any]
) -> AppendRequest:
    """The room with another name, metadata or frozen."""
    after = room | change | {"version": room["version"] + 1}
    return AppendRequest(
        room_id=room["room_id"],
        request_id=f"room:{secrets.token_hex(16)}",
        actor=actor_id,
        roles=roles_that("room.update"),
        room_change={"version": room["version"], "epoch": epoch},
        intents=room_intents(change),
        events=(_room_event("room.updated", after, actor_id),),
    )


def room_unchanged(
    room: dict[str, Any], epoch: int, actor_id: str, change: dict[str, Any]
) -> AppendRequest:
    """No event, only the intents: the room has these values already."""
    return AppendRequest(
        room_id=room["room_id"],
        request_id=f"unchanged:{secrets.token_hex(16)}",
        actor=actor_id,
        roles=roles_that("room.update"),
        room_change={"version": room["version"], "epoch": epoch},
        intents=room_intents(change),
        events=(),
    )


def room_deleted(room: dict[str, Any], epoch: int, actor_id: str) -> AppendRequest:
    """Everybody goes, and what is left is a tombstone that nobody enters any more."""
    after = room | {
        "version": room["version"] + 1,
        "frozen": True,
        "deleted_at": placeholder(Slot.TS),
    }
    return AppendRequest(
        room_id=room["room_id"],
        request_id=f"delete:{secrets.token_hex(16)}",
        actor=actor_id,
        remove_everybody=True,
        expiry=expiry(room["room_id"], int(time.time()) + KEPT),
        room_change={"version": room["version"], "epoch": epoch},
        intents=(ROOM_DELETED,),
        events=(
            _members("member.removed", actor_id, "go"),
            _room_event("room.updated", after, actor_id),
        ),
    )


def _room_event(kind: str, room: dict[str, Any], actor_id: str) -> EventTemplate:
    """The room as the protocol shows it without a personal part; kept without what moves."""
    seen = room | {
        "member_count": placeholder(Slot.MEMBER_COUNT),
        "seq": placeholder(Slot.SEQ),
        "epoch": placeholder(Slot.EPOCH),
        "offset": placeholder(Slot.OFFSET),
    }
    frozen = bool(room["frozen"])
    return EventTemplate(
        kind, {"room": seen}, "r", actor_id=actor_id, room=segments(room), frozen=frozen
    )


def touched(room_id: str) -> AppendRequest:
    """Nothing but the wish that the room be warm."""
    return AppendRequest(
        room_id=room_id, request_id=f"touch:{secrets.token_hex(16)}", allow_frozen=True, events=()
    )


def settings_changed(room_id: str, user_id: str, settings: dict[str, bool]) -> AppendRequest:
    """What the room is to the user himself; no event of the room."""
    return AppendRequest(
        room_id=room_id,
        request_id=f"settings:{secrets.token_hex(16)}",
        actor=user_id,
        roles=roles_that("room.settings"),
        allow_frozen=True,
        settings=settings,
        intents=settings_intents(user_id, settings),
        events=(),
    )


def message_edited(
    message: dict[str, Any], epoch: int, actor_id: str, change: dict[str, Any]
) -> AppendRequest:
    """The message with another text, metadata or mentions; `edited_at` moves with the text only."""
    after = message | change | {"version": message["version"] + 1}
    if after["text"] != message["text"]:
        after["edited_at"] = placeholder(Slot.TS)
    data = {"message": shown(after)}
    made = _changed("message.updated", data, after, epoch, actor_id, "message.edit")
    return replace(made, intents=edit_intents(message["message_id"], change))


def message_unchanged(
    message: dict[str, Any], epoch: int, actor_id: str, intents: tuple[str, ...]
) -> AppendRequest:
    """No event, only the intents: the newest state of the message has these values already."""
    message_id = message["message_id"]
    return AppendRequest(
        room_id=message["room_id"],
        request_id=f"unchanged:{secrets.token_hex(16)}",
        actor=actor_id,
        change={"message_id": message_id, "version": message["version"], "epoch": epoch},
        intents=intents,
        events=(),
    )


def message_reacted(
    message: dict[str, Any], epoch: int, actor_id: str, emoji: str, *, on: bool
) -> AppendRequest:
    """The message with its new reactions; clients hear the difference."""
    after = message | {"version": message["version"] + 1}
    data = {
        "message_id": message["message_id"],
        "version": after["version"],
        "reaction": {"emoji": emoji, "user_id": actor_id, "on": on},
        "counts": counts(message["reactions"]),
    }
    made = _changed("message.updated", data, after, epoch, actor_id, "message.react")
    return replace(made, intents=reaction_intents(message["message_id"], actor_id, emoji))


def message_deleted(message: dict[str, Any], epoch: int, actor_id: str) -> AppendRequest:
    """A tombstone: ids, seq and times stay."""
    after = message | {
        "text": "",
        "attachments": [],
        "mentions": [],
        "reactions": {},
        "metadata": {},
        "version": message["version"] + 1,
        "deleted_at": placeholder(Slot.TS),
        "deleted_by": actor_id,
    }
    own = message["sender_id"] == actor_id
    needs = "message.delete" if own else "message.delete_any"
    erases = [one["attachment_id"] for one in message["attachments"]]
    more = {"erases": erases} if erases else {}
    return _changed("message.deleted", {"message": after}, after, epoch, actor_id, needs, more)


def _changed(
    kind: str,
    data: dict[str, Any],
    after: dict[str, Any],
    epoch: int,
    actor: str,
    needs: str,
    more: dict[str, Any] | None = None,
) -> AppendRequest:
    """A message's next version. Where the event does not hold all of it, the record does.

    `more`: what only the record holds.
    """
    message_id = after["message_id"]
    changes: dict[str, Any] = {
        "message_id": message_id,
        "version": after["version"],
        "segments": segments(after),
        "last": _last(after),
    }
    if kind == "message.deleted":
        changes["uncounted"] = after["seq"]
    extra = (more or {}) | ({} if data.get("message") == after else {"message": after})
    return AppendRequest(
        room_id=after["room_id"],
        request_id=f"change:{secrets.token_hex(16)}",
        actor=actor,
        roles=roles_that(needs),
        change={"message_id": message_id, "version": after["version"] - 1, "epoch": epoch},
        after=shown(after),
        events=(EventTemplate(kind, data, "m", actor_id=actor, changes=changes, extra=extra),),
    )


def member_added(room_id: str, actor_id: str, user_ids: list[str], role: str) -> AppendRequest:
    """New members, and the line about it in the history."""
    return AppendRequest(
        room_id=room_id,
        request_id=f"add:{secrets.token_hex(16)}",
        actor=actor_id,
        roles=roles_that_grant(role),
        group_only=True,
        new_members=tuple(NewMember(user_id, role) for user_id in user_ids),
        events=(
            _members("member.added", actor_id, "join"),
            _system(room_id, actor_id, "member.added", "join"),
        ),
    )


def member_removed(room_id: str, actor_id: str, user_ids: list[str]) -> AppendRequest:
    """Members go, and the line about it in the history."""
    return AppendRequest(
        room_id=room_id,
        request_id=f"remove:{secrets.token_hex(16)}",
        actor=actor_id,
        roles=roles_that("member.remove"),
        group_only=True,
        removals=tuple(user_ids),
        events=(
            _members("member.removed", actor_id, "go"),
            _system(room_id, actor_id, "member.removed", "go"),
        ),
    )


def member_left(room_id: str, user_id: str, new_owner: str | None) -> AppendRequest:
    """A member goes by himself; an owner may hand the room over in the same moment."""
    return AppendRequest(
        room_id=room_id,
        request_id=f"leave:{secrets.token_hex(16)}",
        actor=user_id,
        roles=roles_that("room.leave"),
        group_only=True,
        allow_frozen=True,
        role_changes=((new_owner, OWNER),) if new_owner else (),
        removals=(user_id,),
        events=(
            _members("member.updated", user_id, "role"),
            _members("member.removed", user_id, "go"),
            _system(room_id, user_id, "member.removed", "go"),
        ),
    )


def member_updated(room_id: str, actor_id: str, user_id: str, role: str) -> AppendRequest:
    """A member has another role."""
    return AppendRequest(
        room_id=room_id,
        request_id=f"role:{secrets.token_hex(16)}",
        actor=actor_id,
        roles=roles_that("member.update"),
        group_only=True,
        role_changes=((user_id, role),),
        events=(_members("member.updated", actor_id, "role"),),
    )


def members_changed(
    room_id: str, actor_id: str, wanted: MembershipChange, *, group_only: bool = True
) -> AppendRequest:
    """What an operator wants of many members at once: first who goes, then who comes."""
    return AppendRequest(
        room_id=room_id,
        request_id=f"members:{secrets.token_hex(16)}",
        actor=actor_id,
        group_only=group_only,
        new_members=wanted.new_members,
        removals=wanted.removals,
        role_changes=wanted.role_changes,
        events=(
            _members("member.removed", actor_id, "go"),
            _system(room_id, actor_id, "member.removed", "go"),
            _members("member.added", actor_id, "join"),
            _system(room_id, actor_id, "member.added", "join"),
            _members("member.updated", actor_id, "role"),
        ),
    )


def _members(kind: str, actor_id: str, op: Op) -> EventTemplate:
    return EventTemplate(
        kind, {"members": placeholder(Slot.MEMBERS)}, "r", actor_id=actor_id, op=op
    )


def _system(room_id: str, actor_id: str, event: str, op: Op) -> EventTemplate:
    """A membership change as a message: it takes a seq and counts for nobody."""
    message_id = keys.message_id(room_id, "", secrets.token_hex(16))
    message = {
        "message_id": message_id,
        "client_msg_id": message_id,
        "room_id": room_id,
        "seq": placeholder(Slot.SEQ),
        "epoch": placeholder(Slot.EPOCH),
        "sender_id": actor_id,
        "type": "system",
        "text": "",
        "attachments": [],
        "mentions": [],
        "reactions": {},
        "metadata": {"event": event, "user_ids": placeholder(Slot.USER_IDS)},
        "version": 1,
        "created_at": placeholder(Slot.TS),
    }
    return EventTemplate(
        "message.new",
        {"message": message},
        "m",
        actor_id=actor_id,
        allocates_seq=True,
        counts=False,
        op=op,
    )
