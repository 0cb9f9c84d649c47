"""All Redis keys, the channels of one server, and ids that are hashed instead of being stored."""

from __future__ import annotations

import time
from base64 import b32encode
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote
from zlib import crc32

PARTITIONS = 1024
"""Number of partitions. It is part of every room's keys; operations.md says what a change takes."""
LEASE_GROUPS = 64
"""Groups of partitions. On one Redis a relay leases a group with all its partitions."""
CACHED_ROOMS = 4096
"""Rooms whose keys are kept; about a kilobyte each."""


def partition(room_id: str) -> int:
    """Return the partition of a room, 0 ≤ p < PARTITIONS. All its keys are in one slot."""
    return crc32(room_id.encode()) % PARTITIONS


def outbox(partition: int) -> str:
    """Stream of records on their way to SQS, and the channel of its doorbell.

    An empty message on the channel says that records were added, `cursors` that the partition has
    dirty cursors, where it had none.

    Fields: `q` queue (`m` message queue, `r` room queue), `r` room id, `e` position
    (`epoch:offset`), `k` request id, `o` origin, `d` record (JSON); `u` the users of a membership
    event (JSON, `[[user, "in" or "out"], …]`), `b` the nonce of a barrier, which has no `e`.
    """
    return f"{{p{partition}}}:outbox"


EVERY_OUTBOX = "{p*}:outbox"
"""Pattern of the outboxes of all partitions."""


def dirty_cursors(partition: int) -> str:
    """Sorted set `room user` → time due (ms): moved cursors that are not in the outbox yet."""
    return f"{{p{partition}}}:dirty"


def trims(partition: int) -> str:
    """Sorted set room → ms: when the hot log of a room is looked at, to trim it."""
    return f"{{p{partition}}}:trims"


def recent(partition: int) -> str:
    """Sorted set → time (ms): what was published in the last minutes; see `RecentChanges`.

    A member is `room`, whose head or a read cursor in it moved, or `room user`: a membership.
    """
    return f"{{p{partition}}}:recent"


def generation(partition: int) -> str:
    """String `identity born`: the Redis that holds this partition, and since when (ms)."""
    return f"{{p{partition}}}:generation"


def room_prefix(partition: int) -> str:
    """Prefix of the keys of all rooms of a partition."""
    return f"{{p{partition}}}:room:"


def group_partitions(group: int) -> range:
    """Return the partitions of a group, 0 ≤ group < LEASE_GROUPS."""
    size = PARTITIONS // LEASE_GROUPS
    return range(group * size, (group + 1) * size)


def group_lease(group: int) -> str:
    """String: the id of the relay that holds the lease on the partitions of this group."""
    return f"relay:{group}"


def partition_lease(partition: int) -> str:
    """String: the id of the relay that holds the lease on a partition of a cluster."""
    return f"{{p{partition}}}:lease"


def relay_channel(relay: str) -> str:
    """Channel of a relay's own canary."""
    return f"relay:{relay}"


def moved_upload(attachment_id: str) -> str:
    """String: the upload was completed and its pending object deleted. Expires after 48 h."""
    return f"moved:{attachment_id}"


RELAYS = "relays"
"""Sorted set relay → expiry (ms): the relays that share the partitions."""
KEEPS_RECENT = ".recent"
"""End of the names of relays that keep `recent`. A relay of the release before has another name."""


REVOKED = "revoked"
"""Sorted set user → seconds since 1970: tokens issued until then are void."""

INSTANCES = "instances"
"""Channel: requests to all instances; see `ControlChannel`."""


class RoomKeys(NamedTuple):
    """The keys of one room; all in one slot.

    Scripts alone name others behind the prefix: `ids` and `ids:before`, strings, the message-id
    filters (ids.lua); `wishes`, a hash, and `wish:…`, strings: target → position of its latest
    intent (append.lua).

    Attributes:
        head: Hash: where the log stands; its fields are listed in fence.lua.
        members: Hash user → `role member`, the member as JSON without cursors.
        cursors: Hash `r:user` → read seq, `d:user` → delivered seq, `x:user` → `rev muted hidden`,
            the member's settings (0 or 1); no `x:` until the first change.
        log: Stream, the hot log, with ids `epoch-offset`. Fields: `e` event (JSON), `t` time (ms);
            `s` the seq of a new message, `m` the id of a message that was changed; `k` the id of
            the request, which of a message is its own id.
        seqs: Sorted set offset → seq: the new messages in the hot log.
        changed: Hash message id → `offset version entry message`: the last change in the hot log,
            the id of its outbox entry and the message's newest state (JSON); version 0 and
            `{"failed":true}` for a failed one.
        uncounted: Sorted set seq → seq: messages that never count as unread.
        claim: String: the nonce of the command that loads the room. Expires.
        outbox: Stream of the partition, shared with its other rooms; see `outbox`.
        prefix: Prefix of the room's other keys.
    """

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
        """KEYS[1] to KEYS[9] of every script of a room but append.lua, as in fence.lua."""
        return self[:9]

    @property
    def receipts(self) -> str:
        """Hash: `u:user` → 1, moved cursors to be published; `told`, ms of the last publish.

        Expires after a minute.
        """
        return f"{self.prefix}receipts"

    @property
    def typing(self) -> str:
        """Sorted set user → end of typing (ms). Expires after seconds."""
        return f"{self.prefix}typing"

    @property
    def typing_published(self) -> str:
        """Hash: `at`, ms of the last publish, `names`, what it said, `due`: a change waits.

        The key's name is older than the term.
        """
        return f"{self.prefix}typing:told"

    @property
    def settled(self) -> str:
        """String: the generation in which the queue of this cold room was drained, or is drained.

        Deleted by the next load.
        """
        return f"{self.prefix}settled"

    @property
    def ids_claim(self) -> str:
        """String: the instance that reads the room's message ids from the archive. Expires."""
        return f"{self.prefix}ids:claim"

    def idem(self, request_id: str) -> str:
        """String: the result of the append with this id; its parts are listed in results.lua.

        A hash if the release before wrote it. Goes with its event, after 48 h at most.
        """
        return f"{self.prefix}idem:{request_id}"


@lru_cache(CACHED_ROOMS)
def room(room_id: str) -> RoomKeys:
    """Return the keys of a room."""
    number = partition(room_id)
    prefix = f"{room_prefix(number)}{room_id}:"
    return RoomKeys(
        head=prefix + "head",
        members=prefix + "members",
        cursors=prefix + "cursors",
        log=prefix + "log",
        seqs=prefix + "seqs",
        changed=prefix + "changed",
        uncounted=prefix + "uncounted",
        claim=prefix + "claim",
        outbox=outbox(number),
        prefix=prefix,
    )


ROOM_CHANNELS = "room:"
"""Prefix of the channels of rooms."""


def room_channel(room_id: str) -> str:
    """Channel of the room, in log order: `epoch offset type event`, the event as JSON.

    The type of an event that is not in the log is `~type`, or `~type@user` for one user. Its
    position is that of the head at which it was published.
    """
    return ROOM_CHANNELS + room_id


def _user(user_id: str) -> str:
    """Quote a user id: it is any printable ASCII, and some of it has a meaning in keys."""
    return quote(user_id, safe="")


def user_slot(user_id: str) -> str:
    """Return how the names begin of what is in the slot of a user's index."""
    return f"user:{{{_user(user_id)}}}"


def user_rooms(user_id: str) -> str:
    """Hash room → `epoch:offset:in|out`, with `#ver` and `#complete`."""
    return user_slot(user_id) + ":rooms"


def index_version(version: bytes | None, mark: bytes | None) -> str:
    """Return a change token of a user's index, from its fields `#ver` and `#complete`.

    It changes when a room of the user changes, or when the index must be rebuilt.
    """
    until = int(mark.rpartition(b" ")[2]) if mark else 0
    state = "missing" if not mark else "complete"
    if until:
        state = "young" if until > time.time() * 1000 else "missing"
    return f"{int(version or 0)} {state}"


def user_channel(user_id: str) -> str:
    """Channel: events of one user for all their devices."""
    return f"user:{_user(user_id)}"


class PresenceKeys(NamedTuple):
    """The keys of one group of users in presence, all in one slot.

    `fence`: hash with the identity of the Redis they were written to. `instances`: sorted set
    lease → its end (ms). `due`: sorted set user → end of the grace (ms). `about`: hash instance →
    its description (JSON), in the first group only. `recent`: sorted set user → ms: who was
    announced in the last minutes. `users` and `of_instance` are prefixes: of the keys of users'
    entries (hashes), and of the sets of an instance's users.
    """

    fence: str
    instances: str
    due: str
    about: str
    recent: str
    users: str
    of_instance: str

    @property
    def script_keys(self) -> tuple[str, ...]:
        """KEYS of every presence script, as in entry.lua."""
        return self[:5]

    @property
    def tag(self) -> str:
        """What all of them begin with; it decides on the slot."""
        return self.fence.removesuffix(":fence")


def _presence(tag: str) -> PresenceKeys:
    names = ("fence", "instances", "due", "about", "recent", "user:", "of:")
    return PresenceKeys(*(f"{{{tag}}}:{name}" for name in names))


PRESENCE = _presence("presence")
"""The only group on one Redis."""
PRESENCE_GROUPS = tuple(_presence(f"presence:{number}") for number in range(16))
"""The groups on a cluster, in slots of their own: more shards than groups would share no more."""


def presence_group(user_id: str, groups: int) -> int:
    """Return the group of a user, 0 ≤ g < groups."""
    return crc32(user_id.encode()) % groups


PRESENCE_CHANNELS = "presence:"
"""Prefix of the channels of users' presence changes."""


def presence_channel(user_id: str) -> str:
    """Channel: presence changes of one user, for instances with a watcher."""
    return PRESENCE_CHANNELS + user_id


def instance_channel(instance_id: str) -> str:
    """Channel: notices of the relay to the origin of an append, and the instance's own canary."""
    return f"instance:{instance_id}"


_ALPHABET = b32encode(bytes.fromhex("00443214c74254b635cf84653a56d7c675be77df")).decode().lower()
_PAIRS = [one + other for one in _ALPHABET for other in _ALPHABET]


def _digest(*parts: str) -> str:
    """Return 130 bits of SHA-256 as 26 characters of base32.

    The length of each part is hashed too, so that no two lists of parts give the same input. The
    standard library's b32encode is plain Python; 13 lookups of two digits are ten times faster.
    """
    text = "".join(f"{len(part)}:{part}" for part in parts)
    bits = int.from_bytes(sha256(text.encode()).digest()[:17], "big") >> 6
    return "".join([_PAIRS[bits >> shift & 1023] for shift in range(120, -1, -10)])


def message_id(room_id: str, sender_id: str, client_msg_id: str) -> str:
    """Return the id of a message: a repeated send has the same id on every instance (D7)."""
    return _digest("message", room_id, sender_id, client_msg_id)


def direct_room_id(one: str, other: str) -> str:
    """Return the id of the direct room of two users, in either order."""
    return _digest("direct", *sorted((one, other)))


def external_room_id(external_id: str) -> str:
    """Return the id of the room with an application's own key."""
    return _digest("external", external_id)


def client_room_id(creator_id: str, client_id: str) -> str:
    """Return the id of a group that a user creates under a key chosen by the client."""
    return _digest("client", creator_id, client_id)


def body_hash(*parts: str) -> str:
    """Return a hash of a request: the same `client_msg_id` with another hash is a conflict."""
    return _digest("body", *parts)
