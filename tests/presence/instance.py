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
from rts_server.presence.connection_counts import ConnectionCounts
from rts_server.presence.instance_lease import InstanceLease
from rts_server.presence.presences import PresenceStore
from rts_server.presence.sweep import LeaseSweep
from rts_server.presence.watches import PresenceWatches, SessionWatch
from rts_server.realtime.subscriber import Subscriber
from rts_server.runtime.tasks import Tasks

TIMES: dict[str, Any] = {
    "presence_lease": 1.0,
    "presence_sweep": 0.1,
    "presence_grace": 0.5,
}


class Instance:
    """`friends`: pairs of users who share a room; `written`: (watcher, user, state).

    `missed`: what the watches are told that a break has hidden.
    """

    def __init__(
        self, redis: Redis, url: str, origin: str, friends: set[frozenset[str]], **times: Any
    ) -> None:
        settings = Settings(redis_url=url, **TIMES | times)
        self.friends = friends
        self.written: list[tuple[str, str, str]] = []
        self.missed: Changes | None = None
        self.lost = 0
        self.counted: list[int] = []
        self.lease = InstanceLease(
            settings,
            redis,
            origin,
            lambda: {"connections": 0},
            on_gained=self._gained,
            on_lost=self._lost,
        )
        self.online = ConnectionCounts(settings, redis, self.lease, self._counted)
        self.presences = PresenceStore(settings, redis, self.lease, self.online)
        self.subscriber = Subscriber(url, self._on_publish, self._resumed)
        self.watches = PresenceWatches(self.subscriber, self.presences, self._share_room)
        self.sweep = LeaseSweep(settings, redis, self.lease)
        self.tasks = Tasks()

    async def __aenter__(self) -> Self:
        self.subscriber.start()
        self.resume()
        await self.lease.registered.wait()
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
        for part in (self.lease, self.online, self.sweep):
            self.tasks.keep(part.run_forever())

    async def stop(self) -> None:
        """Stop them without any report: as SIGSTOP and SIGKILL look to other instances."""
        await self.tasks.close()

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

    def _gained(self) -> None:
        self.online.announce_all()
        self.watches.check_soon(self.lease.complete_at - asyncio.get_running_loop().time())

    def _counted(self, user_id: str, here: list[str], everywhere: int) -> None:
        self.counted.append(everywhere)

    def _lost(self) -> None:
        self.lost += 1
        self.online.forget()


Start = Callable[..., Any]
