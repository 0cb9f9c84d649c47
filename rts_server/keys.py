"""Every Redis key and channel, and the ids that are computed instead of looked up."""

from __future__ import annotations

import time
from base64 import b32encode
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote
from zlib import crc32

PARTITIONS = 64


def partition(room_id: str) -> int:
    """The partition of a room, 0 ≤ p < 64: its script keys, outbox and head share one hash tag."""
    return crc32(room_id.encode()) % PARTITIONS


def outbox(part: int) -> str:
    """Stream of records on their way to SQS."""
    return f"{{p{part}}}:outbox"


def dirty(part: int) -> str:
    """Sorted set `room user` → ms: cursors that moved and are not on their way to SQS yet."""
    return f"{{p{part}}}:dirty"


def generation(part: int) -> str:
    """String `identity born`: the Redis that has this partition, and since when (ms)."""
    return f"{{p{part}}}:generation"


def room_prefix(part: int) -> str:
    """What the keys of every room of a partition begin with."""
    return f"{{p{part}}}:room:"


def lease(part: int) -> str:
    """String: the relay that moves this partition's outbox."""
    return f"{{p{part}}}:relay"


def moved(attachment_id: str) -> str:
    """String: the upload is complete and nothing was left of it where it arrived. Lives 48 h."""
    return f"moved:{attachment_id}"


RELAYS = "relays"
"""Sorted set: relay → expiry (ms), so that relays share the partitions evenly."""


REVOKED = "revoked"
"""Sorted set: user → seconds since 1970; his tokens up to then are void."""

INSTANCES = "instances"
"""Channel: what every instance is to do."""


class RoomKeys(NamedTuple):
    """The keys of one room; all in one slot."""

    head: str
    members: str
    cursors: str
    log: str
    seqs: str
    changed: str
    uncounted: str
    claim: str
    outbox: str
    prefix: str

    @property
    def script_keys(self) -> tuple[str, ...]:
        """KEYS 1-9 of every script of a room, in the order in which fence.lua names them."""
        return self[:9]

    @property
    def receipts(self) -> str:
        """Hash: members whose cursors moved and the room is not told yet. Lives a minute."""
        return f"{self.prefix}receipts"

    @property
    def typing(self) -> str:
        """Sorted set: who types, by the end of it (ms). Lives seconds."""
        return f"{self.prefix}typing"

    @property
    def typing_told(self) -> str:
        """Hash: when the room was told who types (ms), and whether something is not told yet."""
        return f"{self.prefix}typing:told"

    @property
    def settled(self) -> str:
        """String: the generation in which the queue was drained of this cold room, or is being.

        Ends with the next load.
        """
        return f"{self.prefix}settled"

    @property
    def ids_claim(self) -> str:
        """String: who reads the room's ids from the archive. Lives a minute."""
        return f"{self.prefix}ids:claim"

    def idem(self, request_id: str) -> str:
        """Hash: what an append of this id did. Lives 48 h."""
        return f"{self.prefix}idem:{request_id}"


def room(room_id: str) -> RoomKeys:
    """The keys of a room."""
    part = partition(room_id)
    prefix = f"{room_prefix(part)}{room_id}:"
    return RoomKeys(
        head=prefix + "head",
        members=prefix + "members",
        cursors=prefix + "cursors",
        log=prefix + "log",
        seqs=prefix + "seqs",
        changed=prefix + "changed",
        uncounted=prefix + "uncounted",
        claim=prefix + "claim",
        outbox=outbox(part),
        prefix=prefix,
    )


def room_channel(room_id: str) -> str:
    """Channel: every event of the room, in log order."""
    return f"room:{room_id}"


def _user(user_id: str) -> str:
    """Ids of users are any printable ASCII; in a key all that could mean something is quoted."""
    return quote(user_id, safe="")


def user_rooms(user_id: str) -> str:
    """Hash room → `epoch:offset:in|out`, with `#ver` and `#complete`."""
    return f"user:{{{_user(user_id)}}}:rooms"


def index_version(version: bytes | None, mark: bytes | None) -> str:
    """What of `#ver` and `#complete` moves when a user's rooms move or are to be rebuilt."""
    until = int(mark.rpartition(b" ")[2]) if mark else 0
    state = "missing" if not mark else "complete"
    if until:
        state = "young" if until > time.time() * 1000 else "missing"
    return f"{int(version or 0)} {state}"


def user_channel(user_id: str) -> str:
    """Channel: what concerns one user on all his devices."""
    return f"user:{_user(user_id)}"


class PresenceKeys(NamedTuple):
    """The keys of presence, all in one slot.

    `fence`: the Redis they were made in; `instances`: lease → its end (ms); `due`: user → end of
    his grace (ms); `about`: hash instance → what it tells about itself.
    """

    fence: str = "{presence}:fence"
    instances: str = "{presence}:instances"
    due: str = "{presence}:due"
    about: str = "{presence}:about"


PRESENCE = PresenceKeys()
PRESENCE_USERS = "{presence}:user:"
"""What the key of a user's entry begins with: a hash."""
PRESENCE_OF = "{presence}:of:"
"""What the key of an instance's users begins with: a set."""
PRESENCE_CHANNELS = "presence:"
"""What the channel of a user's transitions begins with."""


def presence_channel(user_id: str) -> str:
    """Channel: the transitions of one user, to instances where somebody watches him."""
    return PRESENCE_CHANNELS + user_id


def instance_channel(instance_id: str) -> str:
    """Channel: notices of the relay to the origin of an append, and the instance's own canary."""
    return f"instance:{instance_id}"


_ALPHABET = b32encode(bytes.fromhex("00443214c74254b635cf84653a56d7c675be77df")).decode().lower()
_PAIRS = [one + other for one in _ALPHABET for other in _ALPHABET]


def _digest(*parts: str) -> str:
    """26 characters of base32 over length-prefixed parts: no two lists collide by joining.

    The standard library's b32encode is plain Python; 13 pairs of digits are ten times faster.
    """
    text = "".join(f"{len(part)}:{part}" for part in parts)
    bits = int.from_bytes(sha256(text.encode()).digest()[:17], "big") >> 6
    return "".join([_PAIRS[bits >> shift & 1023] for shift in range(120, -1, -10)])


def message_id(room_id: str, sender_id: str, client_msg_id: str) -> str:
    """The same send is the same message everywhere, without a store."""
    return _digest("message", room_id, sender_id, client_msg_id)


def direct_room_id(one: str, other: str) -> str:
    """The same pair from either side is the same room."""
    return _digest("direct", *sorted((one, other)))


def external_room_id(external_id: str) -> str:
    """The business key names the room."""
    return _digest("external", external_id)


def client_room_id(creator_id: str, client_id: str) -> str:
    """A group made under a key of the client's own."""
    return _digest("client", creator_id, client_id)


def body_hash(*parts: str) -> str:
    """What `conflict` compares: the same client id with another body."""
    return _digest("body", *parts)
