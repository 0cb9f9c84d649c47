"""The limit of connections a user may have at once, on all instances together."""

from __future__ import annotations

import asyncio
import logging

from rts_server import metrics
from rts_server.engine.server import Server
from rts_server.presence.connection_counts import Counts
from rts_server.realtime.control_channel import ControlChannel

log = logging.getLogger(__name__)

MAX_ON_TRIAL = 3
"""New connections above the limit that may wait here while the others are pinged."""
PONG_SECONDS = 3.0
"""Seconds within which the user's connections must answer a ping."""
COUNT_DELAY_SECONDS = 1.0
"""Seconds more until the counts of all instances lack the connections that did not answer."""


class ConnectionCap:
    """Closes dead connections of a user first and only then the newest: a device in use is safe.

    A connection is new until a count included it and the limit was kept. A new connection above the
    limit waits on trial while all connections of the user are pinged, on every instance; those that
    do not answer are dropped, and then the user is counted once more.
    """

    def __init__(
        self,
        most: int,
        connection_counts: Counts,
        server: Server,
        control_channel: ControlChannel,
    ) -> None:
        self._most = most
        self._counts = connection_counts
        self._server = server
        self._control_channel = control_channel
        self._new: dict[str, set[str]] = {}
        self._checking: set[str] = set()
        self._checked: set[str] = set()

    def entered(self, user_id: str, connection: str) -> None:
        """Note a new connection."""
        self._new.setdefault(user_id, set()).add(connection)

    def left(self, user_id: str, connection: str) -> None:
        """Note that a connection ended."""
        if (new := self._new.get(user_id)) is not None:
            new.discard(connection)
            if not new:
                del self._new[user_id]

    def counted(self, user_id: str, here: list[str], everywhere: int) -> None:
        """Judge the new connections of a user after a count.

        `here` are the counted connections of this instance, oldest first; `everywhere` is their
        number on all instances.
        """
        checked = user_id in self._checked
        self._checked.discard(user_id)
        new = self._new.get(user_id, ())
        waiting = [one for one in here if one in new]
        fitting = max(0, len(waiting) - max(0, everywhere - self._most))
        for one in waiting[:fitting]:
            self.left(user_id, one)
        beyond = waiting[fitting:]
        for one in beyond if checked else beyond[MAX_ON_TRIAL:]:
            self._refuse(user_id, one)
        if beyond and not checked and user_id not in self._checking:
            self._checking.add(user_id)
            self._server.eio.tasks.keep(self._check_all(user_id))

    def check(self, user_id: str) -> None:
        """Ping the user's connections here; those that do not answer are dropped. Never blocks."""
        for one in self._counts.here(user_id):
            self._server.check_alive(one, PONG_SECONDS)

    async def _check_all(self, user_id: str) -> None:
        self.check(user_id)
        try:
            await self._control_channel.check(user_id)
        except Exception as error:  # whatever it is: the user must be counted again
            log.warning(
                "other instances cannot be asked to ping", extra={"error": type(error).__name__}
            )
        loop = asyncio.get_running_loop()
        loop.call_later(PONG_SECONDS + COUNT_DELAY_SECONDS, self._count_again, user_id)

    def _count_again(self, user_id: str) -> None:
        self._checking.discard(user_id)
        self._checked.add(user_id)
        self._counts.recount(user_id)

    def _refuse(self, user_id: str, connection: str) -> None:
        metrics.LIMITED.labels("user_connections").inc()
        self.left(user_id, connection)
        # Uncounted at once, though closing takes a while: it must not push out the next one.
        self._counts.left(user_id, connection)
        self._server.close(connection, "connection_limit")
