"""What the law asks of operators: a user's data, told or taken away."""

from __future__ import annotations

from collections.abc import AsyncIterator

from rts_server.admin.data_requests import DataRequests
from rts_server.auth import Identity
from rts_server.protocol import answers
from rts_server.rest.routes import Asked, Line, route


class PersonalRoutes:
    """Line by line: there may be much of it. An answer without its `end` broke off."""

    def __init__(self, personal: DataRequests) -> None:
        self._personal = personal

    @route("POST", "/v1/users/{user_id}:export", answers.ExportLine, lines=True)
    async def export(self, operator: Identity, asked: Asked) -> AsyncIterator[Line]:
        """Every membership, message and file of a user, in all rooms he is or was in."""
        return self._personal.export(asked["user_id"])

    @route("POST", "/v1/users/{user_id}:erase", answers.ErasedLine, lines=True)
    async def erase(self, operator: Identity, asked: Asked) -> AsyncIterator[Line]:
        """Take a user out of all rooms and make each of his messages a tombstone, files included.

        His reactions go too, his files that no message cites, and how he was. A line for each that
        was done; safe to repeat, also where it broke off.
        """
        return self._personal.erase(operator.user_id, asked["user_id"])
