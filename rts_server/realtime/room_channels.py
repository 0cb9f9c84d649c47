"""The channels of the rooms that an instance is subscribed to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from rts_server import keys
from rts_server.realtime.room_feed import RoomFeed

PREFIX = keys.room_channel("")


class RoomChannels(Collection[str]):
    """A live view of the rooms by the names of their channels, which are not kept.

    `rooms` is the live mapping of the subscriptions, by room id.
    """

    def __init__(self, rooms: Mapping[str, RoomFeed]) -> None:
        self._rooms = rooms

    def __len__(self) -> int:
        return len(self._rooms)

    def __iter__(self) -> Iterator[str]:
        return map(keys.room_channel, self._rooms)

    def __contains__(self, channel: object) -> bool:
        return isinstance(channel, str) and self.room_of(channel) is not None

    def room_of(self, channel: str) -> RoomFeed | None:
        """Return the room of a channel; None for one that is not subscribed to, or no room's."""
        return self._rooms.get(channel[len(PREFIX) :]) if channel.startswith(PREFIX) else None
