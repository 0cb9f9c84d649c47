"""The channels of the rooms that an instance is subscribed to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from rts_server.channels import ONE_SERVER, Channels
from rts_server.realtime.room_feed import RoomFeed


class RoomChannels(Collection[str]):
    """A live view of the rooms by the names of their channels, which are not kept.

    `rooms` is the live mapping of the subscriptions, by room id.
    """

    def __init__(self, rooms: Mapping[str, RoomFeed], channels: Channels = ONE_SERVER) -> None:
        self._rooms = rooms
        self._name_of, self._room_of = channels.room, channels.room_of

    def __len__(self) -> int:
        return len(self._rooms)

    def __iter__(self) -> Iterator[str]:
        return map(self._name_of, self._rooms)

    def __contains__(self, channel: object) -> bool:
        return isinstance(channel, str) and self.room_of(channel) is not None

    def room_of(self, channel: str) -> RoomFeed | None:
        """Return the room of a channel; None for one that is not subscribed to, or no room's."""
        room_id = self._room_of(channel)
        return None if room_id is None else self._rooms.get(room_id)
