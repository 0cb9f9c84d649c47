"""Pauses of the garbage collector: what survived a full collection is not walked again."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from rts_server.realtime.feed_context import FeedContext
from rts_server.realtime.listener import Listener
from rts_server.realtime.room_feed import RoomFeed
from rts_server.runtime import garbage
from tests.realtime.log import Log

MANY = 10_000


@pytest.fixture
def unfrozen() -> Iterator[None]:
    """Leave the collector of the test process as it was; meanwhile it runs only when asked."""
    gc.disable()
    yield
    gc.enable()
    gc.callbacks.remove(garbage._freeze_survivors)
    gc.unfreeze()


@pytest.mark.usefixtures("unfrozen")
def test_a_full_collection_walks_what_was_made_since_the_one_before() -> None:
    """However much there is; what is not used any more is freed by its count of references."""
    garbage.keep_pauses_short()
    held = [[number] for number in range(MANY)]
    walked = []
    for _ in range(2):
        walked.append(len(gc.get_objects()))  # without the excluded ones
        gc.collect()
    frozen = gc.get_freeze_count()
    held.clear()
    assert walked[0] >= MANY > walked[1]
    assert gc.get_freeze_count() <= frozen - MANY


def test_a_left_room_and_its_listener_are_no_cycle() -> None:
    """A cycle that was in use in a full collection would never be freed."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            room = RoomFeed("room", FeedContext(Log(), lambda work: work.close()))
            room.open_at((1, 1))
            listener = Listener("alice", lambda packet: None, lambda packet: None)
            room.join(listener, (1, 1))
            room.go_live(listener, (1, 1))
            room.leave(listener)
            room.close()
        del room, listener
        assert gc.collect() == 0
    finally:
        gc.enable()
