"""Moves of cursors that an instance gathers, to make them with one script."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from rts_server.rooms.receipt_script import Cursors, MovedRoom


class ReceiptBatch:
    """The moves that go together. `done` has what became of each room, or an error of Redis.

    Of several moves of a member in a room the farthest cursors count.
    """

    def __init__(self) -> None:
        self.moves: dict[str, dict[str, Cursors]] = {}
        self.done: asyncio.Future[dict[str, MovedRoom]] = asyncio.get_running_loop().create_future()
        self.done.add_done_callback(_retrieved)  # there may be nobody left who waits for it

    def add(self, user_id: str, cursors: Mapping[str, Cursors]) -> None:
        """Add the moves of a user in some rooms."""
        for room_id, (read, delivered) in cursors.items():
            room = self.moves.setdefault(room_id, {})
            old_read, old_delivered = room.get(user_id, (0, 0))
            room[user_id] = (max(old_read, read), max(old_delivered, delivered))

    def publish(self, room_id: str) -> None:
        """Add a room whose moved cursors wait to be published."""
        self.moves.setdefault(room_id, {})


def _retrieved(done: asyncio.Future[dict[str, MovedRoom]]) -> None:
    if not done.cancelled():
        done.exception()
