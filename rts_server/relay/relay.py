"""The relay: moves every outbox entry to SQS in the order of its room, then deletes exactly it."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import keys, metrics
from rts_server.config import Settings
from rts_server.persistence import outbox
from rts_server.persistence.outbox import Entry
from rts_server.persistence.queues import Queue, connect
from rts_server.relay.ack_processor import AckProcessor
from rts_server.relay.cursor_flush import CursorFlush
from rts_server.relay.outbox_metrics import OutboxMetrics, accepted_ms
from rts_server.relay.partition_leases import PartitionLeases
from rts_server.relay.queue_sender import QueueSender
from rts_server.runtime.deadline import within
from rts_server.runtime.loops import backoff
from rts_server.runtime.tasks import cancelled
from rts_server.runtime.throttled_log import ThrottledLog

MESSAGE_SLOTS, ROOM_SLOTS = 4, 2
SEND_TIMEOUT = 3.0
HELD_ENTRIES, HELD_BYTES = 5_000, 32 * 1024 * 1024
READ_ENTRIES = 200
BLOCK = 0.5
SAFETY = 5.0
LINGER = 0.005
FAREWELL = 1.5
START = "0-0"

_QUEUED = {
    outbox.MESSAGES: metrics.QUEUED_SECONDS.labels("messages"),
    outbox.ROOMS: metrics.QUEUED_SECONDS.labels("rooms"),
}

log = logging.getLogger(__name__)


@dataclass
class Partition:
    """What the relay knows of a stream. `known`: ids held, or accepted and not deleted yet."""

    part: int
    cursor: str = START
    known: set[str] = field(default_factory=set)
    idle: bool = False


class Relay:
    """One relay process. Guarantee: an entry leaves the outbox only after SQS accepted it, and a
    member entry only after the user index knows it. Any number of relays may run."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        landed: Callable[[list[Entry]], None] | None = None,
    ) -> None:
        """`landed` hears of what SQS accepted."""
        self._redis = redis
        self._tell_landed = landed
        self._leases = PartitionLeases(redis, secrets.token_hex(8), settings.relay_lease)
        self._clearing = AckProcessor(redis, self._cleared, self._was_accepted)
        self._ack_waits = 1000 * settings.durable_wait
        slots = MESSAGE_SLOTS + ROOM_SLOTS
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="relay")
        self._client = connect(settings, SEND_TIMEOUT, slots)
        self._outlets = {
            outbox.MESSAGES: self._outlet(settings.message_queue, MESSAGE_SLOTS),
            outbox.ROOMS: self._outlet(settings.room_queue, ROOM_SLOTS),
        }
        self._parts: dict[int, Partition] = {}
        self._flush = CursorFlush(redis, lambda: list(self._parts))
        self._depth = OutboxMetrics(redis, lambda: list(self._parts))
        self._fence, self._told = "", 0
        self._until = self._renew_at = self._check_at = 0.0
        metrics.RELAY_PARTITIONS.set_function(lambda: len(self._parts) * self._leased())
        self._relieved = asyncio.Event()
        self._stopping = asyncio.Event()
        self._complaints = ThrottledLog(log)

    def _outlet(self, name: str, slots: int) -> QueueSender:
        queue = Queue(self._client, name, self._pool)
        return QueueSender(queue, slots, self._leased, self._landed)

    async def run(self) -> None:
        """Relay until cancelled or stopped; then what is on its way may land for 1.5 s."""
        outlets = (one.run() for one in self._outlets.values())
        beside = (self._flush.run(), self._depth.run())
        work = [self._tend(), self._clearing.run(), *beside, *outlets]
        tasks = [asyncio.create_task(one) for one in work]
        stop = asyncio.create_task(self._stopping.wait())
        try:
            ended, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in ended - {stop}:
                task.result()
        finally:
            tend, clearing, *senders = tasks
            await cancelled(stop, tend, *senders)
            with suppress(TimeoutError):
                async with within(FAREWELL):
                    await self._farewell()
            await cancelled(clearing)
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._client.close()

    def stop(self) -> None:
        """Let `run` end."""
        self._stopping.set()

    async def _farewell(self) -> None:
        for outlet in self._outlets.values():
            await outlet.landed()
        await self._clearing.done()
        with suppress(RedisError, OSError):
            await self._leases.release()

    # Leases and reading

    async def _tend(self) -> None:
        """One loop for leases and reading, so that after any trouble the fence is seen first."""
        failures = 0
        while True:
            try:
                if time.monotonic() >= self._renew_at:
                    await self._renew()
                await self._read()
                failures = 0
            except Exception as error:
                failures += 1
                self._complaints.say("outbox cannot be read", error)
                self._renew_at = 0.0
                for partition in self._parts.values():
                    partition.cursor = START
                await asyncio.sleep(backoff(failures))

    async def _renew(self) -> None:
        held = await self._leases.renew()
        lost = set(self._parts) - held.parts
        if held.fence != self._fence:
            # Another Redis, or the same one with another past: what we hold may not be in it.
            if self._fence:
                log.warning("another Redis, or another past of it")
            self._fence, lost = held.fence, set(self._parts)
        for part in lost:
            del self._parts[part]
            for outlet in self._outlets.values():
                outlet.lanes.drop(part)
        for part in held.parts - set(self._parts):
            self._parts[part] = Partition(part)
        if len(self._parts) != self._told:
            self._told = len(self._parts)
            log.info("partitions held", extra={"partitions": self._told})
        self._until = held.until
        self._renew_at = time.monotonic() + self._leases.every
        for outlet in self._outlets.values():
            outlet.wake()

    async def _read(self) -> None:
        """One XREAD over all partitions, from where each was left."""
        count = self._room_left()
        if not self._parts or count < 1:
            await self._pause()
            return
        if time.monotonic() >= self._check_at:
            await self._check()
            self._check_at = time.monotonic() + SAFETY
        self._rewind()
        streams: Any = {keys.outbox(one.part): one.cursor for one in self._parts.values()}
        wait = max(1, round(1000 * min(BLOCK, self._renew_at - time.monotonic())))
        answer: Any = await self._redis.xread(streams, count=count, block=wait)
        hungry = self._hungry()
        found = _streams(answer)
        for partition in self._parts.values():
            entries = found.get(keys.outbox(partition.part).encode(), [])
            partition.idle = not entries
            # A lane that found room meanwhile wants what lies before these entries first.
            if partition.part not in hungry:
                self._keep(partition, entries)
        if found:
            await asyncio.sleep(LINGER)

    def _keep(self, partition: Partition, entries: Iterable[tuple[bytes, Any]]) -> None:
        for entry_id, fields in entries:
            name = partition.cursor = entry_id.decode()
            if name in partition.known:
                continue
            try:
                entry = outbox.parse(partition.part, entry_id, fields)
            except ValueError as error:
                # Left in the stream as evidence, and looked at once.
                log.error("outbox entry unreadable", extra={"entry": name, "error": str(error)})
                partition.known.add(name)
                continue
            outlet = self._outlets[entry.queue]
            if outlet.lanes.offer(entry):
                partition.known.add(name)
                outlet.wake()

    async def _check(self) -> None:
        """Read a partition again from its start if it holds what we never saw."""
        quiet = [one for one in self._parts.values() if one.idle]
        async with self._redis.pipeline(transaction=False) as pipe:
            for partition in quiet:
                pipe.xlen(keys.outbox(partition.part))
            lengths = await pipe.execute()
        for partition, length in zip(quiet, lengths, strict=True):
            cut = any(one.lanes.cut(partition.part) for one in self._outlets.values())
            if length > len(partition.known) and not cut:
                partition.cursor = START

    def _room_left(self) -> int:
        """How many entries per partition the next reading may bring; 0 when we hold enough."""
        held = sum(outlet.lanes.held for outlet in self._outlets.values())
        size = sum(outlet.lanes.size for outlet in self._outlets.values())
        if held >= HELD_ENTRIES or size >= HELD_BYTES:
            return 0
        return min(READ_ENTRIES, max(1, (HELD_ENTRIES - held) // max(1, len(self._parts))))

    def _hungry(self) -> set[int]:
        return set().union(*(outlet.lanes.hungry for outlet in self._outlets.values()))

    def _rewind(self) -> None:
        for part in self._hungry() & set(self._parts):
            self._parts[part].cursor = START
        for outlet in self._outlets.values():
            outlet.lanes.hungry.clear()

    async def _pause(self) -> None:
        self._relieved.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._renew_at - time.monotonic())):
                await self._relieved.wait()

    # What the outlets ask and tell

    def _leased(self) -> bool:
        return time.monotonic() < self._until

    def _landed(self, entries: list[Entry]) -> None:
        now = self._depth.clock()
        for entry in entries:
            _QUEUED[entry.queue].observe(max(0.0, now - accepted_ms(entry.entry_id)) / 1000)
        self._clearing.add(entries)
        self._relieved.set()
        if self._tell_landed:  # last: whatever it raises, they are cleared
            self._tell_landed(entries)

    def _was_accepted(self, entry: Entry) -> bool:
        """Older than any ack waits to say `queued`."""
        return self._depth.clock() - accepted_ms(entry.entry_id) >= self._ack_waits

    def _cleared(self, entry: Entry) -> None:
        if entry.part in self._parts:
            self._parts[entry.part].known.discard(entry.entry_id)


def _streams(answer: Any) -> dict[bytes, list[tuple[bytes, Any]]]:
    """The answer of XREAD in either protocol: a list of pairs, or a map of lists of pages."""
    if isinstance(answer, dict):
        return {name: [one for page in pages for one in page] for name, pages in answer.items()}
    return dict(answer or ())
