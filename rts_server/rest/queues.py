"""Queues, for operators."""

from __future__ import annotations

from typing import Any

from rts_server.auth import Identity
from rts_server.persistence.backlog import Backlog
from rts_server.protocol import answers, requests
from rts_server.rest.routes import Asked, route


class QueueRoutes:
    """What waits, and what was given up."""

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog

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
