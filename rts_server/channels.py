"""Channels: their names, and the commands that publish and subscribe, on one server or a cluster.

On a cluster a message goes to the subscribers of one primary (sharded pub/sub). So a channel lies
in the slot of the data it is about: the script that changes these publishes, too.
"""

from __future__ import annotations

from rts_server import keys

_CHANNEL = "}:channel:"
_PRESENCE = "{presence:"


class Channels:
    """The channels of one server, or of a cluster.

    Attributes:
        sharded: Whether it is a cluster.
        publish, subscribe, unsubscribe: Commands.
        message, subscribed, unsubscribed: The kinds of what Redis pushes to a subscriber.
        script_head: Goes before each script: which command publishes.
    """

    def __init__(self, *, sharded: bool) -> None:
        self.sharded = sharded
        kind = "S" if sharded else ""
        self.publish, self.subscribe = f"{kind}PUBLISH", f"{kind}SUBSCRIBE"
        self.unsubscribe = f"{kind}UNSUBSCRIBE"
        self.message = f"{kind}MESSAGE".lower().encode()
        self.subscribed = self.subscribe.lower().encode()
        self.unsubscribed = self.unsubscribe.lower().encode()
        self.script_head = f"local PUBLISH = '{self.publish}'\n"

    def room(self, room_id: str) -> str:
        """Channel of a room, see `keys.room_channel`."""
        if not self.sharded:
            return keys.room_channel(room_id)
        return self.room_prefix(keys.partition(room_id)) + room_id

    def room_prefix(self, partition: int) -> str:
        """Return what the id of a room of this partition follows in its channel."""
        return f"{{p{partition}{_CHANNEL}" if self.sharded else keys.ROOM_CHANNELS

    def room_of(self, channel: str) -> str | None:
        """Return the room of a channel; None for that of something else."""
        if not self.sharded:
            prefix = keys.ROOM_CHANNELS
            return channel[len(prefix) :] if channel.startswith(prefix) else None
        tag, found, room_id = channel.partition(_CHANNEL)
        return room_id if found and tag[:2] == "{p" and tag[2:].isdigit() else None

    def user(self, user_id: str) -> str:
        """Channel of a user, see `keys.user_channel`."""
        return keys.user_slot(user_id) + ":channel" if self.sharded else keys.user_channel(user_id)

    def presence(self, user_id: str) -> str:
        """Channel of a user's presence, see `keys.presence_channel`."""
        if not self.sharded:
            return keys.presence_channel(user_id)
        number = keys.presence_group(user_id, len(keys.PRESENCE_GROUPS))
        return self.presence_prefix(keys.PRESENCE_GROUPS[number]) + user_id

    def presence_prefix(self, group: keys.PresenceKeys) -> str:
        """Return what the id of a user of this group follows in the channel of their presence."""
        return group.tag[:-1] + _CHANNEL if self.sharded else keys.PRESENCE_CHANNELS

    def presence_user_of(self, channel: str) -> str | None:
        """Return whose presence a channel is about; None for that of something else."""
        if not self.sharded:
            prefix = keys.PRESENCE_CHANNELS
            return channel[len(prefix) :] if channel.startswith(prefix) else None
        tag, found, user_id = channel.partition(_CHANNEL)
        return user_id if found and tag.startswith(_PRESENCE) else None

    def publication(self, channel: str, message: str | bytes) -> tuple[str, str, str | bytes]:
        """Return the command that publishes a message."""
        return self.publish, channel, message


ONE_SERVER = Channels(sharded=False)
CLUSTER = Channels(sharded=True)
