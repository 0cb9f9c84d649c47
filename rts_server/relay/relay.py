"""The relay moves outbox entries to SQS in the order of their rooms, then deletes them.

The path of an entry: `Doorbell` (its partition rings) → `OutboxReader` (Redis stream) →
`RoomQueues` (order) → `QueueSender` (SQS) → `AckProcessor` (user index, deletion, `queued` notice
to the origin). A `ShardRelay` has the first and the last of these, for the partitions of a shard.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress

from redis.asyncio import Redis

from rts_server import keys, metrics
from rts_server.config import Settings
from rts_server.persistence import outbox
from rts_server.persistence.outbox import Entry
from rts_server.persistence.queues import SqsQueue
from rts_server.persistence.sqs_endpoint import SqsEndpoint
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.redis_client.servers import RedisServers
from rts_server.relay.cursor_flush import CURSOR_QUEUE_SLOTS
from rts_server.relay.doorbell import Doorbell
from rts_server.relay.queue_sender import QueueSender
from rts_server.relay.relay_shards import RelayShards
from rts_server.relay.shard_relay import Surroundings
from rts_server.runtime.deadline import within
from rts_server.runtime.tasks import cancelled

MESSAGE_QUEUE_SLOTS, ROOM_QUEUE_SLOTS = 4, 2
"""Requests to SQS in flight at most, per queue."""
SEND_TIMEOUT_SECONDS = 3.0
"""How long one request to SQS may take."""
RELAY_SHUTDOWN_SECONDS = 1.5
"""How long requests in flight may still be answered when the relay stops."""


class Relay:
    """One relay process. Any number of relays may run; leases share the partitions between them.

    Guarantees: an entry leaves the outbox only after SQS accepted it (D1, Q2), and the entry of a
    membership change only after the user index was updated (T4).
    """

    def __init__(
        self,
        settings: Settings,
        redis: Redis | CommandPipe,
        pipe: CommandPipe,
        servers: RedisServers,
        on_accepted: Callable[[list[Entry]], None] | None = None,
    ) -> None:
        """`on_accepted` is called with the entries that SQS accepted (for tracing)."""
        self._on_accepted = on_accepted
        name = secrets.token_hex(8) + keys.KEEPS_RECENT
        slots = MESSAGE_QUEUE_SLOTS + ROOM_QUEUE_SLOTS + CURSOR_QUEUE_SLOTS
        self._sqs = SqsEndpoint(settings, SEND_TIMEOUT_SECONDS, slots)
        self._senders = {
            outbox.MESSAGES: self._sender(settings.message_queue, MESSAGE_QUEUE_SLOTS),
            outbox.ROOMS: self._sender(settings.room_queue, ROOM_QUEUE_SLOTS),
        }
        self._doorbell = Doorbell(settings, redis, name, self._rang, servers)
        cursor_queue = SqsQueue(self._sqs, settings.cursor_queue)
        cursor_slots = asyncio.Semaphore(CURSOR_QUEUE_SLOTS)
        around = Surroundings(
            settings, pipe, self._senders, cursor_queue, cursor_slots, self._doorbell
        )
        self._shards = RelayShards(around, name)
        metrics.RELAY_PARTITIONS.set_function(self._shards.leased)
        metrics.OUTBOX_ENTRIES.set_function(
            lambda: sum(shard.outbox.entries for shard in self._shards)
        )
        metrics.OUTBOX_AGE.set_function(
            lambda: max((shard.outbox.age_seconds for shard in self._shards), default=0.0)
        )
        self._stopping = asyncio.Event()

    def _sender(self, name: str, slots: int) -> QueueSender:
        return QueueSender(
            SqsQueue(self._sqs, name),
            slots,
            may_send=lambda: self._shards.may_send(),
            on_accepted=self._taken_by_sqs,
        )

    async def run_forever(self) -> None:
        """Relay until cancelled or stopped.

        Then no further request is started; those in flight have 1.5 s to be answered, and the
        leases are released.
        """
        senders = (one.run_forever() for one in self._senders.values())
        work = [self._shards.run_forever(), self._doorbell.run_forever(), *senders]
        tasks = [asyncio.create_task(one) for one in work]
        stop = asyncio.create_task(self._stopping.wait())
        try:
            ended, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in ended - {stop}:
                task.result()
        finally:
            await cancelled(stop, *tasks)
            with suppress(TimeoutError):
                async with within(RELAY_SHUTDOWN_SECONDS):
                    await self._finish_in_flight()
            await self._shards.close()
            await self._sqs.close()

    def partitions(self) -> list[int]:
        """Return the numbers of the partitions that this relay holds."""
        return self._shards.partitions()

    def stop(self) -> None:
        """Let `run_forever` end."""
        self._stopping.set()

    async def _finish_in_flight(self) -> None:
        for sender in self._senders.values():
            await sender.wait_in_flight()
        await self._shards.finish()

    def _rang(self, partition: int, what: bytes) -> None:
        self._shards.ring(partition, what)

    def _taken_by_sqs(self, entries: list[Entry]) -> None:
        self._shards.taken_by_sqs(entries)
        if self._on_accepted:  # last: if it raises, the entries are acknowledged all the same
            self._on_accepted(entries)
