"""The channels of rooms: a view that follows the rooms."""

from __future__ import annotations

from rts_server import keys
from rts_server.realtime.feed_context import FeedContext
from rts_server.realtime.room_channels import RoomChannels
from rts_server.realtime.room_feed import RoomFeed
from tests.realtime.log import Log


def test_the_channels_are_those_of_the_rooms_at_any_time() -> None:
    """A room called as another channel is not taken for it."""
    rooms: dict[str, RoomFeed] = {}
    channels = RoomChannels(rooms)
    assert list(channels) == []
    for room_id in ("a", keys.INSTANCES):
        rooms[room_id] = RoomFeed(room_id, FeedContext(Log(), lambda work: None))
    assert list(channels) == [keys.room_channel("a"), keys.room_channel(keys.INSTANCES)]
    assert len(channels) == 2
    assert channels.room_of(keys.room_channel("a")) is rooms["a"]
    assert channels.room_of(keys.INSTANCES) is None
    assert keys.user_channel("a") not in channels
    del rooms["a"]
    assert keys.room_channel("a") not in channels
