"""Requests in flight, without any SQS."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from rts_server.persistence.outbox import Entry, Key
from rts_server.relay.queue_sender import QueueSender
from rts_server.runtime.tasks import cancelled
from tests.helpers.waiting import eventually

ROOMS = 60
SLOTS = 3


class Gate:
    """A queue whose requests of one batch of slots are answered in the same turn of the loop."""

    name = "queue"

    def __init__(self) -> None:
        self.requests = 0
        self.open = asyncio.Event()

    async def send(self, batch: Sequence[Entry]) -> set[Key]:
        self.requests += 1
        await self.open.wait()
        return {entry.key for entry in batch}


async def test_requests_that_are_answered_together_are_followed_by_the_next() -> None:
    """Each gives its slot back before the sender looks for a free one; nothing else wakes it."""
    gate: Any = Gate()
    accepted: list[Entry] = []
    sender = QueueSender(gate, SLOTS, may_send=lambda: True, on_accepted=accepted.extend)
    for n in range(ROOMS):
        sender.room_queues.offer(Entry(0, f"{n}-0", "m", f"room-{n}", "1:1", "k", "o", "{}"))
    sending = asyncio.create_task(sender.run_forever())
    sender.wake()
    await eventually(lambda: gate.requests == SLOTS)
    gate.open.set()
    await eventually(lambda: len(accepted) == ROOMS)
    await cancelled(sending)
