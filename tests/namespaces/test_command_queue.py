"""The queue of commands of a session."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from rts_server import errors
from rts_server.namespaces.command_queue import MAX_QUEUED_COMMANDS, CommandQueue
from rts_server.namespaces.session import QueuedCommand, Session
from tests.helpers.sessions import queued, session
from tests.helpers.waiting import eventually


class Gate:
    """Executes commands one by one, each when it is released."""

    def __init__(self) -> None:
        self.began: list[int | None] = []
        self.open = asyncio.Semaphore(0)
        self.refuse = False
        self.queue = CommandQueue(self.execute)

    async def execute(self, session: Session, command: QueuedCommand) -> bool:
        """Note the ack id and wait."""
        self.began.append(command.frame.ack_id)
        await self.open.acquire()
        self.queue.answered(session)
        return self.refuse


async def test_commands_are_executed_one_at_a_time_in_the_order_of_arrival() -> None:
    """Messages of a connection keep their order (D3)."""
    gate, (one, _) = Gate(), session()
    for number in range(3):
        gate.queue.put(one, queued(number))
    await eventually(lambda: gate.began == [0])
    for count in (2, 3):
        gate.open.release()
        await eventually(lambda count=count: gate.began == [*range(count)])  # type: ignore[misc]
    gate.open.release()
    await eventually(lambda: one.worker is None)
    assert one.queue is None
    assert one.unanswered == 0


async def test_a_full_queue_refuses_and_counts_nothing() -> None:
    """A refused command is not counted: the queue drains to zero all the same."""
    gate, (one, _) = Gate(), session()
    for number in range(MAX_QUEUED_COMMANDS):
        gate.queue.put(one, queued(number))
    with pytest.raises(errors.RateLimited):
        gate.queue.put(one, queued())
    assert one.unanswered == MAX_QUEUED_COMMANDS
    await gate.queue.close()


async def test_a_session_that_drains_refuses_further_commands_and_waits_for_the_others() -> None:
    """Every command before is answered (D10), then the drain is done (R6)."""
    gate, (one, _) = Gate(), session()
    gate.queue.put(one, queued(0))
    gate.queue.put(one, queued(1))
    drained = asyncio.ensure_future(gate.queue.drain(one))
    await eventually(lambda: one.all_answered is not None)
    with pytest.raises(errors.Unavailable):
        gate.queue.put(one, queued(2))
    gate.open.release()
    await eventually(lambda: one.unanswered == 1)
    assert not drained.done()
    gate.open.release()
    await drained
    assert gate.began == [0, 1]


async def test_an_idle_session_is_drained_at_once() -> None:
    """Nothing is unanswered, so there is nothing to wait for."""
    one, _ = session()
    await Gate().queue.drain(one)


async def test_a_refused_command_gives_the_loop_a_turn() -> None:
    """Others are served between the refusals of one hostile client (R2)."""
    gate, (one, _) = Gate(), session()
    gate.refuse = True
    for number in range(50):
        gate.open.release()
        gate.queue.put(one, queued(number))
    most, before = 0, 0
    while one.worker is not None:
        await asyncio.sleep(0)
        before, most = len(gate.began), max(most, len(gate.began) - before)
    assert most <= 2


async def test_closing_cancels_what_is_executed() -> None:
    """No worker outlives its namespace (R3)."""
    gate, (one, _) = Gate(), session()
    gate.queue.put(one, queued(0))
    await eventually(lambda: gate.began == [0])
    worker = one.worker
    assert worker is not None
    await gate.queue.close()
    with suppress(asyncio.CancelledError):
        await worker
    assert worker.cancelled()
