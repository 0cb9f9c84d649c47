"""A listener's place in the stream of a room."""

from __future__ import annotations

from dataclasses import dataclass, field

from rts_server.domain.position import Position
from rts_server.engine.packets import Encoded
from rts_server.realtime.sequence import PublishedEvent
from rts_server.realtime.unread_count import UnreadCount


@dataclass(eq=False, slots=True)
class Subscription:
    """Events wait in `backlog` until `start` is known.

    Attributes:
        start: The position behind which the listener gets live events.
        cursor: The position up to which the client has the room.
        reset_at: The position at which the stream began anew while the listener was waiting.
        unread: The user's unread messages where the stream stands.
    """

    start: Position | None = None
    cursor: Position | None = None
    reset_at: Position | None = None
    backlog: list[tuple[PublishedEvent, Encoded]] | None = None
    unread: UnreadCount = field(default_factory=UnreadCount)
