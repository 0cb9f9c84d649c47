"""Relays the partitions of one shard: what is read, deleted and published there."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass

from redis.exceptions import RedisError

from rts_server import metrics
from rts_server.config import Settings
from rts_server.persistence import outbox
from rts_server.persistence.outbox import Entry
from rts_server.persistence.queues import SqsQueue
from rts_server.persistence.recent_changes import RecentChanges
from rts_server.persistence.user_rooms import UserRooms
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.relay.ack_processor import AckProcessor
from rts_server.relay.cursor_flush import CursorFlush
from rts_server.relay.doorbell import CURSORS, Doorbell
from rts_server.relay.leases import RENEW_SHARE, Leases
from rts_server.relay.outbox_metrics import OutboxMetrics, appended_ms
from rts_server.relay.outbox_reader import OutboxReader
from rts_server.relay.queue_sender import QueueSender
from rts_server.relay.quiet_heads import QuietHeads
from rts_server.runtime.loops import repeat_forever
from rts_server.runtime.tasks import cancelled

_QUEUED = {
    outbox.MESSAGES: metrics.QUEUED_SECONDS.labels("messages"),
    outbox.ROOMS: metrics.QUEUED_SECONDS.labels("rooms"),
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Surroundings:
    """What the shards of a relay have in common. `senders`: by the name that entries call them."""

    settings: Settings
    pipe: CommandPipe
    senders: Mapping[str, QueueSender]
    cursor_queue: SqsQueue
    cursor_slots: asyncio.Semaphore
    doorbell: Doorbell


class ShardRelay:
    """Leases partitions of one shard, reads them and clears what SQS accepted.

    One Redis is one shard, a cluster has several. Nothing here waits for another shard, but for
    the indexes of users (`AckProcessor`): a shard that is away stops its own partitions only.
    """

    def __init__(self, around: Surroundings, leases: Leases) -> None:
        settings, pipe = around.settings, around.pipe
        self._around, self._leases = around, leases
        self._quiet_heads = QuietHeads(pipe, RecentChanges(pipe), UserRooms(pipe))
        self._ack_processor = AckProcessor(
            pipe,
            UserRooms(pipe),
            on_deleted=lambda entry: self._reader.deleted(entry),
            was_acked_accepted=self._was_acked_accepted,
            on_indexed=self._quiet_heads.note,
        )
        self._reader = OutboxReader(
            pipe,
            {name: sender.room_queues for name, sender in around.senders.items()},
            on_read=self._quiet_heads.note,
            on_held=lambda entry: around.senders[entry.queue].wake(),
        )
        self._cursor_flush = CursorFlush(
            pipe,
            around.cursor_queue,
            around.cursor_slots,
            lambda: self._reader.partitions,
            again=settings.cursor_flush,
        )
        self.outbox = OutboxMetrics(
            pipe, held=lambda: self._reader.partitions, occupied=lambda: self._reader.occupied
        )
        self._ack_wait_ms = 1000 * settings.durable_wait
        self._renew_seconds = settings.relay_lease * RENEW_SHARE
        self._identity, self._logged_partitions = "", 0
        self.renewals = 0
        self._leased_until = self._renew_at = 0.0
        self._acks: asyncio.Task[None] | None = None

    @property
    def partitions(self) -> Collection[int]:
        """The numbers of the partitions that are held."""
        return self._reader.partitions

    @property
    def is_leased(self) -> bool:
        """Whether the leases are still valid."""
        return time.monotonic() < self._leased_until

    async def run_forever(self) -> None:
        """Relay until cancelled. Then nothing more is read; `finish` has to follow."""
        # The ack processor ends last: what SQS accepts meanwhile is still deleted.
        self._acks = asyncio.create_task(self._ack_processor.run_forever())
        loops = (self._cursor_flush, self.outbox, self._quiet_heads)
        reading = repeat_forever("outbox", self._renew_and_read)
        work = [reading, *(one.run_forever() for one in loops)]
        tasks = [asyncio.create_task(one) for one in work]
        try:
            ended, _ = await asyncio.wait([self._acks, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            await cancelled(*tasks)

    async def finish(self) -> None:
        """Clear what SQS accepted, then release the leases.

        In this order: the next relay must not send what is still in flight here.
        """
        await self._ack_processor.wait_idle()
        with suppress(RedisError, OSError):
            await self._quiet_heads.publish_all()  # the next relay does not know of them
            await self._leases.release()

    async def close(self) -> None:
        """Stop clearing, and forget all partitions."""
        if self._acks is not None:
            await cancelled(self._acks)
        self.forget()

    def forget(self) -> None:
        """Forget all partitions: their leases are over, or those of this shard are another's."""
        self._change_partitions(set(self._reader.partitions), frozenset())

    def ring(self, partition: int, what: bytes) -> None:
        """Look at a partition soon; see `keys.outbox` for what was said."""
        if what == CURSORS:
            self._cursor_flush.ring(partition)
        else:
            self._reader.ring(partition)

    def taken_by_sqs(self, entries: list[Entry]) -> None:
        """Clear entries that SQS accepted. Never blocks."""
        now = self.outbox.redis_time_ms()
        for entry in entries:
            _QUEUED[entry.queue].observe(max(0.0, now - appended_ms(entry.entry_id)) / 1000)
        self._ack_processor.add(entries)

    def space_freed(self) -> None:
        """Go on if memory was full: SQS accepted something."""
        self._reader.space_freed()

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
        self.renewals += 1
        self._renew_at = time.monotonic() + self._renew_seconds
        for sender in self._around.senders.values():
            sender.wake()

    def _change_partitions(self, lost: Set[int], gained: Set[int]) -> None:
        if lost:
            self._reader.drop(lost)
            self._cursor_flush.drop(lost)
            self._around.doorbell.leave(lost - gained)
        if gained:
            self._reader.add(gained)
            self._around.doorbell.listen(gained)
        if len(self._reader.partitions) != self._logged_partitions:
            self._logged_partitions = len(self._reader.partitions)
            log.info("partitions held", extra={"partitions": self._logged_partitions})

    def _was_acked_accepted(self, entry: Entry) -> bool:
        """Return whether the sender's ack said `accepted`: it waits no longer for `queued`."""
        age_ms = self.outbox.redis_time_ms() - appended_ms(entry.entry_id)
        return age_ms >= self._ack_wait_ms
