"""The presence of one instance as app.py connects it, without sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import orjson
from redis.asyncio import Redis

from rts_server import keys
from rts_server.config import Settings
from rts_server.domain.changes import Changes
from rts_server.engine.packets import Encoded
from rts_server.presence.instance_lease import InstanceLease
from rts_server.presence.presence_groups import PresenceGroups
from rts_server.presence.watches import PresenceWatches, SessionWatch
from rts_server.realtime.subscriber import Subscriber
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.runtime.tasks import Tasks

TIMES: dict[str, Any] = {
    "presence_lease": 1.0,
    "presence_sweep": 0.1,
    "presence_grace": 0.5,
}


class Instance:
    """`lease`, `online` and `sweep` are those of the first group, `users` counts in all groups.

    `friends`: pairs of users who share a room; `written`: (watcher, user, state).

    `missed`: what the watches are told that a break has hidden.
    """

    def __init__(
        self,
        redis: Redis | CommandPipe,
        url: str,
        origin: str,
        friends: set[frozenset[str]],
        **times: Any,
    ) -> None:
        settings = Settings(redis_url=url, **TIMES | times)
        self.friends = friends
        self.written: list[tuple[str, str, str]] = []
        self.missed: Changes | None = None
        self.lost = 0
        self.counted: list[int] = []
        self.groups = PresenceGroups(
            settings,
            redis,
            origin,
            lambda: {"connections": 0},
            on_gained=self._gained,
            on_lost=self._lost,
            on_counted=self._counted,
        )
        self.users, self.presences = self.groups.counts, self.groups.store
        first = next(iter(self.groups))
        self.lease, self.online, self.sweep = first.lease, first.counts, first.sweep
        self.subscriber = Subscriber(url, self._on_publish, self._resumed)
        self.watches = PresenceWatches(self.subscriber, self.presences, self._share_room)
        self.tasks = Tasks()

    async def __aenter__(self) -> Self:
        self.subscriber.start()
        self.resume()
        for group in self.groups:
            await group.lease.registered.wait()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.tasks.close()
        await self.watches.close()
        await self.subscriber.close()

    def resume(self) -> None:
        """Start all background loops."""
        for group in self.groups:
            self.tasks.keep(group.run_forever())

    async def stop(self) -> None:
        """Stop them without any report: as SIGSTOP and SIGKILL look to other instances."""
        await self.tasks.close()
        self.tasks = Tasks()

    def watcher(self, user_id: str) -> SessionWatch:
        """Return the watch of a new session of a user."""

        def write(packet: Encoded) -> bool:
            event = orjson.loads(packet.data.partition(",")[2])[1]
            self.written.append((user_id, event["data"]["user_id"], event["data"]["state"]))
            return True

        return SessionWatch(user_id, write)

    def states(self, user_id: str) -> list[str]:
        """Return the states that were written about a user, in order."""
        return [state for _, about, state in self.written if about == user_id]

    def _on_publish(self, channel: str, data: bytes) -> None:
        self.watches.on_publish(channel.removeprefix(keys.PRESENCE_CHANNELS), data)

    def _resumed(self) -> None:
        self.watches.on_resumed()
        self.watches.on_missed(self.missed)

    async def _share_room(self, user_id: str, others: list[str]) -> set[str]:
        return {o for o in others if o == user_id or frozenset((user_id, o)) in self.friends}

    def _gained(self, lease: InstanceLease, concerns: Callable[[str], bool]) -> None:
        seconds = lease.complete_at - asyncio.get_running_loop().time()
        self.watches.check_soon(seconds, concerns)

    def _counted(self, user_id: str, here: list[str], everywhere: int) -> None:
        self.counted.append(everywhere)

    def _lost(self, connections: list[str]) -> None:
        self.lost += 1


Start = Callable[..., Any]
