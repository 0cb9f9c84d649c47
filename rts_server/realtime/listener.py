"""One socket as the adapter sees it: whose it is, what it hears, and how to write to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from rts_server.engine.packets import Encoded
from rts_server.runtime.lazy_event import LazyEvent


@dataclass(eq=False, slots=True)
class Listener:
    """A session on `/chat`. `write` never blocks; a packet may be shared between listeners; `spare`
    drops the packet where the reader is slow.

    `namespaces`: those its connection has joined, which may hear ephemeral events of theirs.
    `greeted`: `session.ready` is written, rooms may come and go, one at a time (`changing`).
    """

    user_id: str
    write: Callable[[Encoded], None]
    spare: Callable[[Encoded], object]
    namespaces: set[str] = field(default_factory=lambda: {"/chat"})
    rooms: set[str] = field(default_factory=set)
    greeted: LazyEvent = field(default_factory=LazyEvent)
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    closed: bool = False
