"""One queue's sending side: takes batches from the lanes, keeps a bounded number on their way."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from rts_server import metrics
from rts_server.persistence.outbox import Entry, Key
from rts_server.persistence.queues import Queue
from rts_server.relay.room_queues import RoomQueues
from rts_server.runtime.throttled_log import ThrottledLog

LINGER = 0.005

log = logging.getLogger(__name__)


class QueueSender:
    """Sends what is in `lanes`. `accepted` gets the entries that may now leave the outbox."""

    def __init__(
        self,
        queue: Queue,
        slots: int,
        allowed: Callable[[], bool],
        accepted: Callable[[list[Entry]], None],
    ) -> None:
        self.lanes = RoomQueues()
        self._queue, self._slots = queue, slots
        self._allowed, self._accepted = allowed, accepted
        self._flights: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._complaints = ThrottledLog(log)

    def wake(self) -> None:
        """Something was offered, or the lease is good again."""
        self._woken.set()

    async def run(self) -> None:
        """Send until cancelled; batches on their way then still land, see `landed`."""
        while True:
            await self._due()
            if not self.lanes.full():
                await asyncio.sleep(LINGER)
            while self._allowed() and len(self._flights) < self._slots:
                batch = self.lanes.take(time.monotonic())
                if not batch:
                    break
                flight = asyncio.create_task(self._fly(batch))
                self._flights.add(flight)
                flight.add_done_callback(self._flights.discard)

    async def landed(self) -> None:
        """Wait for what is on its way."""
        await asyncio.gather(*self._flights)

    async def _due(self) -> None:
        """Until an offer, a landing or the end of a backoff; without a free slot only a landing."""
        idle = not self._allowed() or len(self._flights) >= self._slots
        try:
            async with asyncio.timeout(None if idle else self.lanes.due(time.monotonic())):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    async def _fly(self, batch: list[Entry]) -> None:
        accepted: set[Key] | None = None
        try:
            accepted = await self._queue.send(batch)
        except Exception as error:
            self._complaints.say(f"{self._queue.name} does not answer", error)
        refused = len(batch) - len(accepted or ())
        if refused:
            metrics.RELAY_REFUSED.inc(refused)
        if refused and accepted is not None:
            self._complaints.say(f"{self._queue.name} refuses records", str(refused))
        done = self.lanes.settle(batch, accepted, time.monotonic())
        self.wake()
        if done:
            metrics.RELAYED.labels(self._queue.name).inc(len(done))
            self._accepted(done)
