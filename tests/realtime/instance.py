"""The subscriptions of one instance as app.py connects them, without sockets."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis

from rts_server.config import Settings
from rts_server.domain.changes import Changes
from rts_server.engine.packets import Encoded
from rts_server.persistence.recent_changes import RecentChanges
from rts_server.realtime.listener import Listener
from rts_server.realtime.subscription_handlers import SubscriptionHandlers
from rts_server.realtime.subscriptions import Subscriptions
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.redis_client.servers import RedisServers
from rts_server.views.snapshots import SnapshotReader
from tests.helpers import waiting

LINGER = 0.03


class Instance:
    """Subscriptions and the listeners behind them."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis | CommandPipe,
        servers: RedisServers | None = None,
    ) -> None:
        self.notices: list[bytes] = []
        self.changes: list[tuple[str, str, str]] = []
        self.left: list[set[str]] = []
        self._changes = waiting.Changes()
        self.until, self.notify = self._changes.until, self._changes.notify
        self.reads = SnapshotReader(redis)
        self.compare: Callable[[str], Awaitable[None]] | None = None
        self.missed: list[Changes | None] = []
        handlers = SubscriptionHandlers(
            on_notices=self.notices.append,
            on_left=self.left.append,
            room_added=self._added,
            room_removed=self._removed,
            rooms_changed=self._compare,
            changes_since=RecentChanges(redis).since,
            on_missed=self._miss,
        )
        self.subscriptions = Subscriptions(
            settings, redis, self.reads, instance_id="me", handlers=handlers, servers=servers
        )

    def _miss(self, changes: Changes | None) -> None:
        self.missed.append(changes)
        self._changes.notify()

    async def _compare(self, user_id: str) -> str:
        if self.compare is not None:
            await self.compare(user_id)
        return "7 complete"

    async def _added(self, listener: Listener, room_id: str) -> None:
        self.changes.append(("added", listener.user_id, room_id))
        self._changes.notify()

    async def _removed(self, listener: Listener, room_id: str) -> None:
        self.changes.append(("removed", listener.user_id, room_id))
        self._changes.notify()

    def socket(self, user_id: str) -> tuple[Listener, list[dict[str, Any]]]:
        """A listener, and the events written to it."""
        events: list[dict[str, Any]] = []

        def write(packet: Encoded) -> None:
            events.append(json.loads(packet.data.removeprefix("2/chat,"))[1])
            self._changes.notify()

        listener = Listener(user_id, write, write)
        listener.ready.trigger()
        return listener, events


def seqs(events: list[dict[str, Any]]) -> list[int]:
    """The seqs of the messages among events."""
    return [e["data"]["message"]["seq"] for e in events if e["type"] == "message.new"]
