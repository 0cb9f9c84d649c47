"""The lease of this instance in Redis: its users count as connected while it is renewed (E1)."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from redis.asyncio import Redis

from rts_server import keys
from rts_server.config import Settings, ms
from rts_server.presence.scripts import presence_script, script_call
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.runtime.loops import repeat_forever

_LEASE = presence_script("lease.lua")
_LEAVE = presence_script("leave.lua")

RENEW_SHARE = 0.35
"""Share of the lease after which it is renewed."""

log = logging.getLogger(__name__)


class InstanceLease:
    """The lease, in one group of users. After others announced our users as offline, a new lease
    has another name.

    `instance` is the origin and a number that grows whenever the lease is lost; `token` identifies
    the data of Redis under which we registered. `on_lost` is called when others have announced our
    users as offline, `on_gained` whenever a lease begins: all users are to be counted under it.
    `complete_at` is in loop time: until then, a user whom Redis does not know may still be online.
    """

    def __init__(
        self,
        settings: Settings,
        redis: Redis | CommandPipe,
        origin: str,
        about: Callable[[], Mapping[str, object]] | None,
        *,
        group: keys.PresenceKeys = keys.PRESENCE,
        on_gained: Callable[[], None] = lambda: None,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._redis = redis
        self._origin, self._number = origin, 1
        self._seconds = settings.presence_lease
        self._about, self.group = about, group
        self._held = False
        self._invalidated = asyncio.Event()
        self.token = ""
        self.complete_at = 0.0
        self.registered = asyncio.Event()
        self._on_gained = on_gained
        self._on_lost = on_lost

    @property
    def instance(self) -> str:
        """The name of the lease."""
        return f"{self._origin}.{self._number}"

    def invalidate(self) -> None:
        """Renew at once: a script did not find our lease."""
        self.registered.clear()
        self._invalidated.set()

    async def run_forever(self) -> None:
        """Renew until cancelled; wait while Redis is away."""
        await repeat_forever("presence lease", self.renew, self._until_due)

    async def renew(self) -> None:
        """Renew once; a lost lease is replaced by a new one under the next name."""
        while True:
            state, token, recent = await _LEASE.evaluate(self._redis, *self._renewal_call())
            if state == b"ok":
                break
            if state == b"lapsed":
                log.error("lease lost", extra={"instance": self.instance})
                self._on_lost()
            self._number += bool(self.token)
            self._held, self.token = False, token.decode()
        self.complete_at = asyncio.get_running_loop().time() + recent / 1000
        self.registered.set()
        if not self._held:
            self._held = True
            self._on_gained()

    async def leave(self) -> None:
        """Give up the lease, after `run_forever` ended and our connections were reported."""
        if self._held:
            await _LEAVE.evaluate(
                self._redis, *script_call(self._redis, self.group, self.instance, self.token)
            )

    def _renewal_call(self) -> Any:
        about = orjson.dumps(self._about()).decode() if self._about else ""
        fresh = secrets.token_hex(8)
        begins = int(not self._held)
        return script_call(
            self._redis,
            self.group,
            self.instance,
            self.token,
            ms(self._seconds),
            begins,
            fresh,
            about,
        )

    async def _until_due(self) -> None:
        self._invalidated.clear()
        try:
            async with asyncio.timeout(self._seconds * RENEW_SHARE):
                await self._invalidated.wait()
        except TimeoutError:
            return
