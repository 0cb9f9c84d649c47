"""The deadline of a command: every command is answered within it (D10)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from rts_server import errors
from rts_server.namespaces.answer import Answer
from rts_server.namespaces.session import QueuedCommand, Session

WORK_SHARE = 0.9
"""Share of the deadline within which the work must end; the rest is for sending the ack."""


class CommandDeadline:
    """Cancels the work of a command that takes too long. `seconds` count from its arrival."""

    def __init__(self, seconds: float) -> None:
        self._work_seconds = seconds * WORK_SHARE

    def work_ends_at(self, command: QueuedCommand) -> float:
        """Return the loop time at which the work of a command must end."""
        return command.received_at + self._work_seconds

    async def execute(
        self,
        session: Session,
        command: QueuedCommand,
        work: Callable[[], Awaitable[Answer | errors.Refusal]],
    ) -> Answer | errors.Refusal:
        """Wait until the session is ready, then return what `work` returns.

        Returns Timeout when the deadline passed, Unavailable when the session was not ready by
        then. A command that is late already, because the ones before it took all its time, is not
        begun: its work would be wasted, and the client may have repeated it elsewhere.
        """
        ends_at = self.work_ends_at(command)
        if ends_at <= asyncio.get_running_loop().time():
            return _too_late(session)
        session.deadline.begin(ends_at)
        try:
            if not session.ready.is_set():
                await session.ready.wait()
            answer = await work()
        except asyncio.CancelledError:
            if not session.deadline.end():
                raise
            return _too_late(session)
        session.deadline.end()
        return answer


def _too_late(session: Session) -> errors.Refusal:
    return errors.Timeout() if session.ready.is_set() else errors.Unavailable()
