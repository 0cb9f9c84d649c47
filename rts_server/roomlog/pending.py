"""Appends whose durability is not known yet, and which a room's next append must follow."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal

from rts_server.roomlog.request import AppendRequest, AppendResult

Durability = Literal["queued", "stored", "failed"]
"""`queued`: in SQS. `stored`: in DynamoDB. `failed`: it can never be stored."""

Recorded = Literal["pending", "queued", "failed", "lost"]
"""The durability of an append as Redis has it: see durability.lua."""


@dataclass(eq=False, slots=True)
class PendingAppend:
    """One append whose durability is not known yet.

    Attributes:
        request, result: those of its last replay, if Redis lost it.
        durability: resolves once.
        unqueued: its outbox entries that are not known to be in the queue.
        polls: how often Redis was asked for it since it was (re)appended.
        next_poll: loop time of the next poll.
        started: loop time at which it was accepted.
        busy: something works on it already; polls leave it alone.
        status_claimed: somebody sends, or has sent, `message.status` for it.
        first_position: (epoch, offset) of its first append, which ranks it among lost ones (D3).
        missing_since: loop time since which what it is about is missing; 0 if it is there.
        on_success: its durability once all its entries are queued or stored.
        held_bytes: the memory it holds, once it is late; 0 before.
    """

    request: AppendRequest
    result: AppendResult
    durability: asyncio.Future[Durability]
    unqueued: set[str]
    polls: int = 0
    next_poll: float = 0.0
    started: float = 0.0
    busy: bool = False
    status_claimed: bool = False
    first_position: tuple[int, int] = (0, 0)
    missing_since: float = 0.0
    on_success: Durability = "queued"
    held_bytes: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """(room_id, request_id)."""
        return self.request.room_id, self.request.request_id


@dataclass(slots=True)
class _PendingRoom:
    verified_epoch: int
    pending: dict[PendingAppend, None] = field(default_factory=dict)


class PendingByRoom:
    """The appends of this instance that are not known to be queued, per room.

    If a room's epoch is above its verified epoch, some of them may be lost; they must be replayed
    before anything new is appended (D3).
    """

    def __init__(self) -> None:
        self._rooms: dict[str, _PendingRoom] = {}

    def add(self, pending: PendingAppend) -> None:
        """Add an append that is in the log and not known to be queued."""
        epoch = pending.result.epoch
        room = self._rooms.get(pending.request.room_id)
        if room is None:
            room = self._rooms[pending.request.room_id] = _PendingRoom(epoch)
        elif epoch < room.verified_epoch:
            room.verified_epoch = epoch
        room.pending[pending] = None

    def discard(self, pending: PendingAppend) -> None:
        """Remove an append that is queued or never will be."""
        room_id = pending.request.room_id
        room = self._rooms.get(room_id)
        if room is not None:
            room.pending.pop(pending, None)
            if not room.pending:
                del self._rooms[room_id]

    def verified_epoch(self, room_id: str) -> int:
        """The last epoch known to have every pending append of the room; 0 if none is pending."""
        room = self._rooms.get(room_id)
        return 0 if room is None else room.verified_epoch

    def mark_verified(self, room_id: str, epoch: int) -> None:
        """Everything appended below this epoch is queued, in the outbox, or replayed."""
        room = self._rooms.get(room_id)
        if room is not None:
            room.verified_epoch = max(room.verified_epoch, epoch)

    def of(self, room_id: str) -> list[PendingAppend]:
        """The room's pending appends in the order in which they were first appended."""
        room = self._rooms.get(room_id)
        return [] if room is None else sorted(room.pending, key=lambda one: one.first_position)
