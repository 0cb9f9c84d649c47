"""Appends on their way, and which of them a room's next append must not overtake."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from rts_server.rooms.append import Append, Appended

Fate = str
"""`queued` and `stored` are good; `failed`: the archive could never take it."""


@dataclass(eq=False, slots=True)
class Pending:
    """One append on its way. `done` resolves once, with its fate.

    `request` and `appended` are those of its last repetition: a lost one has another place then.
    `heard`: the place where it was first, which ranks it among others that were lost. `good`: how
    it ends well. `left`: its entries that are not known to be queued. `held`: nobody asks for it,
    somebody works on it. `missing`: since when what it is about is not there (0: it is). `told`:
    its sender hears of the fate, or has.
    """

    request: Append
    appended: Appended
    done: asyncio.Future[Fate]
    left: set[str]
    asked: int = 0
    due: float = 0.0
    began: float = 0.0
    held: bool = False
    missing: float = 0.0
    told: bool = False
    heard: tuple[int, int] = (0, 0)
    good: Fate = "queued"

    @property
    def place(self) -> tuple[int, int]:
        """(epoch, offset) of its last event."""
        return self.appended.epoch, self.appended.offset


@dataclass(slots=True)
class _Line:
    since: int
    pending: dict[Pending, None] = field(default_factory=dict)


class Lines:
    """Of every room: the appends of this instance that are not known to be queued.

    If a room's epoch is above `since`, some of them may be lost, and come before anything new.
    """

    def __init__(self) -> None:
        self._rooms: dict[str, _Line] = {}

    def add(self, pending: Pending) -> None:
        """It is in the log, and in no queue as far as is known."""
        epoch = pending.appended.epoch
        line = self._rooms.get(pending.request.room_id)
        if line is None:
            line = self._rooms[pending.request.room_id] = _Line(epoch)
        elif epoch < line.since:
            line.since = epoch
        line.pending[pending] = None

    def discard(self, pending: Pending) -> None:
        """It is queued, or will never be."""
        room_id = pending.request.room_id
        line = self._rooms.get(room_id)
        if line is not None:
            line.pending.pop(pending, None)
            if not line.pending:
                del self._rooms[room_id]

    def since(self, room_id: str) -> int:
        """The epoch up to which nothing of the room is missed; 0: nothing is on its way."""
        line = self._rooms.get(room_id)
        return 0 if line is None else line.since

    def looked(self, room_id: str, epoch: int) -> None:
        """What an epoch below this one had is in the queue, in the outbox, or in again."""
        line = self._rooms.get(room_id)
        if line is not None:
            line.since = max(line.since, epoch)

    def of(self, room_id: str) -> list[Pending]:
        """The room's appends in the order they were heard in."""
        line = self._rooms.get(room_id)
        return [] if line is None else sorted(line.pending, key=lambda one: one.heard)
