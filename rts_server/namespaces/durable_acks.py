"""Acks that wait for the durability of what a command appended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from rts_server import errors
from rts_server.namespaces.answer import PendingAnswer
from rts_server.namespaces.command_deadline import CommandDeadline
from rts_server.namespaces.session import QueuedCommand, Session
from rts_server.roomlog.pending import Durability
from rts_server.runtime.tasks import Tasks

SendAck = Callable[[Session, QueuedCommand, Mapping[str, object] | errors.Refusal], None]


class DurableAcks:
    """Sends the one ack of a command when its append is durable (D1), or says `accepted` in time.

    `durable_wait` is in seconds; the deadline of the command may end it earlier (D10).
    """

    def __init__(self, durable_wait: float, deadline: CommandDeadline, send: SendAck) -> None:
        self._durable_wait = durable_wait
        self._deadline = deadline
        self._send = send
        self._tasks = Tasks()

    def send_when_durable(
        self, session: Session, command: QueuedCommand, answer: PendingAnswer
    ) -> None:
        """Send the ack now if the durability is known, else when it is or when the wait ends.

        The durability that becomes known after an ack with `accepted` is passed to
        `answer.on_late`.
        """
        if answer.durability.done():
            self._send_durability(session, command, answer)
            return
        loop = asyncio.get_running_loop()
        left = self._deadline.work_ends_at(command) - loop.time()
        max_wait = max(0.0, min(self._durable_wait, left))
        timer = loop.call_later(max_wait, self._send_accepted, session, command, answer)

        def on_durable(durability: asyncio.Future[Durability]) -> None:
            timer.cancel()
            if not command.acked:
                self._send_durability(session, command, answer)
            elif answer.on_late:
                self._tasks.keep(answer.on_late(durability.result()))

        answer.durability.add_done_callback(on_durable)

    async def close(self) -> None:
        """Cancel the updates that follow an ack with `accepted`."""
        await self._tasks.close()

    def _send_accepted(
        self, session: Session, command: QueuedCommand, answer: PendingAnswer
    ) -> None:
        command.acked = True
        self._send(session, command, answer.with_status("accepted"))

    def _send_durability(
        self, session: Session, command: QueuedCommand, answer: PendingAnswer
    ) -> None:
        durability = answer.durability.result()
        failed = durability == "failed"
        self._send(session, command, answer.failed() if failed else answer.with_status(durability))
