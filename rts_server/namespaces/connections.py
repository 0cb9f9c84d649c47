"""Connections and the tokens they live by: one user each, closed a while after the token ends."""

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
from rts_server.presence.connection_counts import ConnectionCounts
from rts_server.rates import Buckets, parse
from rts_server.realtime.control_channel import ControlChannel

log = logging.getLogger(__name__)

LINES = 200
"""Connections per second whose end is logged."""
LONGEST = 86_400.0
"""Seconds that one timer may run; longer tokens are looked at again."""


@dataclass(slots=True)
class _Connection:
    identity: Identity
    session_id: str = field(default_factory=lambda: secrets.token_hex(8))
    since: float = field(default_factory=time.monotonic)
    namespaces: set[str] = field(default_factory=set)
    rooms: set[str] = field(default_factory=set)
    timer: asyncio.TimerHandle | None = None


class Connections:
    """By Engine.IO session: all namespaces of a connection share one user and one newest token.

    A user is online while one of his connections is in any namespace. `buckets`: what they and
    their users have taken, where rates are `limited`.
    """

    def __init__(
        self,
        settings: Settings,
        server: Server,
        online: ConnectionCounts,
        tokens: Tokens,
        revocations: Revocations,
        everywhere: ControlChannel,
    ) -> None:
        self.tokens = tokens
        self._grace = settings.expiry_grace
        self._revocations = revocations
        revocations.told = self.revoked
        self._server = server
        self._online = online
        self._known: dict[str, _Connection] = {}
        self.cap = ConnectionCap(settings.user_connections, online, server, everywhere)
        self.limited = settings.limited
        self.buckets = Buckets(parse(settings.rates))
        if settings.limited:
            online.counted = self.cap.counted
            server.eio.junk = self.erred
        self._flow = LineRate(LINES)

    def enter(self, eio_sid: str, namespace: str, identity: Identity) -> str:
        """A namespace was connected with a token; the connection's id, which is that of
        `session.ready` and of the log. Raises Forbidden for another user.
        """
        self.present(eio_sid, identity)
        known = self._known[eio_sid]
        known.namespaces.add(namespace)
        return known.session_id

    def namespaces(self, eio_sid: str) -> set[str]:
        """The namespaces a connection is in; the set changes with them."""
        return self._known[eio_sid].namespaces

    def rooms(self, eio_sid: str) -> set[str]:
        """The rooms a connection hears; empty outside `/chat`, and where it is gone."""
        known = self._known.get(eio_sid)
        return known.rooms if known else set()

    async def may_be_judged(self) -> None:
        """Wait for the first look at the revocations: nobody enters before."""
        if not self._revocations.known.is_set():
            await self._revocations.known.wait()

    def present(self, eio_sid: str, identity: Identity) -> Identity:
        """A token was shown; the identity that counts now.

        Raises Unauthorized for one that was revoked, Forbidden for another user.
        """
        self._revocations.check(identity)
        known = self._known.get(eio_sid)
        if known is None:
            known = self._known[eio_sid] = _Connection(identity)
            self._online.entered(identity.user_id, eio_sid)
            if self.limited:
                self.cap.entered(identity.user_id, eio_sid)
        elif known.identity.user_id != identity.user_id:
            raise errors.Forbidden("This connection belongs to another user.")
        elif identity.issued_at >= known.identity.issued_at:
            known.identity = identity
        self._arm(eio_sid, known)
        return known.identity

    def revoked(self, revoked: Revoked) -> None:
        """Close those who came with a token that is void now. Never blocks."""
        for eio_sid, known in list(self._known.items()):
            if known.identity.issued_at <= revoked.get(known.identity.user_id, -1):
                self._server.close(eio_sid, "revoked")

    def close(self, user_id: str, code: str) -> None:
        """Close every connection of a user. Never blocks."""
        for eio_sid, known in list(self._known.items()):
            if known.identity.user_id == user_id:
                self._server.close(eio_sid, code)

    def all(self) -> list[str]:
        """Every connection that is in a namespace."""
        return list(self._known)

    def leave(self, eio_sid: str, namespace: str) -> None:
        """A namespace was disconnected."""
        known = self._known.get(eio_sid)
        if known is None:
            return
        known.namespaces.discard(namespace)
        if not known.namespaces:
            del self._known[eio_sid]
            self._online.left(known.identity.user_id, eio_sid)
            self.cap.left(known.identity.user_id, eio_sid)
            if known.timer is not None:
                known.timer.cancel()
            self._tell(eio_sid, known)
            self._server.expect_connect(eio_sid)

    def _tell(self, eio_sid: str, known: _Connection) -> None:
        """A connection is one line of the log, at its end; `closed_as` if the server ended it."""
        if not self._flow.admits():
            return
        told = {
            "session_id": known.session_id,
            "user_id": known.identity.user_id,
            "seconds": round(time.monotonic() - known.since, 1),
            "closed_as": self._server.environ.get(eio_sid, {}).get(CLOSED_AS),
            "not_said": self._flow.left_out(),
        }
        log.info("connection ended", extra=told)

    def erred(self, eio_sid: str) -> None:
        """A connection did what only its own fault explains; again and again it is closed."""
        if self.limited and self.buckets.take("errors", eio_sid, asyncio.get_running_loop().time()):
            metrics.LIMITED.labels("errors").inc()
            self._server.close(eio_sid, "too_many_errors")

    def _arm(self, eio_sid: str, known: _Connection) -> None:
        if known.timer is not None:
            known.timer.cancel()
        left = min(known.identity.expires_at + self._grace - time.time(), LONGEST)
        loop = asyncio.get_running_loop()
        known.timer = loop.call_later(max(0.0, left), self._due, eio_sid)

    def _due(self, eio_sid: str) -> None:
        known = self._known.get(eio_sid)
        if known is None:
            return
        if time.time() < known.identity.expires_at + self._grace:
            self._arm(eio_sid, known)
        else:
            self._server.close(eio_sid, "token_expired")
