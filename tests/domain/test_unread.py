"""The rule of unread counts."""

from __future__ import annotations

from rts_server.domain.unread import counts_in_totals, totals, unread_count


def test_unread_counts_the_messages_above_the_read_cursor() -> None:
    """Never below zero."""
    assert unread_count(seq=9, read_seq=4, uncounted=2) == 3
    assert unread_count(seq=9, read_seq=9, uncounted=0) == 0
    assert unread_count(seq=1, read_seq=1, uncounted=3) == 0


def test_a_muted_or_hidden_room_counts_in_no_total() -> None:
    """Either setting is enough."""
    assert counts_in_totals(muted=False, hidden=False)
    assert not counts_in_totals(muted=True, hidden=False)
    assert not counts_in_totals(muted=False, hidden=True)


def test_totals_count_messages_and_rooms_with_any() -> None:
    """A room without unread messages is not counted."""
    assert totals([2, 0, 5]) == {"total": 7, "rooms": 2}
    assert totals([]) == {"total": 0, "rooms": 0}
