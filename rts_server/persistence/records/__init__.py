"""What a record means for the tables: parsed, judged, turned into conditional writes.

Shared with the Lambdas and pure: the standard library and marshmallow, no I/O. Every write is safe
to repeat and safe in any order: it only ever moves an attribute upwards.
"""

from rts_server.persistence.records.expiry import KEPT, expiry
from rts_server.persistence.records.files import emptied, forwarded
from rts_server.persistence.records.keys import (
    DELETED,
    LARGEST,
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
    pair,
    position,
    room_key,
)
from rts_server.persistence.records.messages import MESSAGE_KINDS
from rts_server.persistence.records.record import (
    Poison,
    Record,
    decide,
    parse,
    quarantined,
    recognised,
)
from rts_server.persistence.records.rooms import ROOM_KINDS
from rts_server.persistence.records.watermarks import lifts, preview, preview_text
from rts_server.persistence.records.write import (
    Empty,
    Expire,
    Forward,
    Objects,
    Step,
    Transaction,
    Write,
    verdict,
)

__all__ = [
    "DELETED",
    "KEPT",
    "LARGEST",
    "MEMBER",
    "MESSAGES",
    "MESSAGE_KINDS",
    "ROOM",
    "ROOMS",
    "ROOM_KINDS",
    "Empty",
    "Expire",
    "Forward",
    "Objects",
    "Poison",
    "Record",
    "Step",
    "Transaction",
    "Write",
    "body_key",
    "citation_key",
    "decide",
    "emptied",
    "expiry",
    "file_key",
    "files_prefix",
    "final_key",
    "forwarded",
    "lifts",
    "member_key",
    "message_key",
    "pair",
    "parse",
    "position",
    "preview",
    "preview_text",
    "quarantined",
    "recognised",
    "room_key",
    "verdict",
]
