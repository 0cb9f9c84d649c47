"""The relay moves outbox entries to SQS in the order of their rooms, then deletes them.

The path of an entry: `Relay._read` (Redis stream) → `RoomQueues` (order) → `QueueSender` (SQS) →
`AckProcessor` (user index, deletion, `queued` notice to the origin).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import keys, metrics
from rts_server.config import Settings
from rts_server.persistence import outbox
from rts_server.persistence.outbox import Entry
from rts_server.persistence.queues import SqsQueue
from rts_server.persistence.recent_changes import RecentChanges
from rts_server.persistence.sqs_endpoint import SqsEndpoint
from rts_server.persistence.user_rooms import UserRooms
from rts_server.redis_client.pipeline import RedisPipeline, results_of
from rts_server.relay.ack_processor import AckProcessor
from rts_server.relay.cursor_flush import CursorFlush
from rts_server.relay.outbox_metrics import OutboxMetrics, appended_ms
from rts_server.relay.partition_leases import PartitionLeases
from rts_server.relay.queue_sender import QueueSender
from rts_server.relay.quiet_heads import QuietHeads
from rts_server.relay.room_queues import MAX_BATCH_ENTRIES
from rts_server.runtime.deadline import within
from rts_server.runtime.loops import repeat_forever
from rts_server.runtime.tasks import cancelled

MESSAGE_QUEUE_SLOTS, ROOM_QUEUE_SLOTS, CURSOR_QUEUE_SLOTS = 4, 2, 2
"""Requests to SQS in flight at most, per queue."""
SEND_TIMEOUT_SECONDS = 3.0
"""How long one request to SQS may take."""
MAX_HELD_ENTRIES = 5_000
"""Entries in memory at most: while SQS is away the rest stays in Redis (Q5)."""
MAX_HELD_BYTES = 32 * 1024 * 1024
"""Bytes of these entries at most."""
MAX_READ_ENTRIES = 200
"""Entries of one partition that one XREAD returns at most."""
READ_BLOCK_SECONDS = 0.5
"""How long one XREAD waits for an entry."""
RECHECK_SECONDS = 5.0
"""Time between two checks that no entry of an idle partition was missed."""
READ_LINGER_SECONDS = 0.005
"""Pause after a read that found entries, so that the next one finds more."""
SPARSE_READ_LINGER_SECONDS = 0.03
"""The same after a sparse read: at low rates a read and a request to SQS, which cost as much for
one message as for ten, take what came in this time, of whatever rooms."""
SPARSE_READ_ENTRIES = 2 * MAX_BATCH_ENTRIES
"""A read that found fewer is sparse."""
AHEAD_SECONDS = 1.0
"""Time between two looks at entries for which memory has no space."""
RELAY_SHUTDOWN_SECONDS = 1.5
"""How long requests in flight may still be answered when the relay stops."""
STREAM_START = "0-0"
"""The stream id before the first entry."""

StreamEntry = tuple[bytes, list[bytes]]
"""Its id, and names and values in turn."""

_QUEUED = {
    outbox.MESSAGES: metrics.QUEUED_SECONDS.labels("messages"),
    outbox.ROOMS: metrics.QUEUED_SECONDS.labels("rooms"),
}

log = logging.getLogger(__name__)


@dataclass
class Partition:
    """The state of one outbox stream in the relay.

    `stream`: its key. `last_read_id`: id of the last entry that was read. `known`: ids of entries
    that are held in memory, or that SQS accepted and that are not deleted yet. `idle`: the last
    read found nothing. `ahead_id`: id of the last entry whose head was noted without holding it.
    """

    partition: int
    stream: bytes
    last_read_id: str = STREAM_START
    known: set[str] = field(default_factory=set)
    idle: bool = False
    ahead_id: str = STREAM_START

    def next_ahead(self) -> str:
        """Return the id behind which no head was noted."""
        return max(self.ahead_id, self.last_read_id, key=_in_stream_order)


class Relay:
    """One relay process. Any number of relays may run; leases share the partitions between them.

    Guarantees: an entry leaves the outbox only after SQS accepted it (D1, Q2), and the entry of a
    membership change only after the user index was updated (T4).
    """

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        pipe: RedisPipeline,
        reads: RedisPipeline,
        on_accepted: Callable[[list[Entry]], None] | None = None,
    ) -> None:
        """`reads`: for leases and reads, which block it.

        `on_accepted` is called with the entries that SQS accepted (for tracing).
        """
        self._pipe, self._reads = pipe, reads
        self._on_accepted = on_accepted
        name = secrets.token_hex(8) + keys.KEEPS_RECENT
        self._leases = PartitionLeases(reads, name, settings.relay_lease)
        self._quiet_heads = QuietHeads(pipe, RecentChanges(pipe), UserRooms(redis))
        self._ack_processor = AckProcessor(
            redis,
            pipe,
            on_deleted=self._deleted,
            was_acked_accepted=self._was_acked_accepted,
            on_indexed=self._quiet_heads.note,
        )
        self._ack_wait_ms = 1000 * settings.durable_wait
        slots = MESSAGE_QUEUE_SLOTS + ROOM_QUEUE_SLOTS + CURSOR_QUEUE_SLOTS
        self._sqs = SqsEndpoint(settings, SEND_TIMEOUT_SECONDS, slots)
        self._senders = {
            outbox.MESSAGES: self._sender(settings.message_queue, MESSAGE_QUEUE_SLOTS),
            outbox.ROOMS: self._sender(settings.room_queue, ROOM_QUEUE_SLOTS),
        }
        self._partitions: dict[int, Partition] = {}
        self._cursor_flush = CursorFlush(
            pipe,
            SqsQueue(self._sqs, settings.cursor_queue),
            CURSOR_QUEUE_SLOTS,
            lambda: list(self._partitions),
            again=settings.cursor_flush,
        )
        self._outbox_metrics = OutboxMetrics(pipe, lambda: list(self._partitions))
        self._identity, self._logged_partitions = "", 0
        self._leased_until = self._renew_at = self._recheck_at = self._ahead_at = 0.0
        metrics.RELAY_PARTITIONS.set_function(lambda: len(self._partitions) * self._is_leased())
        self._has_space = asyncio.Event()
        self._stopping = asyncio.Event()

    def _sender(self, name: str, slots: int) -> QueueSender:
        queue = SqsQueue(self._sqs, name)
        return QueueSender(queue, slots, may_send=self._is_leased, on_accepted=self._taken_by_sqs)

    async def run_forever(self) -> None:
        """Relay until cancelled or stopped.

        Then no further request is started; those in flight have 1.5 s to be answered, and the
        leases are released.
        """
        senders = (one.run_forever() for one in self._senders.values())
        loops = (self._cursor_flush, self._outbox_metrics, self._quiet_heads)
        beside = (one.run_forever() for one in loops)
        reading = repeat_forever("outbox", self._renew_and_read)
        work = [reading, self._ack_processor.run_forever(), *beside, *senders]
        tasks = [asyncio.create_task(one) for one in work]
        stop = asyncio.create_task(self._stopping.wait())
        try:
            ended, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in ended - {stop}:
                task.result()
        finally:
            # The ack processor ends last: what SQS accepts meanwhile is still deleted.
            reader, acks, *others = tasks
            await cancelled(stop, reader, *others)
            with suppress(TimeoutError):
                async with within(RELAY_SHUTDOWN_SECONDS):
                    await self._finish_in_flight()
            await cancelled(acks)
            await self._sqs.close()

    def stop(self) -> None:
        """Let `run_forever` end."""
        self._stopping.set()

    async def _finish_in_flight(self) -> None:
        """Release the leases last: the next relay must not send what is still in flight here."""
        for sender in self._senders.values():
            await sender.wait_in_flight()
        await self._ack_processor.wait_idle()
        with suppress(RedisError, OSError):
            await self._quiet_heads.publish_all()  # the next relay does not know of them
            await self._leases.release(self._pipe)  # on `_reads` it would wait behind a read

    # Leases and reading

    async def _renew_and_read(self) -> None:
        """Renew the leases if it is time, and read.

        The lease comes before the read, also after any error: the renewal shows whether this is
        still the Redis we read before (its fence), and only entries of partitions under a valid
        lease may be sent in order (D3). After an error every partition is read from its start,
        because the reply that was lost may have moved `last_read_id` past entries no relay holds.
        """
        try:
            if time.monotonic() >= self._renew_at:
                await self._renew()
            await self._read()
        except BaseException:
            self._renew_at = 0.0
            for partition in self._partitions.values():
                partition.last_read_id = STREAM_START
            raise

    async def _renew(self) -> None:
        leases = await self._leases.renew()
        lost = set(self._partitions) - leases.partitions
        if leases.identity != self._identity:
            # Another Redis, or the same one restored from an older state: the entries we hold may
            # not be in it, and its entries may have ids that we know. Everything is read again.
            if self._identity:
                log.warning("redis was replaced or lost data")
            self._identity, lost = leases.identity, set(self._partitions)
        for number in lost:
            del self._partitions[number]
            for sender in self._senders.values():
                sender.room_queues.drop(number)
        for number in leases.partitions - set(self._partitions):
            self._partitions[number] = Partition(number, keys.outbox(number).encode())
        if len(self._partitions) != self._logged_partitions:
            self._logged_partitions = len(self._partitions)
            log.info("partitions held", extra={"partitions": self._logged_partitions})
        self._leased_until = leases.until
        self._renew_at = time.monotonic() + self._leases.renew_seconds
        for sender in self._senders.values():
            sender.wake()

    async def _read(self) -> None:
        """Read all partitions with one XREAD, each from its last read id."""
        count = self._entries_to_read()
        if not self._partitions or count < 1:
            await self._note_ahead()
            await self._wait_for_space()
            return
        if time.monotonic() >= self._recheck_at:
            await self._recheck()
            self._recheck_at = time.monotonic() + RECHECK_SECONDS
        self._start_rescans()
        found = await self._next_entries(count)
        rescan = self._partitions_to_rescan()
        for partition in self._partitions.values():
            entries = found.get(partition.stream, ())
            partition.idle = not entries
            # A truncated room got space while XREAD waited: the entries that were left behind come
            # before these, so these are dropped and the partition is read from its start (D3).
            if partition.partition not in rescan:
                self._hold(partition, entries)
        if found:
            sparse = sum(map(len, found.values())) < SPARSE_READ_ENTRIES
            await asyncio.sleep(SPARSE_READ_LINGER_SECONDS if sparse else READ_LINGER_SECONDS)

    async def _next_entries(self, count: int) -> dict[bytes, list[StreamEntry]]:
        """Return the next entries by stream, at most so many of each; wait for the first."""
        streams = self._partitions.values()
        until_renewal = self._renew_at - time.monotonic()
        block_ms = max(1, round(1000 * min(READ_BLOCK_SECONDS, until_renewal)))
        reply = await self._reads.execute_command(
            *("XREAD", "COUNT", count, "BLOCK", block_ms, "STREAMS"),
            *(one.stream for one in streams),
            *(one.last_read_id for one in streams),
        )
        return dict(reply or ())

    def _hold(self, partition: Partition, entries: Iterable[StreamEntry]) -> None:
        for entry_id, fields in entries:
            name = partition.last_read_id = entry_id.decode()
            if name in partition.known:
                continue
            try:
                entry = outbox.parse(partition.partition, entry_id, _pairs(fields))
            except ValueError as error:
                # It stays in the stream as evidence, and is not read again by this process.
                log.error("outbox entry unreadable", extra={"entry": name, "error": str(error)})
                partition.known.add(name)
                continue
            sender = self._senders[entry.queue]
            self._quiet_heads.note(entry)
            if sender.room_queues.offer(entry):
                partition.known.add(name)
                sender.wake()

    async def _note_ahead(self) -> None:
        """Note the heads of entries that cannot be held: lost publishes show while SQS is away."""
        if not self._partitions or time.monotonic() < self._ahead_at:
            return
        self._ahead_at = time.monotonic() + AHEAD_SECONDS
        streams = {one.stream: one for one in self._partitions.values()}
        reply = await self._reads.execute_command(
            *("XREAD", "COUNT", MAX_READ_ENTRIES, "STREAMS"),
            *streams,
            *(one.next_ahead() for one in streams.values()),
        )
        for stream, entries in reply or ():
            for entry_id, fields in entries:
                streams[stream].ahead_id = entry_id.decode()
                with suppress(ValueError):  # said when it is read to be sent
                    number = streams[stream].partition
                    self._quiet_heads.note(outbox.parse(number, entry_id, _pairs(fields)))

    async def _recheck(self) -> None:
        """Read an idle partition again from its start if it holds entries we never saw.

        An id before the last read one appears after a failover to a replica that was behind, or if
        the stream was deleted: Redis continues from the last id that it still knows.
        """
        idle = [one for one in self._partitions.values() if one.idle]
        lengths = await results_of(self._pipe, [("XLEN", one.stream) for one in idle])
        for partition, length in zip(idle, lengths, strict=True):
            truncated = any(
                one.room_queues.is_truncated(partition.partition) for one in self._senders.values()
            )
            if length > len(partition.known) and not truncated:
                partition.last_read_id = STREAM_START

    def _entries_to_read(self) -> int:
        """Return how many entries per partition the next read may bring; 0 while memory is full."""
        held = sum(one.room_queues.held for one in self._senders.values())
        held_bytes = sum(one.room_queues.held_bytes for one in self._senders.values())
        if held >= MAX_HELD_ENTRIES or held_bytes >= MAX_HELD_BYTES:
            return 0
        share = (MAX_HELD_ENTRIES - held) // max(1, len(self._partitions))
        return min(MAX_READ_ENTRIES, max(1, share))

    def _partitions_to_rescan(self) -> set[int]:
        return set().union(*(one.room_queues.rescan for one in self._senders.values()))

    def _start_rescans(self) -> None:
        for number in self._partitions_to_rescan() & set(self._partitions):
            self._partitions[number].last_read_id = STREAM_START
        for sender in self._senders.values():
            sender.room_queues.rescan.clear()

    async def _wait_for_space(self) -> None:
        """Wait until SQS accepted something, or the leases must be renewed."""
        self._has_space.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._renew_at - time.monotonic())):
                await self._has_space.wait()

    # Callbacks of the senders and the ack processor

    def _is_leased(self) -> bool:
        return time.monotonic() < self._leased_until

    def _taken_by_sqs(self, entries: list[Entry]) -> None:
        now = self._outbox_metrics.redis_time_ms()
        for entry in entries:
            _QUEUED[entry.queue].observe(max(0.0, now - appended_ms(entry.entry_id)) / 1000)
        self._ack_processor.add(entries)
        self._has_space.set()
        if self._on_accepted:  # last: if it raises, the entries are acknowledged all the same
            self._on_accepted(entries)

    def _was_acked_accepted(self, entry: Entry) -> bool:
        """Return whether the sender's ack said `accepted`: it waits no longer for `queued`."""
        age_ms = self._outbox_metrics.redis_time_ms() - appended_ms(entry.entry_id)
        return age_ms >= self._ack_wait_ms

    def _deleted(self, entry: Entry) -> None:
        if entry.partition in self._partitions:
            self._partitions[entry.partition].known.discard(entry.entry_id)


def _in_stream_order(entry_id: str) -> tuple[int, int]:
    time_ms, _, number = entry_id.partition("-")
    return int(time_ms), int(number)


def _pairs(fields: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(fields[::2], fields[1::2], strict=True))
