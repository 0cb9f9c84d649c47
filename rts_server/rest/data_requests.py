"""Data requests of users, as the law requires: export and erasure."""

from __future__ import annotations

from collections.abc import AsyncIterator

from rts_server.admin.data_requests import DataRequests
from rts_server.auth import Identity
from rts_server.protocol import operator_answers
from rts_server.rest.routes import UserParams, route
from rts_server.types.operator_answers import ErasedLineAnswer, ExportLineAnswer


class PersonalRoutes:
    """Answers are streams of JSON lines. One without an `end` line broke off."""

    def __init__(self, data_requests: DataRequests) -> None:
        self._data_requests = data_requests

    @route("POST", "/v1/users/{user_id}:export", operator_answers.ExportLineSchema, lines=True)
    async def export(
        self, operator: Identity, params: UserParams
    ) -> AsyncIterator[ExportLineAnswer]:
        """Every membership, message and file of a user, in all rooms they are or were in."""
        return self._data_requests.export(params["user_id"])

    @route("POST", "/v1/users/{user_id}:erase", operator_answers.ErasedLineSchema, lines=True)
    async def erase(
        self, operator: Identity, params: UserParams
    ) -> AsyncIterator[ErasedLineAnswer]:
        """Remove a user from all rooms and erase their messages and files.

        Their reactions, files that no message cites and presence are erased too. One line for each
        thing erased; safe to repeat, also after it broke off.
        """
        return self._data_requests.erase(operator.user_id, params["user_id"])
