"""The start of a session: decisions about cursors and receipts."""

from __future__ import annotations

from typing import Any

from rts_server.namespaces.session_start import ahead_of, cursors_within_membership
from rts_server.persistence.user_rooms import IndexedMembership
from rts_server.views.inbox import Inbox, InboxRow


def inbox(**rooms: Any) -> Inbox:
    """An inbox with some fields of each room."""
    return Inbox([InboxRow(0, room_id, room, True, 0) for room_id, room in rooms.items()])


def test_only_receipts_ahead_of_redis_are_applied() -> None:
    """Redis lost a cursor that the client still has (D4); equal ones need no write."""
    known = inbox(r={"seq": 10, "read_seq": 5, "delivered_seq": 8})
    assert ahead_of(known, {"r": (6, 0)}) == {"r": (6, 0)}
    assert ahead_of(known, {"r": (0, 9)}) == {"r": (0, 9)}
    assert ahead_of(known, {"r": (5, 8)}) == {}
    assert ahead_of(known, {"r": (4, 7)}) == {}


def test_a_receipt_beyond_the_room_is_worth_its_last_message() -> None:
    """0 ≤ read ≤ seq (D8): a client cannot cause a write at each connect."""
    read_all = inbox(r={"seq": 10, "read_seq": 10, "delivered_seq": 10})
    assert ahead_of(read_all, {"r": (99, 99)}) == {}


def test_receipts_of_other_rooms_are_ignored() -> None:
    """Only receipts of the user's own rooms count (A1)."""
    assert ahead_of(inbox(), {"r": (1, 1)}) == {}


def test_a_cursor_before_the_membership_does_not_stand() -> None:
    """A user who left and joined again must not get the messages in between (A1)."""
    memberships = [IndexedMembership("r", 2, 7, "in")]
    assert cursors_within_membership({"r": (2, 7)}, memberships) == {"r": (2, 7)}
    assert cursors_within_membership({"r": (2, 6)}, memberships) == {}
    assert cursors_within_membership({"r": (1, 99)}, memberships) == {}
    assert cursors_within_membership({"other": (2, 7)}, memberships) == {}
