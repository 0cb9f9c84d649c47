"""What messages do to their room and senders, once per batch instead of once per message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rts_server.persistence.records.keys import ROOMS, member_key, position, room_key
from rts_server.persistence.records.messages import MESSAGE_KINDS, rank, silent
from rts_server.persistence.records.record import Poison, Record, parse
from rts_server.persistence.records.write import Write, json_text, update

PREVIEW = 200


def lifts(bodies: Iterable[str]) -> dict[str, list[Write]]:
    """Per room of a batch the writes that must come before its first message.

    Too early is harmless, the records are still in the queue; too late would let a barrier pass
    while the room's seq is behind. Poison is passed over, its own turn will find it.
    """
    grouped: dict[str, list[Record]] = {}
    for body in bodies:
        try:
            record = parse(body, MESSAGE_KINDS)
        except Poison:
            continue
        if record.kind not in ("barrier", "expiry"):
            grouped.setdefault(record.room_id, []).append(record)
    return {room_id: _lifted(room_id, records) for room_id, records in grouped.items()}


def _lifted(room_id: str, records: list[Record]) -> list[Write]:
    told = [r for r in records if "message" in r.data and not silent(r.data["message"])]
    top = {
        "seq": max(record.data.get("message", record.data)["seq"] for record in records),
        "head": max(record.pos for record in records),
    }
    read: dict[str, int] = {}
    for record in told:
        message = record.data["message"]
        if record.kind == "message.new" and (sender := message.get("sender_id")):
            read[sender] = max(read.get(sender, 0), message["seq"])
    return [_room_lift(room_id, top, told), *(_read_lift(room_id, *one) for one in read.items())]


def _room_lift(room_id: str, top: dict[str, Any], told: list[Record]) -> Write:
    """Seq, head and last message in one write; apart only where one of them is already higher."""
    key = room_key(room_id)
    lifted, last = [("seq", {"seq": top["seq"]}), ("head", {"head": top["head"]})], {}
    if told:
        newest = max(told, key=_last_position)
        last = {
            "last": json_text(preview(newest.data["message"])),
            "last_position": _last_position(newest),
        }
        lifted.append(("last_position", last))
    apart = tuple(Write(ROOMS, update(key, values, above=[name])) for name, values in lifted)
    whole = update(key, {**top, **last}, above=[name for name, _ in lifted])
    return Write(ROOMS, whole, apart)


def _last_position(record: Record) -> str:
    """The later message, and of one message the newest state."""
    message = record.data["message"]
    return f"{position(message['epoch'], message['seq'])}#{rank(record)}"


def preview(message: Mapping[str, Any]) -> dict[str, Any]:
    """`last_message` of a room, without the rest of the text."""
    shown = {name: message.get(name) for name in ("message_id", "seq", "sender_id", "type")}
    return {
        **shown,
        "preview": preview_text(message),
        "deleted": bool(message.get("deleted_at")),
        "created_at": message["created_at"],
    }


def preview_text(message: Mapping[str, Any]) -> str:
    """The text's beginning, or the name of the first file where there is no text."""
    if text := message.get("text"):
        return str(text)[:PREVIEW]
    names = [str(one.get("name", "")) for one in message.get("attachments", ())]
    return names[0][:PREVIEW] if names else ""


def _read_lift(room_id: str, user_id: str, seq: int) -> Write:
    read = update(member_key(room_id, user_id), {"read_seq": seq}, above=["read_seq"])
    return Write(ROOMS, read)
