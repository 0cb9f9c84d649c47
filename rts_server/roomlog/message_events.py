"""Appends of the commands on messages; pure, one function per command."""

from __future__ import annotations

import secrets
from dataclasses import replace

import orjson

from rts_server import keys
from rts_server.domain.client_id import time_of
from rts_server.domain.message import MessageChange, MessageDraft
from rts_server.domain.reactions import counts, shown
from rts_server.domain.roles import roles_that
from rts_server.persistence.records import preview_text
from rts_server.roomlog.intents import edit_intents, reaction_intents
from rts_server.roomlog.request import (
    RECORD_VERSION,
    AppendRequest,
    EventTemplate,
    MessageRevision,
    RecordFields,
)
from rts_server.roomlog.template import Slot, TextTemplate, placeholder, text_template
from rts_server.types.events import (
    MessageFailedData,
    MessageNewData,
    MessageUpdatedData,
)
from rts_server.types.objects import Attachment, Message


def message_new(
    room_id: str,
    sender_id: str,
    draft: MessageDraft,
    attachments: list[Attachment] | None = None,
    version: int = RECORD_VERSION,
) -> AppendRequest:
    """A new message.

    Its id follows from room, sender and `client_msg_id`, so that a retry finds the first one (D7).
    """
    client_msg_id = draft["client_msg_id"]
    message_id = keys.message_id(room_id, sender_id, client_msg_id)
    message: Message = {  # what only append.lua knows comes first, see append_call.py
        "seq": placeholder(Slot.SEQ),
        "epoch": placeholder(Slot.EPOCH),
        "created_at": placeholder(Slot.TS),
        "message_id": message_id,
        "client_msg_id": client_msg_id,
        "room_id": room_id,
        "sender_id": sender_id,
        "type": "file" if attachments else "text",
        "text": draft["text"],
        "attachments": attachments or [],
        "mentions": draft.get("mentions", []),
        "reactions": {},
        "metadata": draft.get("metadata", {}),
        "version": 1,
    }
    if "reply_to" in draft:
        message["reply_to"] = draft["reply_to"]
    digest = _digest(message)
    return AppendRequest(
        room_id=room_id,
        request_id=message_id,
        hash=digest,
        actor=sender_id,
        roles=roles_that("message.send"),
        check_archive=True,
        sent_at=time_of(client_msg_id),
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


def message_failed(failure: MessageFailedData, room_id: str) -> AppendRequest:
    """A message that a Lambda could never apply; clients that received it remove it (D2)."""
    message_id = failure["message_id"]
    return AppendRequest(
        room_id=room_id,
        request_id=f"failed:{message_id}",
        fails=message_id,
        events=(
            EventTemplate(
                "message.failed",
                failure,
                "m",
                fails={"message_id": message_id, "seq": failure["seq"]},
            ),
        ),
    )


def message_edited(
    message: Message, epoch: int, actor_id: str, change: MessageChange
) -> AppendRequest:
    """A message with another text, metadata or mentions; only a new text sets `edited_at`."""
    after: Message = {**message, **change, "version": message["version"] + 1}
    if after["text"] != message["text"]:
        after["edited_at"] = placeholder(Slot.TS)
    data: MessageNewData = {"message": shown(after)}
    # The record has all users of the reactions, the event may have fewer.
    whole: RecordFields = {} if data["message"] == after else {"message": after}
    made = _changed("message.updated", data, after, epoch, actor_id, "message.edit", whole)
    return replace(made, intents=edit_intents(message["message_id"], change))


def message_unchanged(
    message: Message, epoch: int, actor_id: str, intents: tuple[str, ...]
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
    message: Message, epoch: int, actor_id: str, emoji: str, *, on: bool
) -> AppendRequest:
    """A message whose `reactions` were changed already; the event has the changed reaction only."""
    after: Message = {**message, "version": message["version"] + 1}
    data: MessageUpdatedData = {
        "message_id": message["message_id"],
        "version": after["version"],
        "reaction": {"emoji": emoji, "user_id": actor_id, "on": on},
        "counts": counts(message["reactions"]),
    }
    made = _changed("message.updated", data, after, epoch, actor_id, "message.react")
    return replace(made, intents=reaction_intents(message["message_id"], actor_id, emoji))


def message_deleted(message: Message, epoch: int, actor_id: str) -> AppendRequest:
    """The tombstone of a message: its ids, seq and times stay.

    The record names its attachments, whose files are erased with it.
    """
    after: Message = {
        **message,
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
    erased: RecordFields = {"erases": erases} if erases else {}
    return _changed("message.deleted", {"message": after}, after, epoch, actor_id, needs, erased)


def _changed(
    kind: str,
    data: MessageNewData | MessageUpdatedData,
    after: Message,
    epoch: int,
    actor: str,
    needs: str,
    record_only: RecordFields | None = None,
) -> AppendRequest:
    """A new version of a message.

    Args:
        after: the message with its new version.
        needs: the permission that the actor must have.
        record_only: fields of the record that the event does not have.
    """
    message_id = after["message_id"]
    changes: MessageRevision = {
        "message_id": message_id,
        "version": after["version"],
        "text": text_template(after),
        "last": _last(after),
    }
    if kind == "message.deleted":
        changes["uncounted"] = after["seq"]
    return AppendRequest(
        room_id=after["room_id"],
        request_id=f"change:{secrets.token_hex(16)}",
        actor=actor,
        roles=roles_that(needs),
        change={"message_id": message_id, "version": after["version"] - 1, "epoch": epoch},
        after=shown(after),
        events=(
            EventTemplate(
                kind, data, "m", actor_id=actor, changes=changes, extra=record_only or {}
            ),
        ),
    )


def _digest(message: Message) -> str:
    """The hash of a message's body. Another body under the same id is a `conflict` (D7).

    Attachments count by their ids only: the rest of them was written by the server.
    """
    body: list[object] = [
        message["text"],
        message["mentions"],
        message["metadata"],
        message.get("reply_to"),
    ]
    if message["attachments"]:
        body.append([one["attachment_id"] for one in message["attachments"]])
    return keys.body_hash(orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode())


def _last(message: Message) -> TextTemplate:
    """The room's `last_message`, if this message is the last one."""
    return text_template(
        {
            "seq": message["seq"],
            "created_at": message["created_at"],
            "message_id": message["message_id"],
            "sender_id": message["sender_id"],
            "type": message["type"],
            "preview": preview_text(message),
            "deleted": "deleted_at" in message,
        }
    )
