"""Presence on this instance, by groups of users with leases, counts and sweeps of their own.

One Redis has one group. On a cluster each is in a slot, and what is away takes its own users along.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import keys
from rts_server.config import Settings
from rts_server.presence.connection_counts import ConnectionCounts
from rts_server.presence.instance_lease import InstanceLease
from rts_server.presence.presences import PresenceStore
from rts_server.presence.scripts import UNKNOWN, PresenceState, groups_of
from rts_server.presence.sweep import LeaseSweep
from rts_server.redis_client.pipeline import CommandPipe


@dataclass(frozen=True)
class PresenceGroup:
    """What this instance has of one group."""

    lease: InstanceLease
    counts: ConnectionCounts
    store: PresenceStore
    sweep: LeaseSweep

    async def run_forever(self) -> None:
        """Renew the lease, count and sweep until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for one in (self.lease, self.counts, self.sweep):
                tasks.create_task(one.run_forever())


class PresenceGroups:
    """The groups, each user in one of them."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis | CommandPipe,
        origin: str,
        about: Callable[[], Mapping[str, object]],
        *,
        on_gained: Callable[[InstanceLease, Callable[[str], bool]], None],
        on_lost: Callable[[list[str]], None],
        on_counted: Callable[[str, list[str], int], None] = lambda user_id, here, everywhere: None,
    ) -> None:
        """`about` describes the instance, in the first group.

        `on_gained` is called with each lease that begins, and whom it concerns; `on_lost` with the
        connections of the users of one that was lost. `on_counted`: see `ConnectionCounts`.
        """
        self._on_gained, self._on_lost = on_gained, on_lost
        self._groups: list[PresenceGroup] = []
        for number, group in enumerate(groups_of(redis)):
            lease = InstanceLease(
                settings,
                redis,
                origin,
                None if number else about,
                group=group,
                on_gained=partial(self._gained, number),
                on_lost=partial(self._lost, number),
            )
            counts = ConnectionCounts(settings, redis, lease, on_counted)
            store = PresenceStore(settings, redis, lease, counts)
            sweep = LeaseSweep(settings, redis, lease)
            self._groups.append(PresenceGroup(lease, counts, store, sweep))
        self.counts = CountsByGroup(self._groups)
        self.store = StoreByGroup(self._groups)

    def __iter__(self) -> Iterator[PresenceGroup]:
        return iter(self._groups)

    @property
    def instance(self) -> str:
        """The name under which operators see this instance: of its lease in the first group."""
        return self._groups[0].lease.instance

    async def leave(self) -> None:
        """Report the end of our connections, then give up the leases. Raises RedisError."""
        await _each(map(self._leave, self._groups))

    async def _leave(self, group: PresenceGroup) -> None:
        await group.counts.flush()
        await group.lease.leave()

    def _gained(self, number: int) -> None:
        """Announce the users of the group."""
        self._groups[number].counts.announce_all()
        count = len(self._groups)
        self._on_gained(
            self._groups[number].lease,
            lambda user_id: keys.presence_group(user_id, count) == number,
        )

    def _lost(self, number: int) -> None:
        self._on_lost(self._groups[number].counts.forget())


def _of(groups: Sequence[PresenceGroup], user_id: str) -> PresenceGroup:
    return groups[keys.presence_group(user_id, len(groups))]


class CountsByGroup:
    """The connections of all users on this instance; see `ConnectionCounts`."""

    def __init__(self, groups: Sequence[PresenceGroup]) -> None:
        self._groups = groups

    @property
    def connections(self) -> int:
        """The connections of all users on this instance."""
        return sum(group.counts.connections for group in self._groups)

    def entered(self, user_id: str, connection: str) -> None:
        """Count a new connection of a user."""
        _of(self._groups, user_id).counts.entered(user_id, connection)

    def left(self, user_id: str, connection: str) -> None:
        """Count a connection that ended."""
        _of(self._groups, user_id).counts.left(user_id, connection)

    def here(self, user_id: str) -> list[str]:
        """Return the user's connections on this instance, oldest first."""
        return _of(self._groups, user_id).counts.here(user_id)

    def recount(self, user_id: str) -> None:
        """Write the user's number again, so that `on_counted` is called."""
        _of(self._groups, user_id).counts.recount(user_id)


class StoreByGroup:
    """The presence of all users; see `PresenceStore`. All methods raise RedisError.

    Of a group that is away nothing is known; it fails those who ask for no other.
    """

    def __init__(self, groups: Sequence[PresenceGroup]) -> None:
        self._groups = groups

    async def read(self, user_ids: Iterable[str]) -> dict[str, PresenceState]:
        """Return the presence of each user; unknown users are offline."""
        users = list(user_ids)
        known = await self.read_known(users)
        return {user_id: known.get(user_id) or UNKNOWN for user_id in users}

    async def read_known(self, user_ids: Iterable[str]) -> dict[str, PresenceState | None]:
        """As `read`, but None for users that Redis may have lost a moment ago (E3).

        Users of a group that is away are left out.
        """
        users: dict[int, list[str]] = {}
        for user_id in user_ids:
            number = keys.presence_group(user_id, len(self._groups))
            users.setdefault(number, []).append(user_id)
        found = await _some(self._groups[n].store.read_known(part) for n, part in users.items())
        return {user_id: state for part in found for user_id, state in part.items()}

    async def recent(self, seconds: float) -> set[str] | None:
        """Return who was announced in the last seconds; None if that is not known of all."""
        found = await _some(group.store.recent(seconds) for group in self._groups)
        if len(found) < len(self._groups) or None in found:
            return None
        return {user_id for users in found for user_id in users}

    async def set_state(self, user_id: str, state: str | None, text: str | None) -> PresenceState:
        """Set online or away and a status text; see `PresenceStore`."""
        return await _of(self._groups, user_id).store.set_state(user_id, state, text)

    async def forget(self, user_id: str) -> bool:
        """Delete the entry of a user and announce them as offline; return whether there was one."""
        return await _of(self._groups, user_id).store.forget(user_id)


async def _some(work: Iterable[Any]) -> list[Any]:
    """Return the results of those that succeed. Raises the first RedisError if none does."""
    results = await asyncio.gather(*work, return_exceptions=True)
    found = [one for one in results if not isinstance(one, BaseException)]
    for one in results:
        if isinstance(one, BaseException) and not (
            found and isinstance(one, (RedisError, OSError))
        ):
            raise one
    return found


async def _each(work: Iterable[Any]) -> None:
    """Do all; then raise the first error among them."""
    for one in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(one, BaseException):
            raise one
