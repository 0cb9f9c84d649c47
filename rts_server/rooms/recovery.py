"""Recovery after Redis lost data: finds and loads the rooms whose listeners missed events (D4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import NamedTuple

from redis.asyncio import Redis

from rts_server import errors, keys
from rts_server.domain.position import Position
from rts_server.persistence.archive import Archive
from rts_server.persistence.scripts import IDENTITY, Script
from rts_server.redis_client.pipeline import CommandPipe, channels_of, server_of
from rts_server.roomlog.drains import RoomDrains
from rts_server.roomlog.log import RoomLog
from rts_server.roomlog.rehydrate import last_position
from rts_server.views.snapshots import SnapshotReader

_GENERATION = Script(
    IDENTITY, *(IDENTITY.with_name(f"{name}.lua") for name in ("generation", "generation_read"))
)

RECOVERY_DRAIN_WAIT_SECONDS = 3.0
"""Seconds to wait until rooms are settled; the others are compared the next time."""
MAX_CONCURRENT_LOADS = 16
"""Rooms loaded at once. Only clients that missed something wait for them."""


class Sample(NamedTuple):
    """A partition by which its server is known: where it was, and its generation."""

    server: Hashable
    generation: bytes


class RoomRecovery:
    """Compares positions by reads only; loads a room if one of its listeners missed events."""

    def __init__(
        self,
        redis: Redis | CommandPipe,
        room_log: RoomLog,
        *,
        snapshots: SnapshotReader,
        archive: Archive,
        drains: RoomDrains,
    ) -> None:
        self._redis = redis
        self._snapshots = snapshots
        self._archive = archive
        self._drains = drains
        self._room_log = room_log
        self._known: dict[int, Sample] = {}
        self._loads = asyncio.Semaphore(MAX_CONCURRENT_LOADS)

    async def losses(self) -> Callable[[str], bool] | None:
        """Return which keys were in a Redis that lost its data since the last call; None: none.

        Raises RedisError if no server answers.
        """
        samples = self._samples()
        found = await asyncio.gather(
            *(self._generation(number) for number in samples.values()), return_exceptions=True
        )
        failures = [one for one in found if isinstance(one, BaseException)]
        if len(failures) == len(found):
            first, *_ = failures
            raise first
        before, self._known = self._known, {}
        lost: set[Hashable] = set()
        for (server, number), generation in zip(samples.items(), found, strict=True):
            known = before.get(number)
            if isinstance(generation, BaseException):  # away, and compared when it is back
                generation = known.generation if known else b""
            elif known and known.generation not in (generation, b""):
                lost.add(server)
            self._known[number] = Sample(server, generation)
        return (lambda key: server_of(self._redis, key) in lost) if lost else None

    def _samples(self) -> dict[Hashable, int]:
        """Return a partition of each server: it loses all of them or none.

        One that moved to another server has another generation there, and is not lost; so those
        come first by which the same server was known before.
        """
        if not channels_of(self._redis).sharded:
            return {server_of(self._redis, keys.generation(0)): 0}
        here = {number: self._server(number) for number in range(keys.PARTITIONS)}
        stayed = [number for number, one in self._known.items() if one.server == here[number]]
        found: dict[Hashable, int] = {}
        for number in (*stayed, *self._known, *here):
            found.setdefault(here[number], number)
        return found

    def _server(self, number: int) -> Hashable:
        return server_of(self._redis, keys.generation(number))

    async def _generation(self, number: int) -> bytes:
        """Return the generation of a partition, `identity born`."""
        found: bytes = await _GENERATION.evaluate(self._redis, [keys.generation(number)], ())
        return found

    async def recover(self, positions_of: Mapping[str, set[Position]]) -> set[str]:
        """Load the cold rooms whose archived position differs from that of a listener.

        `positions_of`: the positions of each room's listeners. Returns rooms that need no further
        look: warm ones (their listeners compare heads themselves), unchanged ones, loaded ones. The
        queue is drained before the archive is read, so that the archive is complete. Raises
        Unavailable.
        """
        warm = await self._snapshots.read_many([(room_id, ()) for room_id in positions_of])
        cold = [room_id for room_id, one in zip(positions_of, warm, strict=True) if one is None]
        settled = await self._drains.settled(cold, RECOVERY_DRAIN_WAIT_SECONDS)
        positions = await self._archived(settled)
        missed = [room_id for room_id in positions if positions_of[room_id] - {positions[room_id]}]
        loaded = await asyncio.gather(*map(self._load, missed))
        failed = {room_id for room_id, done in zip(missed, loaded, strict=True) if not done}
        return (positions_of.keys() - set(cold)) | (set(settled) - failed)

    async def _archived(self, room_ids: Iterable[str]) -> dict[str, Position]:
        """Positions of drained rooms; where members are not counted, also by their items."""
        stored = await self._archive.rooms(room_ids)
        positions = {room_id: room.position for room_id, room in stored.items()}
        uncounted = [room for room in stored.values() if room.member_count is None]
        members = await asyncio.gather(*(self._archive.members(one.room_id) for one in uncounted))
        for room, theirs in zip(uncounted, members, strict=True):
            positions[room.room_id] = last_position(room, theirs)
        return positions

    async def _load(self, room_id: str) -> bool:
        async with self._loads:
            try:
                await self._room_log.load_if_cold(room_id)
            except errors.Unavailable:
                return False
        return True
