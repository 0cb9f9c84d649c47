"""What messages do to files: told by the message Lambda, done by the room Lambda."""

from __future__ import annotations

from collections.abc import Sequence

from rts_server.persistence.records.keys import file_key, prefixes
from rts_server.persistence.records.record import Record
from rts_server.persistence.records.shapes import VERSION
from rts_server.persistence.records.write import Empty, Forward, Objects, Step, json_text


def forwarded(room_id: str, *, keep: Sequence[str] = (), erase: Sequence[str] = ()) -> Forward:
    """The record `files` about attachments of a room."""
    files = {"room_id": room_id, "keep": list(keep), "erase": list(erase)}
    return Forward(json_text({"v": VERSION, "files": files}))


def emptied(room_id: str) -> Forward:
    """The record `files` that takes all of a room: nobody could read them any more."""
    return Forward(json_text({"v": VERSION, "files": {"room_id": room_id, "whole_room": True}}))


def settled(record: Record) -> list[Step]:
    """Order does not matter: what was erased cannot be kept any more."""
    if record.data.get("whole_room"):
        return [Empty(prefixes(record.room_id), emptied(record.room_id))]
    keep, erase = (
        tuple(file_key(record.room_id, one) for one in record.data.get(name, ()))
        for name in ("keep", "erase")
    )
    return [Objects(keep, erase)]
