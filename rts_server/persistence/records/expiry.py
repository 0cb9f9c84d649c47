"""The end of a deleted room's messages: told behind the last of them, done by the room Lambda."""

from __future__ import annotations

from rts_server.persistence.records.files import emptied
from rts_server.persistence.records.record import Record
from rts_server.persistence.records.shapes import VERSION
from rts_server.persistence.records.write import Expire, Forward, Step, json_text

KEPT = 30 * 86_400
"""Seconds for which the messages of a deleted room are kept."""


def passed_on(record: Record) -> list[Step]:
    """What takes long must not hold up the messages of other rooms. Files go at once: the end of an
    item tells nobody, and no member is left who could ask for one."""
    room_id = record.room_id
    return [Forward(expiry(room_id, record.data["expires_at"])), emptied(room_id)]


def expired(record: Record) -> list[Step]:
    """A page of the room's messages, and a record for the next one."""
    data = record.data
    return [Expire(record.room_id, data["expires_at"], data.get("after"))]


def expiry(room_id: str, expires_at: int, after: str | None = None) -> str:
    """The record: messages behind the id `after` end at a time (s since 1970)."""
    told = {"room_id": room_id, "expires_at": expires_at}
    return json_text({"v": VERSION, "expiry": told | ({"after": after} if after else {})})
