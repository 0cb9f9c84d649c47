"""The deadline of a command: every command is answered within it (D10)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from rts_server import errors
from rts_server.namespaces.answer import Answer, LaterAnswer
from rts_server.namespaces.session import QueuedCommand, Session

WORK_SHARE = 0.9
"""Share of the deadline within which the work must end; the rest is for sending the ack."""


class CommandDeadline:
    """Cancels the work of a command that takes too long. Seconds count from its arrival.

    `seconds`: the deadline of every command (D10). `redis_seconds`: that of a command that meets an
    outage of Redis (R7): the session is not open yet, or its last command was unavailable. Without
    it, each of the commands of a queue would wait for Redis in turn.
    """

    def __init__(self, seconds: float, redis_seconds: float) -> None:
        self._work_seconds = seconds * WORK_SHARE
        self._outage_seconds = min(self._work_seconds, redis_seconds)

    def work_ends_at(self, command: QueuedCommand) -> float:
        """Return the loop time at which the work of a command must end."""
        return command.received_at + self._work_seconds

    def ends_at(self, session: Session, command: QueuedCommand) -> float:
        """The same, or in an outage the end of the shorter deadline."""
        if session.unavailable:
            return command.received_at + self._outage_seconds
        return self.work_ends_at(command)

    async def execute(
        self,
        session: Session,
        command: QueuedCommand,
        work: Callable[[], Awaitable[Answer | errors.Refusal]],
    ) -> Answer | errors.Refusal:
        """Wait until the session is ready, then return what `work` returns.

        Returns Timeout when the deadline passed, Unavailable when it passed in an outage. A command
        that is late already, because the ones before it took all its time, is not begun: its work
        would be wasted, and the client may have repeated it elsewhere.
        """
        answer = await self._execute(session, command, work)
        if not isinstance(answer, LaterAnswer):
            note_outage(session, answer)
        return answer

    async def _execute(
        self,
        session: Session,
        command: QueuedCommand,
        work: Callable[[], Awaitable[Answer | errors.Refusal]],
    ) -> Answer | errors.Refusal:
        outage_ends_at = command.received_at + self._outage_seconds
        ends_at = self.ends_at(session, command)
        if ends_at <= asyncio.get_running_loop().time():
            return _too_late(session)
        try:
            if not session.ready.is_set():
                session.deadline.begin(outage_ends_at)
                await session.ready.wait()
            session.deadline.begin(ends_at)
            answer = await work()
        except asyncio.CancelledError:
            if not session.deadline.end():
                raise
            return _too_late(session)
        session.deadline.end()
        return answer


def note_outage(session: Session, answer: object) -> None:
    """Note whether a command of a session met an outage."""
    session.unavailable = type(answer) is errors.Unavailable  # Overloaded is no outage


def _too_late(session: Session) -> errors.Refusal:
    outage = session.unavailable or not session.ready.is_set()
    return errors.Unavailable() if outage else errors.Timeout()
