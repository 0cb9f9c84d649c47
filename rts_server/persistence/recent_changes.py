"""The rooms and members that changed in the last minutes: what is repaired after a break (D5)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from rts_server import keys
from rts_server.domain.changes import Changes
from rts_server.persistence.scripts import Script, ScriptCall
from rts_server.redis_client.pipeline import CommandPipe, by_slot, channels_of, results_of

_NOTE = Script(Path(__file__).with_name("recent_note.lua"))
_READ = Script(Path(__file__).with_name("recent_read.lua"))
_KEYS = [keys.recent(partition) for partition in range(keys.PARTITIONS)]

KEPT_MS = 120_000
"""How long a change is kept. After a longer break everything is compared."""
CHANGES_MARGIN_SECONDS = 1.0
"""So much further back is looked than the caller counts: what Redis does takes time."""


class RecentChanges:
    """Changes by partition, with the clock of Redis (R9). All methods raise RedisError.

    The relay notes a change before it publishes it for the last time. So whoever has all its
    channels again, and then reads, finds it here or hears it.
    """

    def __init__(self, redis: Redis | CommandPipe) -> None:
        self._redis = redis

    async def note(
        self, rooms: Iterable[str] = (), memberships: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Note rooms, and memberships as (room id, user id)."""
        members: dict[int, list[str]] = defaultdict(list)
        for room_id in rooms:
            members[keys.partition(room_id)].append(room_id)
        for room_id, user_id in memberships:
            members[keys.partition(room_id)].append(f"{room_id} {user_id}")
        calls: list[ScriptCall] = []
        for partitions in by_slot(self._redis, members, keys.recent):
            args: list[str | int] = [KEPT_MS]
            for partition in partitions:
                args += [len(members[partition]), *members[partition]]
            calls.append(([keys.recent(one) for one in partitions], args))
        await _NOTE.evaluate_many(self._redis, calls)

    async def since(
        self, seconds: float, partitions: Iterable[int] | None = None
    ) -> Changes | None:
        """Return what changed in the last seconds; None if that is not known.

        `partitions`: of the rooms, None for all.

        It is known while all relays keep it, and for `KEPT_MS`. A relay that is away publishes
        what it did not note once it is back.
        """
        reach_ms = 1000 * (seconds + CHANGES_MARGIN_SECONDS)
        if reach_ms > KEPT_MS:
            return None
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        if not await self._is_kept():
            return None
        names = _KEYS if partitions is None else map(keys.recent, partitions)
        calls: list[ScriptCall] = [
            (some, [round(reach_ms)]) for some in by_slot(self._redis, names, str)
        ]
        replies = await _READ.evaluate_many(self._redis, calls)
        # The script counts back from when it runs. If that was late, it did not reach far enough.
        if (late := loop.time() - asked_at) > CHANGES_MARGIN_SECONDS:
            return await self.since(seconds + late, partitions)
        return _changes(seconds, chain.from_iterable(replies))

    async def _is_kept(self) -> bool:
        """Return whether all relays keep it; there is no cluster with a relay that does not."""
        if channels_of(self._redis).sharded:
            return True
        (relays,) = await results_of(self._redis, [("ZRANGE", keys.RELAYS, 0, -1)])
        return all(name.decode().endswith(keys.KEEPS_RECENT) for name in relays)


def _changes(seconds: float, members: Iterable[Any]) -> Changes:
    rooms: set[str] = set()
    users: dict[str, set[str]] = defaultdict(set)
    for member in members:
        room_id, _, user_id = member.decode().partition(" ")
        if user_id:
            users[user_id].add(room_id)
        else:
            rooms.add(room_id)
    return Changes(seconds, rooms, dict(users))
