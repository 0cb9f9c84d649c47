"""The base of all namespaces: it authenticates connections, opens sessions, dispatches commands."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import socketio
from socketio.exceptions import ConnectionRefusedError

from rts_server import errors, metrics
from rts_server.config import Settings
from rts_server.engine.frames import Frame
from rts_server.engine.server import Server
from rts_server.namespaces.answer import Answer, Handler, command
from rts_server.namespaces.connections import Connections
from rts_server.namespaces.cursors import read_cursors
from rts_server.namespaces.dispatcher import Dispatcher
from rts_server.namespaces.session import Session
from rts_server.protocol.commands import AuthRefreshSchema, InputSchema
from rts_server.protocol.event import rfc3339
from rts_server.runtime.tasks import Tasks
from rts_server.types.commands import (
    AuthRefreshPayload,
)
from rts_server.views.inbox import InboxReader
from rts_server.views.user_memberships import UserMemberships

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NamespaceContext:
    """The collaborators that all namespaces share.

    `instrument` wraps each handler (command name, handler → handler), for tracing.
    """

    settings: Settings
    server: Server
    connections: Connections
    inboxes: InboxReader
    memberships: UserMemberships
    instrument: Callable[[str, Handler], Handler] | None = None


class Namespace(socketio.AsyncNamespace):  # type: ignore[misc]
    """A namespace with an allow-list of commands: a client can reach nothing else.

    A subclass marks its handlers with `@command`.
    """

    commands: ClassVar[dict[str, tuple[Handler, InputSchema]]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        members = [*vars(Namespace).values(), *vars(cls).values()]
        marked = [m for m in members if hasattr(m, "__command__")]
        cls.commands = {m.__command__[0]: (m, m.__command__[1]) for m in marked}

    def __init__(self, name: str, context: NamespaceContext) -> None:
        super().__init__(name)
        self._settings = context.settings
        self._server = context.server
        self._connections = context.connections
        self._inboxes = context.inboxes
        self._user_memberships = context.memberships
        self._sessions: dict[str, Session] = {}
        self._open_sessions = metrics.CONNECTIONS.labels(name)
        self._tasks = Tasks()
        self._dispatcher = Dispatcher(
            name,
            context.settings,
            server=context.server,
            connections=context.connections,
            commands=_instrumented(self.commands, context.instrument),
            execute=lambda handler, session, payload: handler(self, session, payload),
            on_rate_limited=self.rate_limited,
        )

    # Hooks of subclasses

    async def opened(self, session: Session) -> None:
        """Prepare a session; its commands wait until this returns."""

    def closed(self, session: Session) -> None:
        """Release what belongs to a session that ended. Must not block."""

    async def rate_limited(
        self, rate: str, session: Session, refusal: errors.RateLimited
    ) -> Answer | errors.Refusal:
        """Return the answer to a command that exceeds the rate of this name."""
        return refusal

    # Connecting and disconnecting

    async def trigger_event(self, event: str, *args: Any) -> Any:
        """Handle python-socketio's `connect` and `disconnect`; events of clients never come here.

        A TypeError must not leave this method: the library would call it a second time.
        """
        try:
            if event == "connect":
                sid, _, environ = args
                # A revoked token must not get in because this instance has just started (A3).
                await self._connections.revocations_loaded()
                await self._authenticate(sid, environ["auth"])
            elif event == "disconnect":
                self._disconnected(args[0])
        except ConnectionRefusedError:
            raise
        except Exception as error:
            if not isinstance(error, errors.Unavailable):
                log.exception("%s failed", event)
            if event == "connect":
                # The client gives up after a CONNECT_ERROR but retries after a lost connection.
                self._server.abort(self._server.manager.eio_sid_from_sid(args[0], self.namespace))
                return False
            return None

    async def _authenticate(self, sid: str, auth: dict[str, Any]) -> None:
        """Create the session of a valid token.

        Raises:
            ConnectionRefusedError: Another attempt with the same token cannot succeed.
            Unavailable: It may.
        """
        eio_sid = self._server.manager.eio_sid_from_sid(sid, self.namespace)
        cursors = read_cursors(auth.get("cursors"), self._settings.limits.cursor_rooms)
        try:
            with self._connections.tokens.refusals_logged():
                identity = await self._connections.tokens.identity(auth.get("token"))
                session_id = self._connections.enter(eio_sid, self.namespace, identity)
        except errors.Unavailable:
            raise
        except errors.Refusal as refusal:
            raise ConnectionRefusedError(refusal.message, {"code": refusal.code}) from None
        out = self._server.outgoing(eio_sid)
        self._sessions[sid] = Session(sid, eio_sid, identity, *cursors, session_id, out)

    def connected(self, sid: str) -> None:
        """Open the session. Called when the CONNECT packet is written, so nothing precedes it."""
        session = self._sessions[sid]
        self._open_sessions.inc()
        session.connected = True
        session.opening = self._tasks.keep(self._open(session))

    async def _open(self, session: Session) -> None:
        try:
            await self.opened(session)
        except Exception:
            log.exception("session could not be opened", extra=session.log_context)
            self._server.abort(session.eio_sid)
            return
        session.ready.trigger()
        session.opening = None

    def _disconnected(self, sid: str) -> None:
        session = self._sessions.pop(sid, None)
        if session is None:
            return
        session.closed = True
        self._connections.leave(session.eio_sid, self.namespace)
        if session.connected:
            self._open_sessions.dec()
        if session.opening is not None:
            session.opening.cancel()
        self.closed(session)

    async def finish(self, eio_sid: str) -> None:
        """Refuse further commands of a connection; return when all before are answered."""
        sid = self._server.manager.sid_from_eio_sid(eio_sid, self.namespace)
        session = self._sessions.get(sid) if sid else None
        if session is not None:
            await self._dispatcher.drain(session)

    async def close(self) -> None:
        """Cancel all work of the namespace."""
        await self._tasks.close()
        await self._dispatcher.close()

    # Commands

    def receive(self, sid: str, frame: Frame) -> None:
        """Take a command from the engine. Never blocks."""
        session = self._sessions.get(sid)
        if session is None:
            metrics.DROPPED.labels("no_session").inc()
            return
        self._dispatcher.receive(session, frame)

    @command("auth.refresh", AuthRefreshSchema)
    async def auth_refresh(self, session: Session, payload: AuthRefreshPayload) -> Answer:
        """Replace the token of the connection by a newer one of the same user."""
        with self._connections.tokens.refusals_logged():
            identity = await self._connections.tokens.identity(payload["token"])
            session.identity = self._connections.update_token(session.eio_sid, identity)
        return {"expires_at": rfc3339(session.identity.expires_at)}

    async def _require_member(self, session: Session, room_id: str) -> None:
        """Raise NotFound for a room that does not exist or is not the user's, alike (A4)."""
        if not await self._is_member(session, room_id):
            raise errors.NotFound()

    async def _is_member(self, session: Session, room_id: str) -> bool:
        """Check the connection's rooms, then the user's room index.

        A room that does not exist takes as long as a room of others: time reveals nothing (A4).
        """
        if room_id in self._connections.rooms(session.eio_sid):
            return True
        return await self._user_memberships.is_member(session.user_id, room_id)


def _instrumented(
    commands: dict[str, tuple[Handler, InputSchema]],
    instrument: Callable[[str, Handler], Handler] | None,
) -> dict[str, tuple[Handler, InputSchema]]:
    if instrument is None:
        return commands
    return {
        name: (instrument(name, handler), schema) for name, (handler, schema) in commands.items()
    }
