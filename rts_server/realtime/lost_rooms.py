"""Rooms that Redis lost while they have listeners: those who missed events get `sync.reset`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any, Protocol

from redis.exceptions import RedisError

from rts_server import keys
from rts_server.domain.position import Position
from rts_server.realtime.room_feed import RoomFeed
from rts_server.runtime.loops import repeat_forever

log = logging.getLogger(__name__)

ROOMS_PER_RECOVERY = 200
"""Rooms that one call compares."""


WasLost = Callable[[str], bool]
"""Whether a key was in a Redis that lost its data."""


class Recovery(Protocol):
    """The recovery of rooms after a loss of Redis."""

    async def losses(self) -> WasLost | None:
        """Return what was lost since the last call; None for nothing. Raises RedisError."""

    async def recover(self, positions_of: Mapping[str, set[Position]]) -> set[str]:
        """Compare rooms with the archive; return those that could be compared.

        `positions_of` are the positions of a room's listeners. A room with a listener at another
        position is loaded into Redis, so that its `room.epoch` is published and they get
        `sync.reset`.
        """


class LostRooms:
    """Finds rooms whose Redis lost its data: a lost head cannot be compared."""

    def __init__(
        self,
        rooms: Mapping[str, RoomFeed],
        recovery: Recovery | None,
        start_task: Callable[[Any], Any],
        *,
        interval: float,
        compare: Callable[[Collection[str]], Awaitable[None]],
        on_lost: Callable[[WasLost], None],
    ) -> None:
        """`rooms` is the live mapping of the rooms that are subscribed to.

        `interval` is the time between two checks in seconds. `compare` compares the heads of rooms,
        for those that are in Redis again. `on_lost` is called when data was lost.
        """
        self._recovery = recovery
        self._rooms = rooms
        self._start_task = start_task
        self._interval = interval
        self._compare, self._on_lost = compare, on_lost
        self._lost: dict[str, None] = {}
        self._busy = False

    async def run_forever(self) -> None:
        """Check regularly until cancelled."""
        await repeat_forever("check for a loss", self.check, partial(asyncio.sleep, self._interval))

    def check_soon(self) -> None:
        """Check at once. If that fails, the next check is the loop's."""
        self._start_task(self._try_check())

    async def _try_check(self) -> None:
        with contextlib.suppress(RedisError, OSError):
            await self.check()

    async def check(self) -> None:
        """Compare the rooms of a Redis that lost its data. Raises RedisError."""
        if self._recovery is None:
            return
        was_lost = await self._recovery.losses()
        if was_lost is not None:
            lost = (room_id for room_id in self._rooms if was_lost(keys.room(room_id).head))
            self._lost |= dict.fromkeys(lost)
            self._on_lost(was_lost)
        if self._lost and not self._busy:
            self._busy = True
            self._start_task(self._recover(self._recovery))

    async def _recover(self, recovery: Recovery) -> None:
        """Compare the lost rooms; those that cannot be compared wait for the next check.

        A room that is lost again meanwhile was added to `_lost` again, and is compared again.
        """
        later: dict[str, None] = {}
        try:
            while self._lost:
                batch = [
                    self._lost.popitem()[0] for _ in range(min(ROOMS_PER_RECOVERY, len(self._lost)))
                ]
                later |= dict.fromkeys(batch)
                positions = {
                    r: self._rooms[r].listener_positions() for r in batch if r in self._rooms
                }
                await self._compare(batch)
                for room_id in await recovery.recover(positions):
                    del later[room_id]
        except Exception as error:
            log.warning(
                "comparison failed, will be repeated", extra={"error": type(error).__name__}
            )
        finally:
            self._lost |= {room_id: None for room_id in later if room_id in self._rooms}
            self._busy = False
