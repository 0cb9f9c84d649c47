"""Entries of the outbox streams, and the messages of SQS that are made of them."""

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
    """One record that waits to be sent. `entry_id` is its id in the stream of `partition`.

    `position` is `epoch:offset`, empty for a barrier. `users` holds the (user id, "in" or "out") of
    a membership event, for the user index. `body` is the record as ASCII JSON. `nonce` marks a
    barrier.
    """

    partition: int
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
        """The id of an entry over all partitions: two streams may use the same entry id."""
        return self.partition, self.entry_id

    @property
    def dedup(self) -> str:
        """The MessageDeduplicationId: SQS drops the same record sent twice within 5 minutes.

        Source: Amazon SQS Developer Guide, "Exactly-once processing".
        """
        if self.nonce is not None:
            return f"{self.room_id}:barrier:{self.nonce}"
        return f"{self.room_id}:{self.position}"

    @property
    def size(self) -> int:
        """Bytes in a SendMessageBatch. Ids are included, to stay below the limit in any case."""
        return len(self.body) + len(self.dedup) + len(self.room_id)


def parse(partition: int, entry_id: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    """Return the entry of a stream entry's fields. Raises ValueError if a field is missing."""
    try:
        entry = Entry(
            partition=partition,
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
    """Return the same JSON in ASCII.

    SQS counts bytes and refuses some characters; in ASCII both are known beforehand.
    """
    return record.decode() if record.isascii() else _FOREIGN.sub(_escaped, record.decode())


def _escaped(match: re.Match[str]) -> str:
    """Escape a character; outside the Basic Multilingual Plane as surrogates (RFC 8259, 7)."""
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
