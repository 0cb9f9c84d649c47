"""The listeners of a room, and what a room and its seats take of a process."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Collection
from itertools import pairwise

from rts_server.domain.unread import MemberUnread
from rts_server.realtime.feed_context import FeedContext
from rts_server.realtime.listener import Listener
from rts_server.realtime.room_feed import RoomFeed
from rts_server.realtime.room_listeners import FEW_LISTENERS, added, removed
from rts_server.realtime.sequence import parse
from tests.realtime.log import Log

ROOMS = 2_000
MAX_ROOM_BYTES = 500
MAX_SEAT_BYTES = 150


def listener(user_id: str = "alice") -> Listener:
    """Return a listener that drops what it is written."""
    return Listener(user_id, lambda packet: None, lambda packet: None)


def join_all(rooms: dict[str, RoomFeed], context: FeedContext) -> None:
    """Begin a user's streams of all rooms; then each room has a message of somebody else."""
    seat = listener()
    for n in range(ROOMS):
        room_id = f"room-of-about-26-signs-{n}"
        if room_id not in rooms:
            rooms[room_id] = RoomFeed(room_id, context)
            rooms[room_id].open_at((3, 2_000 + n))
        room = rooms[room_id]
        assert room.position is not None
        epoch, offset = room.position
        seq = offset - 1_000
        room.join(seat, (epoch, offset))
        standing = MemberUnread((epoch, offset), seq, seq - 5, 5, True)
        room.go_live(seat, standing.position, standing)
        message = {"seq": seq + 1, "sender_id": "bob", "type": "text"}
        event = json.dumps({"type": "message.new", "data": {"message": message}})
        room.on_publish(parse(f"{epoch} {offset + 1} message.new {event}".encode()))
        assert room.unread(seat) == 6


def used() -> tuple[int, int]:
    """Return the traced bytes, and the number of objects of the garbage collector."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0], len(gc.get_objects())


def test_a_room_at_rest_takes_500_bytes_and_a_further_seat_150() -> None:
    """With their numbers and the entries in both mappings, after a message; in three objects."""
    rooms: dict[str, RoomFeed] = {}
    context = FeedContext(Log(), lambda work: work.close())
    tracemalloc.start()
    try:
        found = [used()]
        for _ in range(2):
            join_all(rooms, context)
            found.append(used())
    finally:
        tracemalloc.stop()
    (room, objects), (seat, more) = (
        ((after[0] - before[0]) / ROOMS, (after[1] - before[1]) / ROOMS)
        for before, after in pairwise(found)
    )
    assert room <= MAX_ROOM_BYTES
    assert seat <= MAX_SEAT_BYTES
    assert objects < 3.1
    assert more < 1.1


def test_listeners_of_a_room_come_and_go_in_their_order() -> None:
    """Few or many; who is not there can be taken out."""
    these: Collection[Listener] = ()
    all_ = [listener(f"user-{n}") for n in range(3 * FEW_LISTENERS)]
    for count, one in enumerate(all_, 1):
        these = added(these, one)
        assert list(these) == all_[:count]
    for count, one in enumerate(all_, 1):
        these = removed(removed(these, one), one)
        assert list(these) == all_[count:]
    assert these == ()
