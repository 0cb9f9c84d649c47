"""Parses records and turns them into conditional writes to the tables.

Shared with the Lambdas, and pure: the standard library and marshmallow, no I/O. Every write may be
repeated and may come in any order, because it only raises an attribute (D8).
"""

from rts_server.persistence.records.expiry import DELETED_ROOM_TTL_SECONDS, expiry
from rts_server.persistence.records.files import file_changes_record, room_files_record
from rts_server.persistence.records.keys import (
    DELETED,
    MAX_NUMBER,
    MEMBER,
    MESSAGES,
    ROOM,
    ROOMS,
    body_key,
    citation_key,
    file_key,
    files_prefix,
    final_key,
    member_key,
    message_key,
    parse_position,
    position,
    room_key,
)
from rts_server.persistence.records.messages import MESSAGE_KINDS
from rts_server.persistence.records.record import (
    Poison,
    Record,
    RecordPosition,
    decide,
    parse,
    quarantine_entry,
    recognized_fields,
    recognized_kind,
)
from rts_server.persistence.records.rooms import ROOM_KINDS
from rts_server.persistence.records.watermarks import preview, preview_text, watermark_writes
from rts_server.persistence.records.write import (
    DeletePrefixes,
    ExpireMessages,
    FileChanges,
    ForwardedRecord,
    Step,
    Transaction,
    Write,
    classify_cancellation,
)

__all__ = [
    "DELETED",
    "DELETED_ROOM_TTL_SECONDS",
    "MAX_NUMBER",
    "MEMBER",
    "MESSAGES",
    "MESSAGE_KINDS",
    "ROOM",
    "ROOMS",
    "ROOM_KINDS",
    "DeletePrefixes",
    "ExpireMessages",
    "FileChanges",
    "ForwardedRecord",
    "Poison",
    "Record",
    "RecordPosition",
    "Step",
    "Transaction",
    "Write",
    "body_key",
    "citation_key",
    "classify_cancellation",
    "decide",
    "expiry",
    "file_changes_record",
    "file_key",
    "files_prefix",
    "final_key",
    "member_key",
    "message_key",
    "parse",
    "parse_position",
    "position",
    "preview",
    "preview_text",
    "quarantine_entry",
    "recognized_fields",
    "recognized_kind",
    "room_files_record",
    "room_key",
    "watermark_writes",
]
