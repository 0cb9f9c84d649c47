"""What the subscriptions of an instance call: others' handlers, and reads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rts_server import keys
from rts_server.domain.changes import Changes
from rts_server.domain.unread import MemberUnread
from rts_server.realtime.listener import Listener
from rts_server.realtime.lost_publishes import ChangesSince
from rts_server.realtime.unread_changed import ReadUnread

RoomChange = Callable[[Listener, str], Awaitable[None]]


async def _no_change(listener: Listener, room_id: str) -> None:
    """Do nothing."""


async def _no_comparison(user_id: str) -> str:
    """Compare nothing."""
    return keys.index_version(None, None)


async def _all_changed(seconds: float, partitions: object = None) -> None:
    """Know nothing."""


async def _nothing_read(user_id: str, room_ids: list[str]) -> dict[str, MemberUnread]:
    """Read nothing."""
    return {}


@dataclass(frozen=True, kw_only=True)
class SubscriptionHandlers:
    """The handlers of messages that do not belong to a room.

    Attributes:
        on_notices: Durability notices for this instance.
        on_control: A message of the control channel.
        on_presence: A user id, and what was published on the channel of their presence.
        on_left: Users who were removed from a room, as the stream of a room on this instance says.
        on_resumed: The link to Redis was down; publishes may have been missed.
        on_missed: What they may have been about, some time later; None for anything.
        room_added: A listener's user became a member of a room.
        room_removed: A listener's user is no longer a member of a room.
        rooms_changed: Changes of a user's rooms may have been missed: compare them, and return the
            version of the index that was read.
        changes_since: Reads what was published in the last seconds.
        read_unread: Reads a user's unread counts in rooms where those in memory are in doubt.
    """

    on_notices: Callable[[bytes], None] = lambda data: None
    on_control: Callable[[dict[str, str]], None] = lambda message: None
    on_presence: Callable[[str, bytes], None] = lambda user_id, data: None
    on_left: Callable[[set[str]], None] = lambda user_ids: None
    on_resumed: Callable[[], None] = lambda: None
    on_missed: Callable[[Changes | None], None] = lambda changes: None
    room_added: RoomChange = _no_change
    room_removed: RoomChange = _no_change
    rooms_changed: Callable[[str], Awaitable[str]] = _no_comparison
    changes_since: ChangesSince = _all_changed
    read_unread: ReadUnread = _nothing_read
