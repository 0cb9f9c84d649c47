"""The presence of users: reading it, and setting one's own state and status text."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

from redis.asyncio import Redis

from rts_server.config import Settings, ms
from rts_server.presence.connection_counts import ConnectionCounts
from rts_server.presence.instance_lease import InstanceLease
from rts_server.presence.scripts import (
    UNKNOWN,
    PresenceState,
    parse_presence,
    presence_script,
    script_call,
)
from rts_server.redis_client.pipeline import CommandPipe, results_of, time_at

_READ = presence_script("read.lua")
_SET = presence_script("set.lua")
_FORGET = presence_script("forget.lua")

USERS_PER_CALL = 100
RECENT_SECONDS = 120.0
"""Time for which it is kept who was announced; sweep.lua has the same."""
RECENT_MARGIN_SECONDS = 1.0
"""So much further back is looked than the caller counts: what Redis does takes time."""


class UserPresences(Protocol):
    """The presence of users. All methods raise RedisError."""

    async def read(self, user_ids: Iterable[str]) -> dict[str, PresenceState]:
        """Return the presence of each user; unknown users are offline."""

    async def read_known(self, user_ids: Iterable[str]) -> dict[str, PresenceState | None]:
        """As `read`, but None for users that Redis may have lost a moment ago (E3).

        Users of whom nothing can be known now are left out.
        """

    async def recent(self, seconds: float) -> set[str] | None:
        """Return who was announced in the last seconds; None if that is not known any more."""

    async def set_state(self, user_id: str, state: str | None, text: str | None) -> PresenceState:
        """Set online or away and a status text ('' for none); None leaves either unchanged."""

    async def forget(self, user_id: str) -> bool:
        """Delete the entry of a user and announce them as offline; return whether there was one."""


class PresenceStore:
    """Reads and writes the entries of a group of users. All methods raise RedisError."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis | CommandPipe,
        lease: InstanceLease,
        online: ConnectionCounts,
    ) -> None:
        self._redis = redis
        self._lease, self._online = lease, online
        self._lease_ms = ms(settings.presence_lease)

    async def read(self, user_ids: Iterable[str]) -> dict[str, PresenceState]:
        """Return the presence of each user; unknown users are offline."""
        known = await self.read_known(user_ids)
        return {user_id: found or UNKNOWN for user_id, found in known.items()}

    async def read_known(self, user_ids: Iterable[str]) -> dict[str, PresenceState | None]:
        """As `read`, but None for users that Redis may have lost a moment ago (E3)."""
        users = list(dict.fromkeys(user_ids))
        found: dict[str, PresenceState | None] = {}
        for i in range(0, len(users), USERS_PER_CALL):
            part = users[i : i + USERS_PER_CALL]
            recent, *fields = await _READ.evaluate(
                self._redis, *script_call(self._redis, self._lease.group, self._lease_ms, *part)
            )
            for at, user_id in enumerate(part):
                found[user_id] = _read(fields[4 * at : 4 * at + 4], bool(recent))
        return found

    async def recent(self, seconds: float) -> set[str] | None:
        """Return who was announced in the last seconds; None if that is not known any more."""
        reach = seconds + RECENT_MARGIN_SECONDS
        if reach > RECENT_SECONDS:
            return None
        since = await time_at(self._redis, self._lease.group.recent) - ms(reach)
        asked = ("ZRANGEBYSCORE", self._lease.group.recent, since, "+inf")
        (found,) = await results_of(self._redis, [asked])
        return {user_id.decode() for user_id in found}

    async def set_state(self, user_id: str, state: str | None, text: str | None) -> PresenceState:
        """Set online or away and a status text ('' for none); None leaves either unchanged.

        It waits for the lease, and counts this connection before: a user without one is offline.
        """
        while True:
            await self._lease.registered.wait()
            await self._online.flush()
            lease = self._lease
            changes = (state or "", int(text is not None), text or "")
            answer = await _SET.evaluate(
                self._redis,
                *script_call(
                    self._redis, lease.group, lease.instance, lease.token, user_id, *changes
                ),
            )
            if answer[0] == b"ok":
                return parse_presence(*answer[1:])
            lease.invalidate()
            await asyncio.sleep(0)

    async def forget(self, user_id: str) -> bool:
        """Delete the entry of a user and announce them as offline; return whether there was one."""
        return bool(
            await _FORGET.evaluate(
                self._redis, *script_call(self._redis, self._lease.group, user_id)
            )
        )


def _read(fields: list[Any], recent: bool) -> PresenceState | None:
    state, last, text, v = fields
    if state:
        return parse_presence(state, last, text, v)
    return None if recent else PresenceState(v, "offline", last, text.decode())
