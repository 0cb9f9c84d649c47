"""Takes a command from its packet to its ack.

receive → queue (order) → deadline → rate limits → schema → handler → ack, at once or when durable.
Each step is a class or function of its own; this module only connects them.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from math import ceil
from typing import Any, TypeVar

from marshmallow import ValidationError
from redis.exceptions import RedisError

from rts_server import errors, metrics
from rts_server.config import Settings
from rts_server.engine import frames
from rts_server.engine.frames import Frame
from rts_server.engine.server import Server
from rts_server.namespaces.ack_writer import AckWriter, log_context
from rts_server.namespaces.answer import Answer, Handler, LaterAnswer, PendingAnswer
from rts_server.namespaces.charges import Charge, charges, commands
from rts_server.namespaces.command_deadline import CommandDeadline
from rts_server.namespaces.command_queue import CommandQueue
from rts_server.namespaces.connections import Connections
from rts_server.namespaces.durable_acks import DurableAcks
from rts_server.namespaces.later_acks import LaterAcks
from rts_server.namespaces.overload_refusals import READS, OverloadRefusals
from rts_server.namespaces.session import QueuedCommand, Session
from rts_server.protocol.commands import InputSchema
from rts_server.runtime.admission import Admission

log = logging.getLogger(__name__)

Answered = TypeVar("Answered")
Execute = Callable[[Handler, Session, Any], Awaitable[Answer]]
OnRateLimited = Callable[[str, Session, errors.RateLimited], Awaitable[Answer | errors.Refusal]]


class Dispatcher:
    """Executes the commands of the sessions of one namespace and answers each exactly once (D10).

    `commands` maps the name of a command to its handler and the schema of its payload; no other
    event is accepted. `execute` calls a handler. `on_rate_limited` returns the answer to a command
    above a rate (the rate's name is its first argument).
    """

    def __init__(
        self,
        namespace: str,
        settings: Settings,
        *,
        server: Server,
        connections: Connections,
        commands: Mapping[str, tuple[Handler, InputSchema]],
        execute: Execute,
        on_rate_limited: OnRateLimited,
    ) -> None:
        self._server = server
        self._connections = connections
        self._admission = connections.admission
        self._commands = commands
        self._execute_handler = execute
        self._on_rate_limited = on_rate_limited
        self._acks = AckWriter(namespace, commands, connections.count_error)
        self._overload = OverloadRefusals(
            namespace, commands, server=server, connections=connections, acks=self._acks
        )
        self._deadline = CommandDeadline(settings.command_deadline, settings.redis_deadline)
        self._durable_acks = DurableAcks(settings.durable_wait, self._deadline, self._ack)
        self._later_acks = LaterAcks(self._deadline, self._ack_later)
        self._queue = CommandQueue(self._execute, on_turn=self._admission.observe_turn)

    def receive(self, session: Session, frame: Frame) -> None:
        """Queue a command. Never blocks; what cannot be queued is refused at once."""
        now = asyncio.get_running_loop().time()
        waited = 0.0
        if session.queue:  # what it waits for its rate is no sign of overload
            waited = now - max(session.queue[0].received_at, session.paced_until)
        is_refused = self._admission.refuses(waited, session.sid)
        if is_refused and self._overload.refuse(session, frame, now):
            return
        command = QueuedCommand(frame, now)
        try:
            self._queue.put(session, command)
        except errors.Refusal as refusal:
            self._acks.write(session, frame, refusal)
            return
        self._server.command_started(session.eio_sid)

    async def drain(self, session: Session) -> None:
        """Refuse further commands of a session; return when all before are answered."""
        await self._queue.drain(session)

    async def close(self) -> None:
        """Cancel everything that is still being executed."""
        await self._queue.close()
        await self._durable_acks.close()
        await self._later_acks.close()

    async def _execute(self, session: Session, command: QueuedCommand) -> bool:
        apply = partial(self._apply, session, command)
        answer = await self._deadline.execute(session, command, apply)
        if isinstance(answer, PendingAnswer):
            self._durable_acks.send_when_durable(session, command, answer)
            return False
        if isinstance(answer, LaterAnswer):
            # Reading goes on: what waits for others must not hold up the connection.
            self._server.command_answered(session.eio_sid)
            work = partial(self._answer_of, session, command.frame, answer.work)
            self._later_acks.send_when_done(session, command, work)
            return False
        self._ack(session, command, answer)
        return isinstance(answer, errors.Refusal)

    def _ack(
        self,
        session: Session,
        command: QueuedCommand,
        answer: Mapping[str, object] | errors.Refusal,
    ) -> None:
        self._queue.answered(session)
        self._server.command_answered(session.eio_sid)
        self._acks.write(session, command.frame, answer, command.received_at)

    def _ack_later(
        self,
        session: Session,
        command: QueuedCommand,
        answer: Mapping[str, object] | errors.Refusal,
    ) -> None:
        self._queue.answered(session)
        self._acks.write(session, command.frame, answer)  # its time would be that of the batch

    async def _apply(self, session: Session, command: QueuedCommand) -> Answer | errors.Refusal:
        frame = command.frame
        return await self._answer_of(session, frame, partial(self._charged, session, command))

    async def _charged(self, session: Session, command: QueuedCommand) -> Answer | errors.Refusal:
        """Charge, parse and execute a command."""
        frame = command.frame
        # Charge before parsing: a frame full of mistakes costs us as much as a correct one.
        limited = self._connections.limited
        if limited and (refused := await self._charge(session, [commands(session)])):
            return refused.answer
        handler, payload = parse_command(self._commands, frame)
        if limited:
            rooms = self._connections.rooms(session.eio_sid)
            specific = charges(frame.data[0], session, payload, rooms)
            if refused := await self._charge(session, specific):
                return refused.answer
        if frame.data[0] in READS:
            return await self._execute_handler(handler, session, payload)
        waited = asyncio.get_running_loop().time() - command.received_at
        execute = partial(self._execute_handler, handler, session, payload)
        return await self._execute_write(execute, waited)

    @staticmethod
    async def _answer_of(
        session: Session, frame: Frame, work: Callable[[], Awaitable[Answered]]
    ) -> Answered | errors.Refusal:
        """Return what the work returns, or the refusal that its exception stands for."""
        try:
            return await work()
        except errors.Refusal as refusal:
            return refusal
        except ValidationError as error:
            return errors.InvalidParam(details=errors.details(error.messages))
        except (RedisError, OSError):
            return errors.Unavailable()
        except Exception:
            request_id = secrets.token_hex(8)
            context = {"request_id": request_id, **log_context(session, frame)}
            log.exception("command failed", extra=context)
            return errors.Internal(details={"request_id": request_id})

    async def _execute_write(
        self, execute: Callable[[], Awaitable[Answer]], waited: float
    ) -> Answer:
        """Execute a command that counts as in progress. Raises Overloaded."""
        if not await self._admission.enter(waited):
            raise overloaded(self._admission)
        try:
            return await execute()
        finally:
            self._admission.leave()

    async def _charge(self, session: Session, charged: Iterable[Charge]) -> _RateLimited | None:
        """Take from the buckets, waiting as long as the charge allows; None if all were paid."""
        for rate, key, cost, max_wait in charged:
            now = asyncio.get_running_loop().time()
            wait = self._connections.buckets.take(rate, key, now, cost, max_wait)
            if wait > max_wait:
                metrics.LIMITED.labels(rate).inc()
                refusal = errors.RateLimited(retry_after_ms=ceil(wait * 1000))
                return _RateLimited(await self._on_rate_limited(rate, session, refusal))
            if wait:
                session.paced_until = now + wait
                await asyncio.sleep(wait)
        return None


def overloaded(admission: Admission) -> errors.Overloaded:
    """Return the refusal of a write that is not admitted, with a time to come back."""
    return errors.Overloaded(retry_after_ms=admission.refuse())


class _RateLimited:
    """The answer of a command above a rate, which may be an empty object."""

    __slots__ = ("answer",)

    def __init__(self, answer: Answer | errors.Refusal) -> None:
        self.answer = answer


def parse_command(
    known: Mapping[str, tuple[Handler, InputSchema]], frame: Frame
) -> tuple[Handler, Any]:
    """Return the handler of a command and its validated payload.

    Raises:
        UnsupportedType: The packet is binary.
        MessageTooLarge: The frame was larger than allowed and was not read.
        BadRequest: It is not an event that the namespace knows, with at most one object.
        ValidationError: The payload does not fit the schema.
    """
    if frame.type == frames.BINARY_EVENT:
        raise errors.UnsupportedType("Binary packets are not supported.")
    if frame.large:
        raise errors.MessageTooLarge("The frame is too large.")
    if frame.broken or not isinstance(frame.data, list) or not frame.data:
        raise errors.BadRequest("Not an event with a name and one object.")
    name, *rest = frame.data
    entry = known.get(name) if isinstance(name, str) else None
    if entry is None:
        raise errors.BadRequest("Unknown event.")
    if len(rest) > 1 or not all(isinstance(item, dict) for item in rest):
        raise errors.BadRequest("The payload is one object.")
    handler, schema = entry
    return handler, schema.load(rest[0] if rest else {})
