"""Queues, for operators."""

from __future__ import annotations

from typing import Any

from rts_server.admin.replays import Replays
from rts_server.auth import Identity
from rts_server.protocol import answers, requests
from rts_server.relay.queue_admin import QueueAdmin
from rts_server.rest.routes import Asked, route


class QueueRoutes:
    """What waits, and what was given up."""

    def __init__(self, backlog: QueueAdmin, replays: Replays) -> None:
        self._backlog = backlog
        self._replays = replays

    @route("GET", "/v1/queues", answers.Queues, query=requests.Peek)
    async def all(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """Every queue with its counts; of the DLQs the positions of a few records, never a text."""
        return {"queues": await self._backlog.queues(asked["peek"])}

    @route("POST", "/v1/queues/dlq:replay", answers.Replayed, body=requests.Replay)
    async def replay(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """Put records of a DLQ back into its queue, in the order of each room.

        Replaying twice does no harm. Ask again while some are left.
        """
        replayed, left = await self._backlog.replay(asked["queue"], asked["limit"])
        return {"replayed": replayed, "left": left}

    @route("GET", "/v1/queues/quarantine", answers.Quarantined, query=requests.Glance)
    async def quarantined(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """Records that a Lambda could never apply: where they belong and why, never a text."""
        return {"records": await self._backlog.kept(asked["limit"])}

    @route("POST", "/v1/queues/quarantine:replay", answers.Replayed, body=requests.ReplayKept)
    async def replay_kept(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """Send them again, in the order of each room.

        A message was told as failed and comes as a new one of its sender, at the end of its room;
        any other record goes back into its queue.
        """
        replayed, left = await self._replays.quarantined(asked["limit"])
        return {"replayed": replayed, "left": left}
