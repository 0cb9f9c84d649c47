"""What is known of a subscription until the feed has come to the position where it begins."""

from __future__ import annotations

from dataclasses import dataclass

from rts_server.domain.position import Position
from rts_server.engine.packets import Encoded
from rts_server.realtime.sequence import PublishedEvent

COLD: Position = (0, 0)
"""Start of a subscription that began while the position of the room was not known."""


@dataclass(eq=False, slots=True)
class Opening:
    """A subscription that does not get every event of the feed yet.

    Events wait in `backlog` until `start` is known.

    Attributes:
        cursor: The position up to which the client has the room.
        start: The position behind which the listener gets live events.
        reset_at: The position at which the stream began anew while the listener was waiting.
        read_at: Where in the log the unread count was read: earlier events are in it.
        seq: The room's newest message there.
    """

    cursor: Position | None = None
    start: Position | None = None
    reset_at: Position | None = None
    backlog: list[tuple[PublishedEvent, Encoded]] | None = None
    read_at: Position = (0, 0)
    seq: int = 0

    @property
    def is_live(self) -> bool:
        """Whether the stream has begun; the feed may be behind its start."""
        return self.start is not None

    def cursor_at(self, position: Position | None) -> Position | None:
        """Return up to where the client has the room while the feed stands at `position`."""
        if position is None or self.start is None or self.start == COLD:
            return self.cursor
        return max(position, self.start)
