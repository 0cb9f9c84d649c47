"""What every namespace does: authenticate, take commands in order, validate, answer once."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Iterable
from functools import cache
from math import ceil
from typing import Any, ClassVar

import socketio
from marshmallow import ValidationError
from redis.exceptions import RedisError
from socketio.exceptions import ConnectionRefusedError as Refused

from rts_server import errors, metrics
from rts_server.config import Settings
from rts_server.emf import TROUBLE
from rts_server.engine import frames
from rts_server.engine.frames import Frame
from rts_server.engine.packets import ack_packet
from rts_server.engine.server import Server
from rts_server.namespaces.answer import Answer, DurableAnswer, Handler, command
from rts_server.namespaces.charges import Charge, charges, commands
from rts_server.namespaces.connections import Connections
from rts_server.namespaces.cursors import read_cursors
from rts_server.namespaces.session import QueuedCommand, Session
from rts_server.protocol.commands import AuthRefresh, Command
from rts_server.protocol.event import rfc3339
from rts_server.runtime.tasks import Tasks
from rts_server.runtime.throttled_log import ThrottledLog
from rts_server.views.inbox import InboxReader

log = logging.getLogger(__name__)

MOST_WAITING = 1_000
"""Commands in one connection's line; beyond it they are refused at once."""

_counted = cache(metrics.COMMANDS.labels)
_timed = cache(metrics.COMMAND_SECONDS.labels)
"""Label sets are few and a look-up costs a µs, so each is bound once."""

ITS_OWN_FAULT = frozenset(
    {"bad_request", "invalid_param", "message_too_large", "unsupported_type", "rate_limited"}
)
"""Codes of refusals that no decent client collects by the hundred."""
WORK_SHARE = 0.9
"""Of a command's deadline; the rest is kept for the ack itself."""


class Namespace(socketio.AsyncNamespace):  # type: ignore[misc]
    """An allow-list of commands. Nothing a client names can reach anything but these."""

    commands: ClassVar[dict[str, tuple[Handler, Command]]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        named = [*vars(Namespace).values(), *vars(cls).values()]
        marked = [m for m in named if hasattr(m, "__command__")]
        cls.commands = {m.__command__[0]: (m, m.__command__[1]) for m in marked}

    def __init__(
        self,
        name: str,
        settings: Settings,
        server: Server,
        connections: Connections,
        inboxes: InboxReader,
    ) -> None:
        super().__init__(name)
        self._inboxes = inboxes
        self._connections = connections
        self._settings = settings
        self._server = server
        self._sessions: dict[str, Session] = {}
        self._connected = metrics.CONNECTIONS.labels(name)
        self._tasks = Tasks()
        self._throttled_log = ThrottledLog(log)

    # Coming and going

    async def trigger_event(self, event: str, *args: Any) -> Any:
        """Lifecycle only, from the library's own path; a TypeError would make it call twice."""
        try:
            if event == "connect":
                sid, _, given = args
                await self._connections.may_be_judged()
                await self._authenticate(sid, given["auth"])
            elif event == "disconnect":
                self._disconnected(args[0])
        except Refused:
            raise
        except Exception as error:
            if not isinstance(error, errors.Unavailable):
                log.exception("%s failed", event)
            if event == "connect":  # a CONNECT_ERROR is final for a client; this may pass
                self._server.abort(self._server.manager.eio_sid_from_sid(args[0], self.namespace))
                return False
            return None

    async def _authenticate(self, sid: str, given: dict[str, Any]) -> None:
        """Raises Refused for what another try cannot mend, Unavailable for what it may."""
        eio_sid = self._server.manager.eio_sid_from_sid(sid, self.namespace)
        cursors = read_cursors(given.get("cursors"), self._settings.limits.cursor_rooms)
        try:
            identity = await self._connections.tokens.identity(given.get("token"))
            session_id = self._connections.enter(eio_sid, self.namespace, identity)
        except errors.Unavailable:
            raise
        except errors.Refusal as refusal:
            raise Refused(refusal.message, {"code": refusal.code}) from None
        out = self._server.outgoing(eio_sid)
        self._sessions[sid] = Session(sid, eio_sid, identity, *cursors, session_id, out)

    def connected(self, sid: str) -> None:
        """The CONNECT packet is out: open the session. Commands wait until it is open."""
        session = self._sessions[sid]
        self._connected.inc()
        session.connected = True
        session.opening = self._tasks.keep(self._open(session))

    async def _open(self, session: Session) -> None:
        try:
            await self.opened(session)
        except Exception:
            log.exception("session could not be opened", extra=session.named)
            self._server.abort(session.eio_sid)
            return
        session.ready.set()
        session.opening = None

    async def opened(self, session: Session) -> None:
        """What a namespace does before commands are taken."""

    def closed(self, session: Session) -> None:
        """What a namespace does when a session is gone. Must not wait."""

    def _disconnected(self, sid: str) -> None:
        session = self._sessions.pop(sid, None)
        if session is None:
            return
        session.closed = True
        self._connections.leave(session.eio_sid, self.namespace)
        if session.connected:
            self._connected.dec()
        if session.opening is not None:
            session.opening.cancel()
        self.closed(session)

    async def finish(self, eio_sid: str) -> None:
        """Refuse what a connection asks from now on; return when all before is answered."""
        sid = self._server.manager.sid_from_eio_sid(eio_sid, self.namespace)
        session = self._sessions.get(sid) if sid else None
        if session is not None:
            session.last_answer = asyncio.Event()
            if session.unanswered:
                await session.last_answer.wait()

    async def close(self) -> None:
        """End everything that runs for sessions."""
        await self._tasks.close()

    # Commands

    @command("auth.refresh", AuthRefresh)
    async def auth_refresh(self, session: Session, asked: dict[str, Any]) -> Answer:
        """A newer token of the same user: the connection lives as long as it."""
        identity = await self._connections.tokens.identity(asked["token"])
        session.identity = self._connections.present(session.eio_sid, identity)
        return {"expires_at": rfc3339(session.identity.expires_at)}

    async def _must_be_in(self, session: Session, room_id: str) -> None:
        if not await self._is_in(session, room_id):
            raise errors.NotFound()

    async def _is_in(self, session: Session, room_id: str) -> bool:
        """The connection's own set, then the index: not there is not_found, at one cost."""
        if room_id in self._connections.rooms(session.eio_sid):
            return True
        return await self._inboxes.is_member(session.user_id, room_id)

    def receive(self, sid: str, frame: Frame) -> None:
        """Put a command into the line of its connection."""
        session = self._sessions.get(sid)
        if session is None:
            metrics.DROPPED.labels("no_session").inc()
            return
        if session.line is None:
            session.line = deque()
        if len(session.line) >= MOST_WAITING:
            self._answer(session, frame, errors.RateLimited(retry_after_ms=1000))
            return
        if session.last_answer is not None:
            draining = errors.Unavailable("This instance is draining.", retry_after_ms=1000)
            self._answer(session, frame, draining)
            return
        session.unanswered += 1
        self._server.begun(session.eio_sid)
        session.line.append(QueuedCommand(frame, self._now()))
        if session.worker is None or session.worker.done():
            session.worker = self._tasks.keep(self._work(session))

    async def _work(self, session: Session) -> None:
        """Apply the commands of one connection in order; waiting for durability is elsewhere."""
        while session.line:
            asked = session.line.popleft()
            answer = await self._in_time(session, asked)
            if isinstance(answer, errors.Refusal):
                self._answer(session, asked.frame, answer, asked.at)
                await asyncio.sleep(0)  # a line of what is refused at once is not everybody's wait
            elif not isinstance(answer, DurableAnswer):
                self._answer(session, asked.frame, answer, asked.at)
            elif answer.fate.done():
                self._answer_fate(session, asked, answer)
            else:
                self._answer_when_durable(session, asked, answer)
        session.line = session.worker = None  # a connection at rest keeps nothing

    async def _in_time(self, session: Session, asked: QueuedCommand) -> Answer | errors.Refusal:
        """What is late already does not begin: those before it in the line took all its time."""
        until, deadline = self._until(asked), session.deadline
        if until <= self._now():
            return self._too_late(session)
        deadline.begin(until)
        try:
            if not session.ready.is_set():
                await session.ready.wait()
            answer = await self._apply(session, asked.frame)
        except asyncio.CancelledError:
            if not deadline.end():
                raise
            return self._too_late(session)
        deadline.end()
        return answer

    def _until(self, asked: QueuedCommand) -> float:
        """When the work of a command must be over, in loop time."""
        return asked.at + self._settings.command_deadline * WORK_SHARE

    @staticmethod
    def _too_late(session: Session) -> errors.Refusal:
        return errors.Timeout() if session.ready.is_set() else errors.Unavailable()

    async def _apply(self, session: Session, frame: Frame) -> Answer | errors.Refusal:
        try:
            limited = self._connections.limited
            if limited and (refused := await self._pay(session, [commands(session)])) is not None:
                return refused
            handler, data = self._parse(frame)
            if limited:
                heard = self._connections.rooms(session.eio_sid)
                cost = charges(frame.data[0], session, data, heard)
                if (refused := await self._pay(session, cost)) is not None:
                    return refused
            return await handler(self, session, data)
        except errors.Refusal as refusal:
            return refusal
        except ValidationError as error:
            return errors.InvalidParam(details=errors.details(error.messages))
        except (RedisError, OSError):
            return errors.Unavailable()
        except Exception:
            request_id = secrets.token_hex(8)
            log.exception(
                "command failed", extra={"request_id": request_id, **_told(session, frame)}
            )
            return errors.Internal(details={"request_id": request_id})

    def _parse(self, frame: Frame) -> tuple[Handler, dict[str, Any]]:
        """The handler and its valid payload. Raises BadRequest, ValidationError."""
        if frame.type == frames.BINARY_EVENT:
            raise errors.UnsupportedType("Binary packets are not supported.")
        if frame.large:
            raise errors.MessageTooLarge("The frame is too large.")
        if frame.broken or not isinstance(frame.data, list) or not frame.data:
            raise errors.BadRequest("Not an event with a name and one object.")
        name, *rest = frame.data
        known = self.commands.get(name) if isinstance(name, str) else None
        if known is None:
            raise errors.BadRequest("Unknown event.")
        if len(rest) > 1 or not all(isinstance(item, dict) for item in rest):
            raise errors.BadRequest("The payload is one object.")
        handler, schema = known
        return handler, schema.load(rest[0] if rest else {})

    async def _pay(
        self, session: Session, charged: Iterable[Charge]
    ) -> Answer | errors.Refusal | None:
        """Charge a command, and wait where it may; its answer when it is too fast."""
        for rate, key, cost, patience in charged:
            wait = self._connections.buckets.take(rate, key, self._now(), cost, patience)
            if wait > patience:
                metrics.LIMITED.labels(rate).inc()
                refusal = errors.RateLimited(retry_after_ms=ceil(wait * 1000))
                return await self.too_fast(rate, session, refusal)
            if wait:
                await asyncio.sleep(wait)
        return None

    async def too_fast(
        self, rate: str, session: Session, refusal: errors.RateLimited
    ) -> Answer | errors.Refusal:
        """What a command above a rate is answered."""
        return refusal

    def _answer_when_durable(
        self, session: Session, asked: QueuedCommand, answer: DurableAnswer
    ) -> None:
        """With its fate, or after a while without: then the fate is told later."""
        patience = max(0.0, min(self._settings.durable_wait, self._until(asked) - self._now()))
        loop = asyncio.get_running_loop()
        timer = loop.call_later(patience, self._accept, session, asked, answer)

        def known(fate: asyncio.Future[str]) -> None:
            timer.cancel()
            if not asked.accepted:
                self._answer_fate(session, asked, answer)
            elif answer.late:
                self._tasks.keep(answer.late(fate.result()))

        answer.fate.add_done_callback(known)

    def _accept(self, session: Session, asked: QueuedCommand, answer: DurableAnswer) -> None:
        asked.accepted = True
        self._answer(session, asked.frame, answer.told("accepted"), asked.at)

    def _answer_fate(self, session: Session, asked: QueuedCommand, answer: DurableAnswer) -> None:
        fate = answer.fate.result()
        told = answer.failed if fate == "failed" else answer.told(fate)
        self._answer(session, asked.frame, told, asked.at)

    def _answer(
        self,
        session: Session,
        frame: Frame,
        answer: dict[str, Any] | errors.Refusal,
        at: float | None = None,
    ) -> None:
        """The one ack of a command, and its line in the metrics."""
        name = self._metric_name(frame)
        code = answer.code if isinstance(answer, errors.Refusal) else "ok"
        _counted(name, code).inc()
        if code in ITS_OWN_FAULT:
            self._connections.erred(session.eio_sid)
        if at is not None:
            session.unanswered -= 1
            self._server.ended(session.eio_sid)
            if session.last_answer is not None and not session.unanswered:
                session.last_answer.set()
            took = self._now() - at
            _timed(name).observe(took)
            if log.isEnabledFor(logging.DEBUG):
                ms = round(took * 1000, 1)
                log.debug(name, extra={"code": code, "ms": ms, **_told(session, frame, answer)})
        if code in TROUBLE:
            self._throttled_log.warning(f"{name} is answered {code}", code, **_told(session, frame))
        if frame.ack_id is None:
            return
        body = (
            {"ok": False, "error": answer.as_error()}
            if isinstance(answer, errors.Refusal)
            else {"ok": True, "data": answer}
        )
        session.out.write(ack_packet(self.namespace, frame.ack_id, body))

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _metric_name(self, frame: Frame) -> str:
        """Names of the catalogue only: a stranger must not invent labels."""
        data = frame.data
        named = isinstance(data, list) and data and isinstance(data[0], str)
        return data[0] if named and data[0] in self.commands else "unknown"


def _told(session: Session, frame: Frame, answer: object = None) -> dict[str, Any]:
    """The ids of a command for the log: whose it is, and what the answer names if it was valid."""
    told: dict[str, Any] = dict(session.named)
    if isinstance(answer, dict):
        asked = frame.data[1] if isinstance(frame.data, list) and len(frame.data) > 1 else {}
        for name in ("room_id", "message_id"):
            value = answer.get(name) or asked.get(name)
            if isinstance(value, str):
                told[name] = value
    return told
