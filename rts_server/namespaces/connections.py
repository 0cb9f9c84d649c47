"""The connections of this instance and their tokens: one user each, closed when the token ends."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass, field

from rts_server import errors, metrics
from rts_server.auth import Identity, Tokens
from rts_server.config import Settings
from rts_server.engine.server import CLOSED_AS, Server
from rts_server.logs import LineRate
from rts_server.namespaces.connection_cap import ConnectionCap
from rts_server.persistence.revocations import Revocations, Revoked
from rts_server.presence.connection_counts import Counts
from rts_server.rates import Buckets, parse
from rts_server.realtime.control_channel import ControlChannel
from rts_server.realtime.unread_count import UnreadCount
from rts_server.runtime.admission import Admission

log = logging.getLogger(__name__)

LOGGED_ENDS_PER_SECOND = 200
"""Connections per second whose end is logged."""
MAX_TIMER_SECONDS = 86_400.0
"""Seconds that one timer runs at most; for a token that lives longer it is armed again."""


@dataclass(slots=True)
class _Connection:
    identity: Identity
    session_id: str = field(default_factory=lambda: secrets.token_hex(8))
    since: float = field(default_factory=time.monotonic)
    namespaces: set[str] = field(default_factory=set)
    rooms: dict[str, UnreadCount] = field(default_factory=dict)
    timer: asyncio.Handle | None = None


class Connections:
    """The connections that are in a namespace, by their Engine.IO id.

    All namespaces of a connection share one user and one token, the newest that was sent. A user is
    online while one of their connections is in any namespace.

    Attributes:
        tokens: Verifies tokens.
        limited: Whether rates and the number of connections are limited.
        buckets: What connections and users have taken of the rates.
        cap: The limit of connections per user.
        admission: Bounds the commands in progress on this instance.
    """

    def __init__(
        self,
        settings: Settings,
        server: Server,
        *,
        connection_counts: Counts,
        tokens: Tokens,
        revocations: Revocations,
        control_channel: ControlChannel,
        admission: Admission,
    ) -> None:
        self.tokens = tokens
        self.admission = admission
        self._grace = settings.expiry_grace
        self._revocations = revocations
        self._server = server
        self._counts = connection_counts
        self._connections: dict[str, _Connection] = {}
        self._of_user: dict[str, set[str]] = {}
        self.cap = ConnectionCap(
            settings.user_connections, connection_counts, server, control_channel
        )
        self.limited = settings.limited
        self.buckets = Buckets(parse(settings.rates))
        self._logged_ends = LineRate(LOGGED_ENDS_PER_SECOND)

    def enter(self, eio_sid: str, namespace: str, identity: Identity) -> str:
        """Add a namespace to a connection; return the connection's id in `session.ready` and logs.

        Raises:
            Unauthorized: The token was revoked.
            Forbidden: The connection belongs to another user.
        """
        self.update_token(eio_sid, identity)
        connection = self._connections[eio_sid]
        connection.namespaces.add(namespace)
        return connection.session_id

    def namespaces(self, eio_sid: str) -> set[str]:
        """Return the live set of namespaces that a connection is in."""
        return self._connections[eio_sid].namespaces

    def rooms(self, eio_sid: str) -> dict[str, UnreadCount]:
        """Return the live unread counts of a connection by room id; empty outside `/chat`."""
        connection = self._connections.get(eio_sid)
        return connection.rooms if connection else {}

    async def revocations_loaded(self) -> None:
        """Wait until the revocations were loaded: before, no token can be trusted (A3)."""
        if not self._revocations.known.is_set():
            await self._revocations.known.wait()

    def update_token(self, eio_sid: str, identity: Identity) -> Identity:
        """Note a token that a connection sent; return the identity of its newest token.

        Raises:
            Unauthorized: The token was revoked.
            Forbidden: The connection belongs to another user.
        """
        self._revocations.check(identity)
        connection = self._connections.get(eio_sid)
        if connection is None:
            connection = self._connections[eio_sid] = _Connection(identity)
            self._of_user.setdefault(identity.user_id, set()).add(eio_sid)
            self._counts.entered(identity.user_id, eio_sid)
            if self.limited:
                self.cap.entered(identity.user_id, eio_sid)
        elif connection.identity.user_id != identity.user_id:
            reason = f"Must be {connection.identity.user_id}, as when the connection began."
            raise errors.Forbidden(
                "This connection belongs to another user.", details={"sub": [reason]}
            )
        elif identity.issued_at >= connection.identity.issued_at:
            connection.identity = identity
        self._arm(eio_sid, connection)
        return connection.identity

    def revoked(self, revoked: Revoked) -> None:
        """Close the connections whose token was revoked (A3). Never blocks."""
        for user_id in revoked.keys() & self._of_user.keys():
            for eio_sid in tuple(self._of_user[user_id]):
                if self._connections[eio_sid].identity.issued_at <= revoked[user_id]:
                    self._server.close(eio_sid, "revoked")

    def close(self, user_id: str, code: str) -> None:
        """Close every connection of a user with a reason of the protocol. Never blocks."""
        for eio_sid in tuple(self._of_user.get(user_id, ())):
            self._server.close(eio_sid, code)

    def eio_sids(self) -> list[str]:
        """Return the ids of all connections that are in a namespace."""
        return list(self._connections)

    def leave(self, eio_sid: str, namespace: str) -> None:
        """Remove a namespace from a connection; the last one ends it for its user."""
        connection = self._connections.get(eio_sid)
        if connection is None:
            return
        connection.namespaces.discard(namespace)
        if not connection.namespaces:
            del self._connections[eio_sid]
            self._forget_user(connection.identity.user_id, eio_sid)
            self._counts.left(connection.identity.user_id, eio_sid)
            self.cap.left(connection.identity.user_id, eio_sid)
            if connection.timer is not None:
                connection.timer.cancel()
            self._log_end(eio_sid, connection)
            self._server.abort_unless_connected(eio_sid)

    def _forget_user(self, user_id: str, eio_sid: str) -> None:
        left = self._of_user[user_id]
        left.discard(eio_sid)
        if not left:
            del self._of_user[user_id]

    def _log_end(self, eio_sid: str, connection: _Connection) -> None:
        """Log the end of a connection; `closed_as` is set if the server ended it."""
        if not self._logged_ends.admits():
            return
        context = {
            "session_id": connection.session_id,
            "user_id": connection.identity.user_id,
            "seconds": round(time.monotonic() - connection.since, 1),
            "closed_as": self._server.environ.get(eio_sid, {}).get(CLOSED_AS),
            "suppressed": self._logged_ends.left_out(),
        }
        log.info("connection ended", extra=context)

    def counted(self, user_id: str, here: list[str], everywhere: int) -> None:
        """Apply the limit of connections per user to new counts; see `ConnectionCap.counted`."""
        if self.limited:
            self.cap.counted(user_id, here, everywhere)

    def count_error(self, eio_sid: str) -> None:
        """Count an error that is the client's fault; too many close its connection (R2)."""
        if self.limited and self.buckets.take("errors", eio_sid, asyncio.get_running_loop().time()):
            metrics.LIMITED.labels("errors").inc()
            self._server.close(eio_sid, "too_many_errors")

    def _arm(self, eio_sid: str, connection: _Connection) -> None:
        if connection.timer is not None:
            connection.timer.cancel()
        left = min(connection.identity.expires_at + self._grace - time.time(), MAX_TIMER_SECONDS)
        loop = asyncio.get_running_loop()
        connection.timer = loop.call_later(max(0.0, left), self._due, eio_sid)

    def _due(self, eio_sid: str) -> None:
        connection = self._connections.get(eio_sid)
        if connection is None:
            return
        if time.time() < connection.identity.expires_at + self._grace:
            self._arm(eio_sid, connection)
        else:
            self._server.close(eio_sid, "token_expired")
