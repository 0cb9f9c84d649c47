"""The relay moves outbox entries to SQS in the order of their rooms, then deletes them.

The path of an entry: `Doorbell` (its partition rings) → `OutboxReader` (Redis stream) →
`RoomQueues` (order) → `QueueSender` (SQS) → `AckProcessor` (user index, deletion, `queued` notice
to the origin).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Set
from contextlib import suppress

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
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.redis_client.primary import Primary
from rts_server.relay.ack_processor import AckProcessor
from rts_server.relay.cursor_flush import CursorFlush
from rts_server.relay.doorbell import CURSORS, Doorbell
from rts_server.relay.outbox_metrics import OutboxMetrics, appended_ms
from rts_server.relay.outbox_reader import OutboxReader
from rts_server.relay.partition_leases import PartitionLeases
from rts_server.relay.queue_sender import QueueSender
from rts_server.relay.quiet_heads import QuietHeads
from rts_server.runtime.deadline import within
from rts_server.runtime.loops import repeat_forever
from rts_server.runtime.tasks import cancelled

MESSAGE_QUEUE_SLOTS, ROOM_QUEUE_SLOTS, CURSOR_QUEUE_SLOTS = 4, 2, 2
"""Requests to SQS in flight at most, per queue."""
SEND_TIMEOUT_SECONDS = 3.0
"""How long one request to SQS may take."""
RELAY_SHUTDOWN_SECONDS = 1.5
"""How long requests in flight may still be answered when the relay stops."""

_QUEUED = {
    outbox.MESSAGES: metrics.QUEUED_SECONDS.labels("messages"),
    outbox.ROOMS: metrics.QUEUED_SECONDS.labels("rooms"),
}

log = logging.getLogger(__name__)


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
        on_accepted: Callable[[list[Entry]], None] | None = None,
        primary: Primary | None = None,
    ) -> None:
        """`on_accepted` is called with the entries that SQS accepted (for tracing)."""
        self._on_accepted = on_accepted
        name = secrets.token_hex(8) + keys.KEEPS_RECENT
        self._leases = PartitionLeases(pipe, name, settings.relay_lease)
        self._quiet_heads = QuietHeads(pipe, RecentChanges(pipe), UserRooms(redis))
        self._ack_processor = AckProcessor(
            redis,
            pipe,
            on_deleted=lambda entry: self._reader.deleted(entry),
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
        self._reader = OutboxReader(
            pipe,
            {name: sender.room_queues for name, sender in self._senders.items()},
            on_read=self._quiet_heads.note,
            on_held=lambda entry: self._senders[entry.queue].wake(),
        )
        self._cursor_flush = CursorFlush(
            pipe,
            SqsQueue(self._sqs, settings.cursor_queue),
            CURSOR_QUEUE_SLOTS,
            lambda: self._reader.partitions,
            again=settings.cursor_flush,
        )
        self._doorbell = Doorbell(settings, redis, name, self._rang, primary)
        self._outbox_metrics = OutboxMetrics(pipe, lambda: self._reader.occupied)
        self._identity, self._logged_partitions = "", 0
        self._leased_until = self._renew_at = 0.0
        metrics.RELAY_PARTITIONS.set_function(
            lambda: len(self._reader.partitions) * self._is_leased()
        )
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
        loops = (self._doorbell, self._cursor_flush, self._outbox_metrics, self._quiet_heads)
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

    def partitions(self) -> list[int]:
        """Return the numbers of the partitions that this relay holds."""
        return list(self._reader.partitions)

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
            await self._leases.release()

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
            await self._reader.read(until=self._renew_at)
        except BaseException:
            self._renew_at = 0.0
            self._reader.reread()
            raise

    async def _renew(self) -> None:
        leases = await self._leases.renew()
        held = set(self._reader.partitions)
        lost = held - leases.partitions
        if leases.identity != self._identity:
            # Another Redis, or the same one restored from an older state: the entries we hold may
            # not be in it, and its entries may have ids that we know. Everything is read again.
            if self._identity:
                log.warning("redis was replaced or lost data")
            self._identity, lost = leases.identity, held
        gained = leases.partitions - (held - lost)
        self._change_partitions(lost, gained)
        self._leased_until = leases.until
        self._renew_at = time.monotonic() + self._leases.renew_seconds
        for sender in self._senders.values():
            sender.wake()

    def _change_partitions(self, lost: Set[int], gained: Set[int]) -> None:
        if lost:
            self._reader.drop(lost)
            self._cursor_flush.drop(lost)
            self._doorbell.leave(lost - gained)
        if gained:
            self._reader.add(gained)
            self._doorbell.listen(gained)
        if len(self._reader.partitions) != self._logged_partitions:
            self._logged_partitions = len(self._reader.partitions)
            log.info("partitions held", extra={"partitions": self._logged_partitions})

    def _rang(self, partition: int, what: bytes) -> None:
        if what == CURSORS:
            self._cursor_flush.ring(partition)
        else:
            self._reader.ring(partition)

    # Callbacks of the senders and the ack processor

    def _is_leased(self) -> bool:
        return time.monotonic() < self._leased_until

    def _taken_by_sqs(self, entries: list[Entry]) -> None:
        now = self._outbox_metrics.redis_time_ms()
        for entry in entries:
            _QUEUED[entry.queue].observe(max(0.0, now - appended_ms(entry.entry_id)) / 1000)
        self._ack_processor.add(entries)
        self._reader.space_freed()
        if self._on_accepted:  # last: if it raises, the entries are acknowledged all the same
            self._on_accepted(entries)

    def _was_acked_accepted(self, entry: Entry) -> bool:
        """Return whether the sender's ack said `accepted`: it waits no longer for `queued`."""
        age_ms = self._outbox_metrics.redis_time_ms() - appended_ms(entry.entry_id)
        return age_ms >= self._ack_wait_ms
