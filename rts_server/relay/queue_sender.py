"""Sends the batches of one queue to SQS, with a bounded number of requests in flight."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from rts_server import metrics
from rts_server.persistence.outbox import Entry, Key
from rts_server.persistence.queues import SqsQueue
from rts_server.persistence.sqs_endpoint import CallRefused
from rts_server.relay.room_queues import RoomQueues
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)


class QueueSender:
    """Sends the entries of `room_queues`, at once: the reader's pauses have gathered them.

    `slots`: requests in flight at most. `may_send`: whether the relay's leases are still valid;
    it is asked before each batch. `on_accepted`: called with the entries that SQS accepted and
    that may now leave the outbox.
    """

    def __init__(
        self,
        queue: SqsQueue,
        slots: int,
        may_send: Callable[[], bool],
        on_accepted: Callable[[list[Entry]], None],
    ) -> None:
        self.room_queues = RoomQueues()
        self._queue, self._slots = queue, slots
        self._may_send, self._on_accepted = may_send, on_accepted
        self._in_flight: set[asyncio.Task[None]] = set()
        self._used_slots = 0
        self._woken = asyncio.Event()
        self._relayed = metrics.RELAYED.labels(queue.name)
        self._throttled_log = ThrottledLog(log)

    def wake(self) -> None:
        """Look for a batch again: an entry was offered, or the leases were renewed."""
        self._woken.set()

    async def run_forever(self) -> None:
        """Send until cancelled. Requests in flight then go on; `wait_in_flight` awaits them."""
        while True:
            await self._wait_until_due()
            while self._may_send() and self._used_slots < self._slots:
                batch = self.room_queues.take(time.monotonic())
                if not batch:
                    break
                self._used_slots += 1
                task = asyncio.create_task(self._send(batch))
                self._in_flight.add(task)
                task.add_done_callback(self._in_flight.discard)

    async def wait_in_flight(self) -> None:
        """Return when no request is in flight."""
        await asyncio.gather(*self._in_flight)

    async def _wait_until_due(self) -> None:
        """Wait for a new entry, the result of a batch, or the end of a backoff.

        Without a free slot only a result can help.
        """
        blocked = not self._may_send() or self._used_slots >= self._slots
        timeout = None if blocked else self.room_queues.seconds_until_due(time.monotonic())
        try:
            async with asyncio.timeout(timeout):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    async def _send(self, batch: list[Entry]) -> None:
        accepted: set[Key] | None = None
        try:
            accepted = await self._queue.send(batch)
        except CallRefused as error:
            self._throttled_log.warning(f"{self._queue.name} refuses a request", error.code)
        except Exception as error:
            self._throttled_log.warning(f"{self._queue.name} does not answer", error)
        refused = len(batch) - len(accepted or ())
        if refused:
            metrics.RELAY_REFUSED.inc(refused)
        if refused and accepted is not None:
            self._throttled_log.warning(f"{self._queue.name} refuses records", str(refused))
        done = self.room_queues.finish_batch(batch, accepted, time.monotonic())
        # Before the wake-up, not when the task ends: if all requests end in one turn of the loop,
        # the sender would find no free slot, and nothing would wake it again.
        self._used_slots -= 1
        self.wake()
        if done:
            self._relayed.inc(len(done))
            self._on_accepted(done)
