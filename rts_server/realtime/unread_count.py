"""A listener's unread messages in one room, as its stream stands. Kept in memory only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import orjson

from rts_server.domain.standing import Standing
from rts_server.domain.unread import MemberUnread, unread_count
from rts_server.realtime.sequence import PublishedEvent


class Certainty(Enum):
    """Whether a count is exact.

    READING: it is being read; a change that comes meanwhile makes it DOUBTFUL, because the read may
    be older than the change. DOUBTFUL: a change may have been missed, so it is read before its use.
    """

    EXACT = "exact"
    READING = "reading"
    DOUBTFUL = "doubtful"


class Change(NamedTuple):
    """What an event does to the counts of its room; `seq` is that of its message.

    `sender` reads everything up to the message by sending it. `in_doubt`: the event does not say
    what it changes.
    """

    seq: int
    sender: str | None = None
    new: bool = False
    in_doubt: bool = False


def change_of(event: PublishedEvent) -> Change | None:
    """Return what a durable event changes; None for most types."""
    if event.type == "message.new":
        message = orjson.loads(event.text)["data"]["message"]
        system = message["type"] == "system"
        return Change(message["seq"], None if system else message["sender_id"], new=True)
    if event.type == "message.deleted":
        message = orjson.loads(event.text)["data"]["message"]
        return None if message["type"] == "system" else Change(message["seq"])
    if event.type in ("message.failed", "room.epoch"):
        # The failed message may have been deleted before; an epoch may lack messages and cursors.
        return Change(0, in_doubt=True)
    return None


@dataclass(eq=False, slots=True)
class UnreadCount:
    """`unread = seq of the room − read_seq − uncounted`: others' messages change nothing here.

    Attributes:
        read_seq: The user's read cursor.
        uncounted: The number of later messages that count for nobody.
        in_totals: False in muted and hidden rooms.
    """

    read_seq: int = 0
    uncounted: int = 0
    in_totals: bool = False
    certainty: Certainty = Certainty.READING

    def learn(self, found: MemberUnread | Standing) -> None:
        """Take what was read; it is exact unless something changed since the read began."""
        self.read_seq, self.in_totals = found.read_seq, found.in_totals
        self.uncounted = found.seq - found.read_seq - found.unread
        if self.certainty is Certainty.READING:
            self.certainty = Certainty.EXACT

    def doubt(self) -> None:
        """Have it read before its next use."""
        self.certainty = Certainty.DOUBTFUL

    def unread(self, seq: int) -> int:
        """Return the unread messages up to this seq of the room."""
        return unread_count(seq, self.read_seq, self.uncounted)

    def apply(self, change: Change) -> bool:
        """Apply an event that the listener received; of a message, only for its sender.

        Return whether the user's own message read messages before it.
        """
        if change.in_doubt or self.certainty is Certainty.READING:
            self.doubt()
        if change.sender is not None:
            had_unread = self.certainty is not Certainty.EXACT or self.unread(change.seq - 1) > 0
            self.read_seq, self.uncounted = change.seq, 0
            return had_unread
        if change.new or change.seq > self.read_seq:
            self.uncounted += 1
        return False

    def read_to(self, read_seq: int, unread: int, seq: int | None) -> None:
        """Move the read cursor forward; `unread` messages of those up to `seq` are left.

        `seq` None: that number belongs to another position than the listener's.
        """
        if read_seq < self.read_seq:
            return
        if seq is None or self.certainty is Certainty.READING:
            self.doubt()
            return
        self.read_seq, self.uncounted = read_seq, seq - read_seq - unread
