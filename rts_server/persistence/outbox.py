"""An entry of a partition's outbox stream, and the bytes it becomes in SQS."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

QUEUE, ROOM, POSITION, REQUEST, ORIGIN, RECORD = b"q", b"r", b"e", b"k", b"o", b"d"
NONCE, USERS = b"b", b"u"
MESSAGES, ROOMS = "m", "r"

_FOREIGN = re.compile(r"[^\x00-\x7f]")


Key = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """One record on its way. `entry_id` is its id in the stream of partition `part`.

    `position` is `epoch:offset`, empty for a barrier; `users` are the (user, in|out) of a member
    event, for the user index; `body` is ASCII JSON.
    """

    part: int
    entry_id: str
    queue: str
    room_id: str
    position: str
    request_id: str
    origin: str
    body: str = field(repr=False)
    nonce: str | None = None
    users: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> Key:
        """What names an entry: streams of two partitions may use the same entry id."""
        return self.part, self.entry_id

    @property
    def dedup(self) -> str:
        """The same record sent twice within 5 minutes is one message of the FIFO queue."""
        if self.nonce is not None:
            return f"{self.room_id}:barrier:{self.nonce}"
        return f"{self.room_id}:{self.position}"

    @property
    def size(self) -> int:
        """Bytes in a SendMessageBatch, the ids counted in to be on the safe side."""
        return len(self.body) + len(self.dedup) + len(self.room_id)


def parse(part: int, entry_id: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    """The entry behind the fields of a stream entry. Raises ValueError when it is none of ours."""
    try:
        entry = Entry(
            part=part,
            entry_id=entry_id.decode(),
            queue=fields[QUEUE].decode(),
            room_id=fields[ROOM].decode(),
            position=fields.get(POSITION, b"").decode(),
            request_id=fields.get(REQUEST, b"").decode(),
            origin=fields.get(ORIGIN, b"").decode(),
            body=ascii_json(fields[RECORD]),
            nonce=fields[NONCE].decode() if NONCE in fields else None,
            users=_users(fields.get(USERS)),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not an outbox entry: {error}") from None
    if entry.queue not in (MESSAGES, ROOMS) or not (entry.position or entry.nonce):
        raise ValueError("not an outbox entry: no queue or no position")
    return entry


def _users(value: bytes | None) -> tuple[tuple[str, str], ...]:
    if not value:
        return ()
    return tuple((str(user_id), str(state)) for user_id, state in json.loads(value))


def ascii_json(record: bytes) -> str:
    """The same JSON in ASCII: what SQS charges and limits, and no character it could refuse."""
    return record.decode() if record.isascii() else _FOREIGN.sub(_escaped, record.decode())


def _escaped(match: re.Match[str]) -> str:
    """RFC 8259, section 7: outside the Basic Multilingual Plane a pair of surrogates."""
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
