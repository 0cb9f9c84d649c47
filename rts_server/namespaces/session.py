"""The state of one connection in one namespace."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from rts_server.auth import Identity
from rts_server.engine.frames import Frame
from rts_server.engine.outgoing import OutgoingQueue
from rts_server.runtime.deadline import Deadline
from rts_server.runtime.lazy_event import LazyEvent


@dataclass(eq=False, slots=True)
class QueuedCommand:
    """A command that waits for its turn, or for the durability of what it appended.

    Attributes:
        frame: The packet of the client.
        received_at: Loop time at which it arrived.
        acked: Whether it was answered with `accepted`, before its durability was known.
    """

    frame: Frame
    received_at: float
    acked: bool = False


@dataclass(eq=False, slots=True)
class Session:
    """One connection in one namespace. Its commands are executed one at a time, in order.

    What only a busy session needs (`queue`, `worker`) is made for its first command and dropped
    after its last one: most sessions are idle most of the time.

    Attributes:
        sid: The id of python-socketio.
        eio_sid: The id of the Engine.IO connection, shared by all namespaces.
        identity: The newest token's user.
        cursors: Room id → (epoch, offset) up to which the client has the room; until it is open.
        receipts: Room id → (read_seq, delivered_seq) that the client repeats; until it is open.
        session_id: The id in `session.ready` and in the log.
        out: The packets of the connection.
        ready: Set when commands may be executed; in `/chat`, when `session.ready` is written.
        opening: The task that opens the session, while it does.
        unanswered: Commands that were queued and have no ack yet.
        all_answered: Exists while the session is draining; set when nothing is unanswered.
        paced_until: Loop time until which a command waits for its rate.
        unavailable: Whether the last command was refused as unavailable.
        connected: Whether the CONNECT packet was sent.
    """

    sid: str
    eio_sid: str
    identity: Identity
    cursors: dict[str, tuple[int, int]]
    receipts: dict[str, tuple[int, int]]
    session_id: str
    out: OutgoingQueue
    queue: deque[QueuedCommand] | None = None
    worker: asyncio.Task[None] | None = None
    deadline: Deadline = field(default_factory=Deadline)
    ready: LazyEvent = field(default_factory=LazyEvent)
    opening: asyncio.Task[None] | None = None
    unanswered: int = 0
    paced_until: float = 0.0
    all_answered: asyncio.Event | None = None
    unavailable: bool = False
    connected: bool = False
    closed: bool = False

    def forget_cursors(self) -> None:
        """Drop what the client sent of each room: it is of no further use in an open session."""
        self.cursors, self.receipts = {}, {}

    @property
    def user_id(self) -> str:
        """The user the session belongs to."""
        return self.identity.user_id

    @property
    def log_context(self) -> dict[str, str]:
        """The fields that identify the session in log lines."""
        return {"session_id": self.session_id, "user_id": self.user_id}
