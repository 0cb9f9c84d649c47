"""A connection to one namespace: who it is, what it has asked, and whether it may speak yet."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from rts_server.auth import Identity
from rts_server.engine.frames import Frame
from rts_server.engine.outgoing import OutgoingQueue
from rts_server.runtime.deadline import Deadline
from rts_server.runtime.lazy_event import LazyEvent


@dataclass(eq=False, slots=True)
class QueuedCommand:
    """A command in the line of its connection; `at` in loop time. `accepted`: so it was answered,
    before it was known what becomes of it.
    """

    frame: Frame
    at: float
    accepted: bool = False


@dataclass(eq=False, slots=True)
class Session:
    """Commands of a session are applied one at a time, in the order of arrival."""

    sid: str
    eio_sid: str
    identity: Identity
    cursors: dict[str, tuple[int, int]]
    receipts: dict[str, tuple[int, int]]
    session_id: str
    out: OutgoingQueue
    line: deque[QueuedCommand] | None = None
    ready: LazyEvent = field(default_factory=LazyEvent)
    worker: asyncio.Task[None] | None = None
    deadline: Deadline = field(default_factory=Deadline)
    opening: asyncio.Task[None] | None = None
    unanswered: int = 0
    last_answer: asyncio.Event | None = None
    """Set when nothing is unanswered any more; while it is there no further command is taken."""
    connected: bool = False
    closed: bool = False

    @property
    def user_id(self) -> str:
        """Whose session it is."""
        return self.identity.user_id

    @property
    def named(self) -> dict[str, Any]:
        """What names it in the log."""
        return {"session_id": self.session_id, "user_id": self.user_id}
