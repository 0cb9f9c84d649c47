"""Records commands, answers, events and faults, in seconds since the start of the run."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from tests.nemesis.plan import LOSSES

Json = dict[str, Any]
Position = tuple[int, int]
"""(epoch, offset)"""


@dataclass(eq=False)
class Session:
    """One connection of a device. `ready`: the data of session.ready, None if it never came."""

    number: int
    device: str
    user: str
    instance: int
    at: float
    cursors: dict[str, list[int]] = field(default_factory=dict)
    ready: Json | None = None
    ended: float | None = None


@dataclass(eq=False)
class Command:
    """One try of a command on one session, with all its answers."""

    session: Session
    event: str
    data: Json
    at: float
    answers: list[tuple[float, Json]] = field(default_factory=list)

    @property
    def ok(self) -> Json | None:
        """Return the data of the first answer, if it was ok."""
        answer = self.answer
        return answer.get("data", {}) if answer and answer["ok"] else None

    @property
    def answer(self) -> Json | None:
        """Return the first answer."""
        return self.answers[0][1] if self.answers else None

    @property
    def answered(self) -> float:
        """Return the time of the first answer; infinity if there was none."""
        return self.answers[0][0] if self.answers else float("inf")

    @property
    def room_id(self) -> str:
        """Return the room of the command, or an empty text."""
        return str(self.data.get("room_id", ""))


@dataclass(frozen=True)
class Heard:
    """One event as a device received it."""

    session: Session
    at: float
    event: Json

    @property
    def type(self) -> str:
        return str(self.event["type"])

    @property
    def room_id(self) -> str:
        return str(self.event.get("room_id", ""))

    @property
    def position(self) -> Position | None:
        """Return the position of a durable event."""
        return (self.event["epoch"], self.event["offset"]) if "offset" in self.event else None


@dataclass(eq=False)
class Trouble:
    """A fault, with its begin and end."""

    kind: str
    target: str
    began: float
    ended: float = float("inf")

    def overlap(self, began: float, ended: float) -> float:
        """Return the seconds by which a period overlaps the fault."""
        return max(0.0, min(self.ended, ended) - max(self.began, began))


@dataclass
class History:
    """Everything recorded, by time.

    `lags`: when this process was late, and by how much. `opened`: (room_id, epoch) → the last
    position before the epoch that survived, as the instance that opened it logged it: it may be
    that no device was live for its `room.epoch`.
    """

    sessions: list[Session] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    lags: list[tuple[float, float]] = field(default_factory=list)
    opened: dict[tuple[str, int], Position] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        return time.monotonic() - self.began

    def session(self, device: str, user: str, instance: int, cursors: Json) -> Session:
        """Record the attempt of a connection."""
        made = Session(len(self.sessions), device, user, instance, self.now(), cursors)
        self.sessions.append(made)
        return made

    def record_command(self, session: Session, event: str, data: Json) -> Command:
        """Record a command that is sent."""
        made = Command(session, event, data, self.now())
        self.commands.append(made)
        return made

    def hears(self, session: Session, event: Json) -> Heard:
        """Record an event."""
        if event["type"] == "session.ready":
            session.ready = event["data"]
        self.heard.append(made := Heard(session, self.now(), event))
        return made

    def broken(self, kind: str, target: str) -> Trouble:
        """Record the begin of a fault."""
        self.troubles.append(made := Trouble(kind, target, self.now()))
        return made

    def losses(self, since: float = 0.0) -> bool:
        """Return whether Redis lost data after this time."""
        return any(t.kind in LOSSES and t.ended >= since for t in self.troubles)


@dataclass
class Final:
    """The final state, after quiescence.

    `histories`: (room_id, instance) → all messages by seq, as message.list shows them.
    `rooms`: (room_id, user, instance) → room.get. `members`: room_id → users.
    `stored`: room_id → message ids with a place in chat-messages.
    `held`: (device, room_id) → (position, messages by id, room) of a device that stayed connected.
    """

    histories: dict[tuple[str, int], list[Json]] = field(default_factory=dict)
    rooms: dict[tuple[str, str, int], Json] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)
    stored: dict[str, list[str]] = field(default_factory=dict)
    held: dict[tuple[str, str], tuple[Position, dict[str, Json]]] = field(default_factory=dict)

    def messages(self, room_id: str) -> list[Json]:
        """Return a room's history as the first instance returned it."""
        return next((found for (one, _), found in self.histories.items() if one == room_id), [])


@dataclass(frozen=True)
class Violation:
    """A violation of a guarantee."""

    promise: str
    room_id: str
    text: str
    at: float | None = None
