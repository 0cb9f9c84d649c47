"""Queues, for operators."""

from __future__ import annotations

from rts_server.admin.replays import Replays
from rts_server.auth import Identity
from rts_server.protocol import operator_answers, requests
from rts_server.relay.queue_admin import QueueAdmin
from rts_server.rest.routes import route
from rts_server.types.operator_answers import (
    QuarantinedAnswer,
    QueuesAnswer,
    ReplayedAnswer,
)
from rts_server.types.requests import (
    GlanceRequest,
    PeekRequest,
    ReplayKeptRequest,
    ReplayRequest,
)


class QueueRoutes:
    """Queues, dead-letter queues (DLQ) and quarantined records."""

    def __init__(self, queue_admin: QueueAdmin, replays: Replays) -> None:
        self._queue_admin = queue_admin
        self._replays = replays

    @route("GET", "/v1/queues", operator_answers.QueuesSchema, query=requests.PeekSchema)
    async def all(self, operator: Identity, params: PeekRequest) -> QueuesAnswer:
        """Every queue with its counts, and positions of some records of the DLQs, without texts."""
        return {"queues": await self._queue_admin.queues(params["peek"])}

    @route(
        "POST", "/v1/queues/dlq:replay", operator_answers.ReplayedSchema, body=requests.ReplaySchema
    )
    async def replay(self, operator: Identity, params: ReplayRequest) -> ReplayedAnswer:
        """Put records of a DLQ back into its queue, in the order of each room.

        Replaying twice is harmless. Repeat the request while some are left.
        """
        replayed, left = await self._queue_admin.replay_dead_letters(
            params["queue"], params["limit"]
        )
        return {"replayed": replayed, "left": left}

    @route(
        "GET",
        "/v1/queues/quarantine",
        operator_answers.QuarantinedSchema,
        query=requests.GlanceSchema,
    )
    async def quarantined(self, operator: Identity, params: GlanceRequest) -> QuarantinedAnswer:
        """Records that a Lambda could never apply: their positions and reasons, without texts."""
        return {"records": await self._queue_admin.quarantined(params["limit"])}

    @route(
        "POST",
        "/v1/queues/quarantine:replay",
        operator_answers.ReplayedSchema,
        body=requests.ReplayKeptSchema,
    )
    async def replay_kept(self, operator: Identity, params: ReplayKeptRequest) -> ReplayedAnswer:
        """Replay quarantined records, in the order of each room.

        A message was reported as failed, so it is sent again as a new message of its sender, at the
        end of its room. Any other record goes back into its queue.
        """
        replayed, left = await self._replays.quarantined(params["limit"])
        return {"replayed": replayed, "left": left}
