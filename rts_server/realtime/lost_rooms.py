"""Rooms that Redis lost while they have listeners: those who missed events get `sync.reset`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from rts_server import keys
from rts_server.realtime.room_feed import RoomFeed
from rts_server.realtime.sequence import Position

log = logging.getLogger(__name__)

ROOMS_PER_RECOVERY = 200
"""Rooms that are compared at once."""


class Losses(Protocol):
    """The recovery of rooms after a loss of Redis."""

    async def generations(self) -> Sequence[str]:
        """The memory of Redis per partition: another one after every loss."""

    async def recover(self, stands: Mapping[str, set[Position]]) -> set[str]:
        """Per room where its listeners are; a room that stands elsewhere is loaded, so that its
        `room.epoch` tells them. Those rooms of which this could be said."""


class LostRooms:
    """Finds them by the generation of each partition: a lost head cannot show what was missed."""

    def __init__(
        self, rooms: Mapping[str, RoomFeed], losses: Losses | None, keep: Callable[[Any], Any]
    ) -> None:
        """`rooms` is the live mapping of the rooms that are subscribed to."""
        self._losses = losses
        self._rooms = rooms
        self._keep = keep
        self._generations: Sequence[str] = ()
        self._lost: dict[str, None] = {}
        self._busy = False

    async def check(self) -> None:
        """Every room of a partition that is another one now is compared, until that is done."""
        if self._losses is None:
            return
        found = await self._losses.generations()
        before, self._generations = self._generations or found, found
        changed = {part for part, was in enumerate(before) if was != found[part]}
        if changed:
            self._lost |= dict.fromkeys(r for r in self._rooms if keys.partition(r) in changed)
        if self._lost and not self._busy:
            self._busy = True
            self._keep(self._recover(self._losses))

    async def _recover(self, losses: Losses) -> None:
        """What cannot be compared now is at the next check. A room lost once more meanwhile is in
        `_lost` again."""
        later: dict[str, None] = {}
        try:
            while self._lost:
                part = [
                    self._lost.popitem()[0] for _ in range(min(ROOMS_PER_RECOVERY, len(self._lost)))
                ]
                later |= dict.fromkeys(part)
                stands = {r: self._rooms[r].listener_positions() for r in part if r in self._rooms}
                for room_id in await losses.recover(stands):
                    del later[room_id]
        except Exception as error:
            log.warning(
                "comparison failed, will be repeated", extra={"error": type(error).__name__}
            )
        finally:
            self._lost |= {room_id: None for room_id in later if room_id in self._rooms}
            self._busy = False
