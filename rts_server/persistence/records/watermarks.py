"""Watermarks: what the messages of a batch raise, once per batch instead of once per message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rts_server.persistence.records.keys import ROOMS, member_key
from rts_server.persistence.records.messages import silent
from rts_server.persistence.records.record import Record
from rts_server.persistence.records.write import Write, update


def raising_records(records: Iterable[Record[Any]]) -> dict[str, list[Record[Any]]]:
    """Return the records that raise watermarks, by room: all but barriers and expiries."""
    found: dict[str, list[Record[Any]]] = {}
    for record in records:
        if record.kind not in ("barrier", "expiry"):
            found.setdefault(record.room_id, []).append(record)
    return found


def read_cursor_writes(room_id: str, records: Iterable[Record[Any]]) -> list[Write]:
    """Return the writes that raise the read cursors of senders to their messages."""
    read: dict[str, int] = {}
    for record in records:
        if record.kind != "message.new" or silent(message := record.data["message"]):
            continue
        if sender := message.get("sender_id"):
            read[sender] = max(read.get(sender, 0), message["seq"])
    return [
        Write(ROOMS, update(member_key(room_id, sender), {"read_seq": seq}, above=["read_seq"]))
        for sender, seq in read.items()
    ]
