"""Who is gone: users of instances that fell silent, and users whose grace is over."""

from __future__ import annotations

import asyncio
import random

from redis.asyncio import Redis

from rts_server import metrics
from rts_server.config import Settings, ms
from rts_server.presence.instance_lease import InstanceLease
from rts_server.presence.scripts import call, presence_script
from rts_server.runtime.loops import forever

_SWEEP = presence_script("sweep.lua")

MOST = 200
"""Users in one call: nobody else waits long for Redis."""


class LeaseSweep:
    """Every instance sweeps; whoever comes first tells."""

    def __init__(self, settings: Settings, redis: Redis, lease: InstanceLease) -> None:
        self._redis, self._lease = redis, lease
        self._every = settings.presence_sweep
        self._times = ms(settings.presence_lease), ms(settings.presence_grace)

    async def run(self) -> None:
        """Until cancelled. Instances drift apart, so that their sweeps do not meet."""
        await forever("presence sweep", self._sweep)

    async def _sweep(self) -> None:
        await asyncio.sleep(self._every * random.uniform(0.9, 1.0))
        await self._lease.registered.wait()
        while await self.once():
            pass

    async def once(self) -> bool:
        """One call; whether there is more to do."""
        lease = self._lease
        state, told, more = await _SWEEP.run(
            self._redis, *call(lease.instance, lease.token, *self._times, MOST)
        )
        metrics.OFFLINE.inc(told)
        if state != b"ok":
            lease.doubt()
            return False
        return bool(more)
