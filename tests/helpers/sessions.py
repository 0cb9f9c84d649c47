"""A session without a connection, for tests of parts that only need its state."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from rts_server.auth import Identity
from rts_server.engine import frames
from rts_server.engine.outgoing import OutgoingQueue
from rts_server.namespaces.session import QueuedCommand, Session


class Packets(OutgoingQueue):
    """Keeps the body of every ack that is written, by its id."""

    def __init__(self) -> None:
        super().__init__()
        self.acks: dict[int, dict[str, Any]] = {}

    def write(self, packet: Any) -> None:
        """Keep an ack; no id is answered twice (D10)."""
        number, _, body = packet.data.removeprefix("3/chat,").partition("[")
        assert int(number) not in self.acks
        self.acks[int(number)] = json.loads("[" + body)[0]


def session(*, ready: bool = True) -> tuple[Session, Packets]:
    """Return a session of alice and the packets written to it."""
    packets = Packets()
    made = Session("sid", "eio", Identity("alice", 0), {}, {}, "session", packets)
    if ready:
        made.ready.trigger()
    return made, packets


def queued(number: int = 0, text: str = '["unread.get",{}]', age: float = 0.0) -> QueuedCommand:
    """Return a command with an ack id that arrived `age` seconds ago."""
    frame = frames.parse(f"2/chat,{number}{text}")
    return QueuedCommand(frame, asyncio.get_running_loop().time() - age)
