"""How a member stands in a room: what a session begins with, without the room's own fields."""

from __future__ import annotations

from typing import NamedTuple

from rts_server.domain.position import Position
from rts_server.domain.roles import MEMBER, Role
from rts_server.domain.unread import MemberUnread, counts_in_totals


class Standing(NamedTuple):
    """A member in a room, at one position of its log.

    `seq`: the room's newest message. `has_settings`: the member has muted or hidden the room at
    least once; `role` is known only then, because only then it is shown.
    """

    position: Position
    seq: int
    read_seq: int
    delivered_seq: int
    unread: int
    muted: bool = False
    hidden: bool = False
    has_settings: bool = False
    role: Role = MEMBER

    @property
    def in_totals(self) -> bool:
        """Whether the unread messages are part of the user's totals."""
        return counts_in_totals(muted=self.muted, hidden=self.hidden)

    @property
    def member_unread(self) -> MemberUnread:
        """The unread messages, counted in totals or not."""
        return MemberUnread(self.position, self.seq, self.read_seq, self.unread, self.in_totals)


class MemberInRoom(NamedTuple):
    """A standing, and the events after the cursor up to its position: `epoch offset event` each.

    `events` is None if they were not read.
    """

    standing: Standing
    events: list[bytes] | None
