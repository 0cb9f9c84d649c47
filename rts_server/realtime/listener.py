"""A session as the subscriptions see it: its user, its rooms, and how to write to it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rts_server.engine.packets import Encoded
from rts_server.runtime.lazy_event import LazyEvent

if TYPE_CHECKING:
    from rts_server.realtime.unread_count import UnreadCount

MAX_WAITING_USER_EVENTS = 500
"""Events for the user that wait for `session.ready`; beyond it the oldest are dropped (R1)."""


@dataclass(eq=False, slots=True)
class Listener:
    """A session of `/chat`.

    Attributes:
        write: Writes a packet, which listeners may share. Never blocks.
        write_droppable: Writes a packet that is dropped if the reader is slow.
        namespaces: The namespaces of the connection; it gets ephemeral events of these only.
        rooms: The unread counts in the rooms it is subscribed to, by room id.
        ready: Set when `session.ready` is written; `room.added` and `room.removed` wait for it.
        waiting_events: Events for the user that came before `session.ready` was written.
        name: The display name in the user's token.
        unwritten: The rooms whose `unread.changed` waits until the connection joins `/receipts`;
            None for none.
        changing: Held while a room is added or removed: one at a time, in order.
    """

    user_id: str
    write: Callable[[Encoded], None]
    write_droppable: Callable[[Encoded], object]
    namespaces: set[str] = field(default_factory=lambda: {"/chat"})
    rooms: dict[str, UnreadCount] = field(default_factory=dict)
    ready: LazyEvent = field(default_factory=LazyEvent)
    waiting_events: deque[Encoded] = field(
        default_factory=lambda: deque(maxlen=MAX_WAITING_USER_EVENTS)
    )
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    unwritten: set[str] | None = None
    name: str | None = None
    closed: bool = False

    def write_user_event(self, packet: Encoded) -> None:
        """Write an event for the user, once `session.ready` is written.

        The state that a session begins with may have been read before the event was published, so
        an event that arrives while the session opens must not be dropped (D4).
        """
        if self.ready.is_set():
            self.write(packet)
        else:
            self.waiting_events.append(packet)

    def mark_ready(self) -> None:
        """Write the events that waited for `session.ready`, which was just written."""
        while self.waiting_events:
            self.write(self.waiting_events.popleft())
        self.ready.trigger()
