"""The expiry of a deleted room's messages: queued after the last one, done by the room Lambda."""

from __future__ import annotations

from rts_server.persistence.records.files import room_files_record
from rts_server.persistence.records.record import Record
from rts_server.persistence.records.record_data import ExpiryData
from rts_server.persistence.records.shapes import VERSION
from rts_server.persistence.records.write import ExpireMessages, ForwardedRecord, Step, json_text

DELETED_ROOM_TTL_SECONDS = 30 * 86_400
"""Time for which the messages of a deleted room are kept."""


def forward_expiry(record: Record[ExpiryData]) -> list[Step]:
    """Pass the expiry on to the room queue: it takes long and must not delay other messages.

    The room's files are erased at once. DynamoDB notifies nobody when an item expires, and no
    member is left who could download them.
    """
    room_id = record.room_id
    rest = ForwardedRecord(expiry(room_id, record.data["expires_at"]))
    return [rest, room_files_record(room_id)]


def expire_messages(record: Record[ExpiryData]) -> list[Step]:
    """Let one page of the room's messages expire, and queue a record for the next page."""
    data = record.data
    return [ExpireMessages(record.room_id, data["expires_at"], data.get("after"))]


def expiry(room_id: str, expires_at: int, after: str | None = None) -> str:
    """Return the record by which messages after the id `after` expire at a time (s since 1970)."""
    data = {"room_id": room_id, "expires_at": expires_at}
    return json_text({"v": VERSION, "expiry": data | ({"after": after} if after else {})})
