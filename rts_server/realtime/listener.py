"""A session as the subscriptions see it: its user, its rooms, and how to write to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from rts_server.engine.packets import Encoded
from rts_server.runtime.lazy_event import LazyEvent


@dataclass(eq=False, slots=True)
class Listener:
    """A session of `/chat`.

    Attributes:
        write: Writes a packet, which listeners may share. Never blocks.
        write_droppable: Writes a packet that is dropped if the reader is slow.
        namespaces: The namespaces of the connection; it gets ephemeral events of these only.
        rooms: The rooms the connection is subscribed to.
        ready: Set when `session.ready` is written; `room.added` and `room.removed` wait for it.
        changing: Held while a room is added or removed: one at a time, in order.
    """

    user_id: str
    write: Callable[[Encoded], None]
    write_droppable: Callable[[Encoded], object]
    namespaces: set[str] = field(default_factory=lambda: {"/chat"})
    rooms: set[str] = field(default_factory=set)
    ready: LazyEvent = field(default_factory=LazyEvent)
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    closed: bool = False
