"""So many connections a user may have at once, on all instances together."""

from __future__ import annotations

import asyncio
import logging

from rts_server import metrics
from rts_server.adapter.everywhere import Everywhere
from rts_server.engine.server import Server
from rts_server.presence.online import Online

log = logging.getLogger(__name__)

ON_TRIAL = 3
"""Connections of a user beyond the cap that wait here for what the others say; more are refused."""
ANSWER_WITHIN = 3.0
"""Seconds that the user's connections have to answer a ping."""
SETTLED_AFTER = 1.0
"""Seconds more until those who did not are out of the count, whichever instance had them."""


class Cap:
    """Who is silent goes, and only then the newest: a device in use outlives any number of others.

    A connection is new until it was counted and fitted. One that does not fit waits on trial while
    all connections of the user are pinged, on every instance; then it is counted once more.
    """

    def __init__(self, most: int, online: Online, server: Server, everywhere: Everywhere) -> None:
        self._most = most
        self._online = online
        self._server = server
        self._everywhere = everywhere
        self._new: dict[str, set[str]] = {}
        self._checking: set[str] = set()
        self._checked: set[str] = set()

    def entered(self, user_id: str, connection: str) -> None:
        """A connection began."""
        self._new.setdefault(user_id, set()).add(connection)

    def left(self, user_id: str, connection: str) -> None:
        """It ended."""
        if (new := self._new.get(user_id)) is not None:
            new.discard(connection)
            if not new:
                del self._new[user_id]

    def counted(self, user_id: str, here: list[str], everywhere: int) -> None:
        """Connections of a user: those of this instance that were counted, oldest first, and how
        many there are on all.
        """
        checked = user_id in self._checked
        self._checked.discard(user_id)
        new = self._new.get(user_id, ())
        waiting = [one for one in here if one in new]
        fitting = max(0, len(waiting) - max(0, everywhere - self._most))
        for one in waiting[:fitting]:
            self.left(user_id, one)
        beyond = waiting[fitting:]
        for one in beyond if checked else beyond[ON_TRIAL:]:
            self._refuse(user_id, one)
        if beyond and not checked and user_id not in self._checking:
            self._checking.add(user_id)
            self._server.eio.tasks.keep(self._check_all(user_id))

    def check(self, user_id: str) -> None:
        """Ping the user's connections here; who does not answer is lost. Never blocks."""
        for one in self._online.here(user_id):
            self._server.check(one, ANSWER_WITHIN)

    async def _check_all(self, user_id: str) -> None:
        self.check(user_id)
        try:
            await self._everywhere.check(user_id)
        except Exception as error:  # whatever it is: the user is counted again, or never fits
            log.warning("others are not asked", extra={"error": type(error).__name__})
        loop = asyncio.get_running_loop()
        loop.call_later(ANSWER_WITHIN + SETTLED_AFTER, self._count_again, user_id)

    def _count_again(self, user_id: str) -> None:
        self._checking.discard(user_id)
        self._checked.add(user_id)
        self._online.again(user_id)

    def _refuse(self, user_id: str, connection: str) -> None:
        metrics.LIMITED.labels("user_connections").inc()
        self.left(user_id, connection)
        self._online.left(
            user_id, connection
        )  # it counts no more, though its goodbye takes a while
        self._server.close(connection, "connection_limit")
