"""The sweep: announces users as offline whose instance died or whose grace is over (E1)."""

from __future__ import annotations

import asyncio
import random

from redis.asyncio import Redis

from rts_server import metrics
from rts_server.config import Settings, ms
from rts_server.presence.instance_lease import InstanceLease
from rts_server.presence.scripts import presence_script, script_call
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.runtime.loops import repeat_forever

_SWEEP = presence_script("sweep.lua")

MAX_USERS_PER_CALL = 200
"""Users in one call of the script: it blocks Redis only briefly."""


class LeaseSweep:
    """Sweeps the group of a lease. Every instance does; the script announces each user once."""

    def __init__(
        self, settings: Settings, redis: Redis | CommandPipe, lease: InstanceLease
    ) -> None:
        self._redis, self._lease = redis, lease
        self._every = settings.presence_sweep
        self._times = ms(settings.presence_lease), ms(settings.presence_grace)

    async def run_forever(self) -> None:
        """Sweep until cancelled, with jitter so that instances do not sweep at the same time."""
        await repeat_forever("presence sweep", self._sweep)

    async def _sweep(self) -> None:
        await asyncio.sleep(self._every * random.uniform(0.9, 1.0))
        await self._lease.registered.wait()
        while await self.sweep_once():
            pass

    async def sweep_once(self) -> bool:
        """Call the script once; return whether there is more to do."""
        lease = self._lease
        state, announced, more = await _SWEEP.evaluate(
            self._redis,
            *script_call(
                self._redis,
                lease.group,
                lease.instance,
                lease.token,
                *self._times,
                MAX_USERS_PER_CALL,
            ),
        )
        metrics.OFFLINE.inc(announced)
        if state != b"ok":
            lease.invalidate()
            return False
        return bool(more)
