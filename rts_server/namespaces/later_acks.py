"""Acks of commands whose answer comes later, beside the queue of their session."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from rts_server import errors
from rts_server.namespaces.command_deadline import CommandDeadline, note_outage
from rts_server.namespaces.session import QueuedCommand, Session
from rts_server.runtime.deadline import within
from rts_server.runtime.tasks import Tasks

Answered = Mapping[str, object] | errors.Refusal
SendAck = Callable[[Session, QueuedCommand, Answered], None]


class LaterAcks:
    """Sends the one ack of a command when its work is done, or at its deadline (D10)."""

    def __init__(self, deadline: CommandDeadline, send: SendAck) -> None:
        self._deadline = deadline
        self._send = send
        self._tasks = Tasks()

    def send_when_done(
        self, session: Session, command: QueuedCommand, work: Callable[[], Awaitable[Answered]]
    ) -> None:
        """Send what `work` returns; it must not raise."""
        self._tasks.keep(self._finish(session, command, work))

    async def close(self) -> None:
        """Cancel the work."""
        await self._tasks.close()

    async def _finish(
        self, session: Session, command: QueuedCommand, work: Callable[[], Awaitable[Answered]]
    ) -> None:
        left = self._deadline.ends_at(session, command) - asyncio.get_running_loop().time()
        try:
            async with within(max(0.0, left)):
                answer = await work()
        except TimeoutError:
            answer = errors.Unavailable() if session.unavailable else errors.Timeout()
        note_outage(session, answer)
        self._send(session, command, answer)
