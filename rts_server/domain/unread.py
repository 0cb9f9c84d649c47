"""The rule of unread counts. rooms/receipts.lua applies it inside Redis: change both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rts_server.domain.position import Position
from rts_server.types.objects import Totals


class MemberUnread(NamedTuple):
    """A member's unread messages in a room at a position of its log.

    `seq`: the room's newest message. `in_totals`: see `counts_in_totals`.
    """

    position: Position
    seq: int
    read_seq: int
    unread: int
    in_totals: bool


def unread_count(seq: int, read_seq: int, uncounted: int) -> int:
    """Return the number of unread messages of a member in a room.

    `seq`: the room's newest message. `read_seq`: the member's read cursor. `uncounted`: messages
    above the read cursor that never count as unread (system, deleted and failed messages).
    """
    return max(0, seq - read_seq - uncounted)


def counts_in_totals(*, muted: bool, hidden: bool) -> bool:
    """Return whether a room's unread messages are part of the user's totals."""
    return not (muted or hidden)


def totals(unread: Iterable[int]) -> Totals:
    """Return the totals: all unread messages of the given rooms, and how many have any."""
    counted = [count for count in unread if count > 0]
    return {"total": sum(counted), "rooms": len(counted)}
