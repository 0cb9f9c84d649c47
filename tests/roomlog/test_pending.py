"""The appends of an instance that are not known to be queued, per room."""

from __future__ import annotations

from rts_server.roomlog.pending import PendingByRoom
from tests.roomlog.fakes import pending_append, request, result


async def test_pending_appends_come_in_the_order_in_which_they_were_first_appended() -> None:
    """A replay moves an append to a later position, but not behind those that followed it (D3)."""
    rooms = PendingByRoom()
    first, second = (pending_append(request(f"m{n}"), 1, n) for n in (1, 2))
    other = pending_append(request("elsewhere", "other"), 1, 1)
    for one in (second, first, other):
        rooms.add(one)
    rooms.discard(first)
    first.result = result(2, 9)
    rooms.add(first)
    assert rooms.of("room") == [first, second]
    assert rooms.of("nowhere") == []


async def test_nothing_of_a_room_is_missing_up_to_the_lowest_epoch_of_what_is_pending() -> None:
    """A room without pending appends has no verified epoch: nothing of it can be missing."""
    rooms = PendingByRoom()
    assert rooms.verified_epoch("room") == 0
    later, earlier = pending_append(request("b"), 3, 1), pending_append(request("a"), 2, 1)
    rooms.add(later)
    assert rooms.verified_epoch("room") == 3
    rooms.add(earlier)
    assert rooms.verified_epoch("room") == 2
    rooms.mark_verified("room", 5)
    rooms.mark_verified("room", 4)
    assert rooms.verified_epoch("room") == 5
    rooms.discard(later)
    rooms.discard(earlier)
    rooms.discard(earlier)
    assert rooms.verified_epoch("room") == 0
    rooms.mark_verified("room", 6)
    assert rooms.verified_epoch("room") == 0
