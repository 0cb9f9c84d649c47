"""The queue of commands of each session: executed one at a time, in the order of arrival."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from rts_server import errors
from rts_server.namespaces.session import QueuedCommand, Session
from rts_server.runtime.tasks import Tasks

MAX_QUEUED_COMMANDS = 1_000
"""Commands of one session without an ack; further ones are refused at once."""


class CommandQueue:
    """Executes the commands of a session in order, so that messages keep theirs (D3).

    A command leaves the queue when `execute` returns, which is before its append is durable:
    waiting for durability must not hold up the commands behind it.
    """

    def __init__(
        self,
        execute: Callable[[Session, QueuedCommand], Awaitable[bool]],
        on_turn: Callable[[float, float], None] = lambda waited, now: None,
    ) -> None:
        """`execute` runs and answers a command; it returns whether the command was refused.

        `on_turn(waited, now)` is called when a worker starts, with the seconds that its first
        command waited for a turn of the event loop, and with loop time.
        """
        self._execute = execute
        self._on_turn = on_turn
        self._tasks = Tasks()

    def put(self, session: Session, command: QueuedCommand) -> None:
        """Queue a command; start the session's worker if there is none.

        Raises:
            RateLimited: Too many of them have no ack yet.
            Unavailable: The session is draining.
        """
        if session.queue is None:
            session.queue = deque()
        if session.unanswered >= MAX_QUEUED_COMMANDS:
            raise errors.RateLimited(retry_after_ms=1000)
        if session.all_answered is not None:
            raise errors.Unavailable("This instance is draining.", retry_after_ms=1000)
        session.unanswered += 1
        session.queue.append(command)
        if session.worker is None or session.worker.done():
            session.worker = self._tasks.keep(self._work(session))

    @staticmethod
    def answered(session: Session) -> None:
        """Count the ack of a queued command."""
        session.unanswered -= 1
        if session.all_answered is not None and not session.unanswered:
            session.all_answered.set()

    @staticmethod
    async def drain(session: Session) -> None:
        """Refuse further commands; return when every command before has its ack."""
        session.all_answered = asyncio.Event()
        if session.unanswered:
            await session.all_answered.wait()

    async def close(self) -> None:
        """Cancel the workers of all sessions."""
        await self._tasks.close()

    async def _work(self, session: Session) -> None:
        if session.queue:
            now = asyncio.get_running_loop().time()
            self._on_turn(now - session.queue[0].received_at, now)
        while session.queue:
            if await self._execute(session, session.queue.popleft()):
                # A refusal may not have awaited anything: without a turn of the loop in between,
                # a queue full of bad commands would hold up every other connection (R2).
                await asyncio.sleep(0)
        session.queue = session.worker = None
