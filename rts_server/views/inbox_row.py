"""One room of an inbox: its row, from a snapshot in Redis or from the items of the archive."""

from __future__ import annotations

from dataclasses import dataclass

from rts_server.domain.room import RoomFields
from rts_server.domain.standing import Standing
from rts_server.domain.unread import MemberUnread, counts_in_totals, unread_count
from rts_server.persistence.stored_items import StoredMember, StoredRoom
from rts_server.roomlog.rehydrate import last_position, milliseconds
from rts_server.types.objects import PublicRoom, Room
from rts_server.views.snapshots import MemberView, RoomSnapshot, for_member


@dataclass(frozen=True)
class InboxRow:
    """One room of the inbox.

    `active_ms`: time of the last activity, the sort key. `room`: the protocol's room as the user
    sees it. `in_totals`: whether its unread messages count in the totals. `uncounted`: messages
    above read_seq that never count as unread. `has_settings`: the user has muted or hidden it at
    least once. `is_cold`: read from the archive. `is_counted`: if False, an earlier release stored
    the members: their number is read by `with_member_counts`, and the position is a lower bound.
    """

    active_ms: int
    room_id: str
    room: Room
    in_totals: bool
    uncounted: int
    has_settings: bool = False
    is_cold: bool = False
    is_counted: bool = True

    @property
    def unread(self) -> int:
        """Unread messages of the room that count in the totals."""
        return self.room["unread"] if self.in_totals else 0

    @property
    def member_unread(self) -> MemberUnread:
        """The user's unread messages of the room, counted in totals or not."""
        return self.standing.member_unread

    @property
    def standing(self) -> Standing:
        """How the user stands in the room."""
        room = self.room
        return Standing(
            (room["epoch"], room["offset"]),
            room["seq"],
            room["read_seq"],
            room["delivered_seq"],
            room["unread"],
            room["muted"],
            room["hidden"],
            self.has_settings,
            room["role"],
        )


def sort_key(row: InboxRow) -> tuple[int, str]:
    """Newest activity first, ties by room id."""
    return activity_key(row.active_ms, row.room_id)


def activity_key(active_ms: int, room_id: str) -> tuple[int, str]:
    """The sort key of a row with this time of its last activity."""
    return -active_ms, room_id


def warm_row(room_id: str, snapshot: RoomSnapshot, view: MemberView) -> InboxRow:
    """The row of a warm room, for the member whose view is given."""
    active_ms = snapshot.last_ms or milliseconds(snapshot.room["created_at"])
    room = for_member(snapshot.public(), view)
    in_totals = counts_in_totals(muted=view.muted, hidden=view.hidden)
    return InboxRow(active_ms, room_id, room, in_totals, view.uncounted, view.has_settings)


def cold_row(
    stored: StoredRoom, fields: RoomFields, member: StoredMember, uncounted: int
) -> InboxRow:
    """The row of a cold room, for the member whose item is given."""
    epoch, offset = last_position(stored, [member])
    unread = unread_count(stored.seq, member.read_seq, uncounted)
    view = MemberView(
        member.role,
        min(member.read_seq, stored.seq),
        min(member.delivered_seq, stored.seq),
        unread,
        member.muted,
        member.hidden,
    )
    room: PublicRoom = {
        **fields,
        "member_count": stored.member_count or 0,
        "seq": stored.seq,
        "epoch": epoch,
        "offset": offset,
    }
    if stored.last:
        room["last_message"] = stored.last
    created = stored.last["created_at"] if stored.last else fields["created_at"]
    in_totals = counts_in_totals(muted=member.muted, hidden=member.hidden)
    return InboxRow(
        milliseconds(created),
        stored.room_id,
        for_member(room, view),
        in_totals,
        uncounted,
        member.settings_rev > 0,
        is_cold=True,
        is_counted=stored.member_count is not None,
    )
