"""Watermarks: writes to a room and its senders, once per batch instead of once per message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rts_server.persistence.records.keys import ROOMS, member_key, position, room_key
from rts_server.persistence.records.messages import rank, silent
from rts_server.persistence.records.record import Record
from rts_server.persistence.records.record_data import MessageData
from rts_server.persistence.records.write import Write, json_text, update

PREVIEW_CHARACTERS = 200


def watermark_writes(records: Iterable[Record[Any]]) -> list[list[Write]]:
    """Return the writes that must come before the first message of a batch, in any order."""
    grouped: dict[str, list[Record[Any]]] = {}
    for record in records:
        if record.kind not in ("barrier", "expiry"):
            grouped.setdefault(record.room_id, []).append(record)
    return [
        [write]
        for room_id, found in grouped.items()
        for write in _room_and_reader_writes(room_id, found)
    ]


def _room_and_reader_writes(room_id: str, records: list[Record[Any]]) -> list[Write]:
    counted = [r for r in records if "message" in r.data and not silent(r.data["message"])]
    top = {
        "seq": max(record.data.get("message", record.data)["seq"] for record in records),
        "head": max(record.pos for record in records),
    }
    read: dict[str, int] = {}
    for record in counted:
        message = record.data["message"]
        if record.kind == "message.new" and (sender := message.get("sender_id")):
            read[sender] = max(read.get(sender, 0), message["seq"])
    return [
        _room_write(room_id, top, counted),
        *(_read_write(room_id, *one) for one in read.items()),
    ]


def _room_write(
    room_id: str, top: dict[str, int | str], counted: list[Record[MessageData]]
) -> Write:
    """Raise seq, head and last message in one write; if one is higher already, each by itself."""
    key = room_key(room_id)
    raised = [("seq", {"seq": top["seq"]}), ("head", {"head": top["head"]})]
    last: dict[str, int | str] = {}
    if counted:
        newest = max(counted, key=_last_position)
        last = {
            "last": json_text(preview(newest.data["message"])),
            "last_position": _last_position(newest),
        }
        raised.append(("last_position", last))
    apart = tuple(Write(ROOMS, update(key, values, above=[name])) for name, values in raised)
    whole = update(key, {**top, **last}, above=[name for name, _ in raised])
    return Write(ROOMS, whole, apart)


def _last_position(record: Record[MessageData]) -> str:
    """Rank by message, then by the state of the message."""
    message = record.data["message"]
    return f"{position(message['epoch'], message['seq'])}#{rank(record)}"


def preview(message: Mapping[str, Any]) -> dict[str, object]:
    """Return `last_message` of a room, with the beginning of the text only."""
    shown = {name: message.get(name) for name in ("message_id", "seq", "sender_id", "type")}
    return {
        **shown,
        "preview": preview_text(message),
        "deleted": bool(message.get("deleted_at")),
        "created_at": message["created_at"],
    }


def preview_text(message: Mapping[str, Any]) -> str:
    """Return the beginning of the text, or the name of the first file if there is no text."""
    if text := message.get("text"):
        return str(text)[:PREVIEW_CHARACTERS]
    names = [str(one.get("name", "")) for one in message.get("attachments", ())]
    return names[0][:PREVIEW_CHARACTERS] if names else ""


def _read_write(room_id: str, user_id: str, seq: int) -> Write:
    read = update(member_key(room_id, user_id), {"read_seq": seq}, above=["read_seq"])
    return Write(ROOMS, read)
