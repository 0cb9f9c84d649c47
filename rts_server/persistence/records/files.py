"""The file operations of a message: queued by the message Lambda, executed by the room Lambda."""

from __future__ import annotations

from collections.abc import Sequence

from rts_server.persistence.records.keys import file_key, prefixes
from rts_server.persistence.records.record import Record
from rts_server.persistence.records.record_data import FilesData
from rts_server.persistence.records.shapes import VERSION
from rts_server.persistence.records.write import (
    DeletePrefixes,
    FileChanges,
    ForwardedRecord,
    Step,
    json_text,
)


def file_changes_record(
    room_id: str, *, keep: Sequence[str] = (), erase: Sequence[str] = ()
) -> ForwardedRecord:
    """Return the record `files` for attachments of a room. `keep` and `erase` hold their ids."""
    files = {"room_id": room_id, "keep": list(keep), "erase": list(erase)}
    return ForwardedRecord(json_text({"v": VERSION, "files": files}))


def room_files_record(room_id: str) -> ForwardedRecord:
    """Return the record `files` that erases all files of a deleted room."""
    files = {"room_id": room_id, "whole_room": True}
    return ForwardedRecord(json_text({"v": VERSION, "files": files}))


def change_files(record: Record[FilesData]) -> list[Step]:
    """Keep and erase files, in any order: an erased file is gone, keeping it changes nothing."""
    if record.data.get("whole_room"):
        return [DeletePrefixes(prefixes(record.room_id), room_files_record(record.room_id))]
    keep, erase = record.data.get("keep", []), record.data.get("erase", [])
    return [
        FileChanges(
            tuple(file_key(record.room_id, one) for one in keep),
            tuple(file_key(record.room_id, one) for one in erase),
        )
    ]
