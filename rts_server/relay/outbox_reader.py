"""Reads the outboxes of a relay's partitions into memory, in the order of each partition."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

from rts_server import keys
from rts_server.persistence import outbox
from rts_server.persistence.outbox import Entry
from rts_server.redis_client.connection import Command
from rts_server.redis_client.pipeline import CommandPipe, by_slot, results_of
from rts_server.relay.room_queues import MAX_BATCH_ENTRIES, RoomQueues
from rts_server.relay.turns import Turns

MAX_HELD_ENTRIES = 5_000
"""Entries in memory at most: while SQS is away the rest stays in Redis (Q5)."""
MAX_HELD_BYTES = 32 * 1024 * 1024
"""Bytes of these entries at most."""
MAX_READ_ENTRIES = 200
"""Entries of one partition that one XREAD returns at most."""
MAX_READ_PARTITIONS = 64
"""Partitions that one XREAD reads at most."""
TURN_SECONDS = 1.0
"""Time between two looks at partitions that did not ring."""
READ_LINGER_SECONDS = 0.005
"""Pause after a read that found entries, so that the next one finds more."""
SPARSE_READ_LINGER_SECONDS = 0.03
"""The same after a sparse read: at low rates a read and a request to SQS, which cost as much for
one message as for ten, take what came in this time, of whatever rooms."""
SPARSE_READ_ENTRIES = 2 * MAX_BATCH_ENTRIES
"""A read that found fewer is sparse."""
AHEAD_SECONDS = 1.0
"""Time between two looks at entries for which memory has no space."""
STREAM_START = "0-0"
"""The stream id before the first entry."""

StreamEntry = tuple[bytes, list[bytes]]
"""Its id, and names and values in turn."""

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Partition:
    """The state of one outbox stream in the relay.

    `stream`: its key. `last_read_id`: id of the last entry that was read. `known`: ids of entries
    that are held in memory, or that SQS accepted and that are not deleted yet. `ahead_id`: id of
    the last entry whose head was noted without holding it.
    """

    number: int
    stream: bytes
    last_read_id: str = STREAM_START
    known: set[str] = field(default_factory=set)
    ahead_id: str = STREAM_START

    def next_ahead(self) -> str:
        """Return the id behind which no head was noted."""
        return max(self.ahead_id, self.last_read_id, key=_in_stream_order)


class OutboxReader:
    """Reads those of its partitions that rang, as far as memory has space for their entries.

    The queues, and so the memory, are shared with the readers of other shards.

    The doorbell may miss a ring, and an id below the last read one may appear (see `_look`), so a
    few of the other partitions are looked at regularly, each in its turn.
    """

    def __init__(
        self,
        redis: CommandPipe,
        queues: Mapping[str, RoomQueues],
        *,
        on_read: Callable[[Entry], None],
        on_held: Callable[[Entry], None],
    ) -> None:
        """`redis`: the connection of the leases: what is read is in the Redis that granted them.

        `queues`: by the name that entries call them. `on_read` is called with each entry that was
        read, `on_held` with each that is held.
        """
        self._redis, self._queues = redis, queues
        self._on_read, self._on_held = on_read, on_held
        self._partitions: dict[int, Partition] = {}
        self._rung: dict[int, None] = {}
        self._turns = Turns(self._partitions.keys)
        self._look_at = self._ahead_at = 0.0
        self._changed = asyncio.Event()

    @property
    def partitions(self) -> Collection[int]:
        """The numbers of the partitions that are held."""
        return self._partitions.keys()

    @property
    def occupied(self) -> set[int]:
        """The partitions with entries, as far as is known."""
        return {n for n, one in self._partitions.items() if one.known} | self._rung.keys()

    def add(self, partitions: Iterable[int]) -> None:
        """Read these partitions, too, from their start."""
        for number in partitions:
            self._partitions[number] = Partition(number, keys.outbox(number).encode())
            self.ring(number)

    def drop(self, partitions: Set[int]) -> None:
        """Forget partitions and their entries: they are lost."""
        for number in partitions:
            del self._partitions[number]
            self._rung.pop(number, None)
        for queue in self._queues.values():
            queue.drop(partitions)

    def ring(self, partition: int) -> None:
        """Read a partition soon."""
        if partition in self._partitions:
            self._rung[partition] = None
            self._changed.set()

    def reread(self) -> None:
        """Read all partitions from their start: a reply was lost, which may have held entries."""
        for number, partition in self._partitions.items():
            partition.last_read_id = STREAM_START
            self.ring(number)

    def deleted(self, entry: Entry) -> None:
        """Forget an entry that Redis has deleted."""
        if entry.partition in self._partitions:
            self._partitions[entry.partition].known.discard(entry.entry_id)

    def space_freed(self) -> None:
        """Go on if memory was full: SQS accepted something."""
        self._changed.set()

    async def read(self, until: float) -> None:
        """Wait for a ring and read; return after one read, or at `until` (monotonic seconds).

        Raises RedisError.
        """
        self._start_rescans()
        count = self._entries_to_read()
        if not self._partitions or count < 1:
            await self._note_ahead()
            await self._wait(until)
            return
        if time.monotonic() >= self._look_at:
            await self._look()
            self._look_at = time.monotonic() + TURN_SECONDS
        if not self._rung:
            await self._wait(min(until, self._look_at))
        chosen = [self._partitions[n] for n in islice(self._rung, MAX_READ_PARTITIONS)]
        if chosen:
            await self._read(chosen, count)

    async def _wait(self, until: float) -> None:
        """Wait until something rings or memory has space."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await self._changed.wait()

    async def _read(self, chosen: list[Partition], count: int) -> None:
        """Read the next entries of partitions, `count` of each at most."""
        # A ring that comes from here on may be for an entry behind what this read finds.
        for partition in chosen:
            del self._rung[partition.number]
        behind = {one: one.last_read_id for one in chosen}
        found = await self._entries_behind(behind, count)
        rescan = self._partitions_to_rescan()
        for partition in chosen:
            entries = found.get(partition.stream, ())
            if len(entries) == count:
                self.ring(partition.number)  # there may be more
            # A truncated room got space while XREAD waited: the entries that were left behind come
            # before these, so these are dropped and the partition is read from its start (D3).
            # What was dropped meanwhile may be another relay's.
            is_held = self._partitions.get(partition.number) is partition
            if is_held and partition.number not in rescan:
                self._hold(partition, entries)
        if found:
            sparse = sum(map(len, found.values())) < SPARSE_READ_ENTRIES
            await asyncio.sleep(SPARSE_READ_LINGER_SECONDS if sparse else READ_LINGER_SECONDS)

    def _hold(self, partition: Partition, entries: Iterable[StreamEntry]) -> None:
        for entry_id, fields in entries:
            name = partition.last_read_id = entry_id.decode()
            if name in partition.known:
                continue
            try:
                entry = outbox.parse(partition.number, entry_id, _pairs(fields))
            except ValueError as error:
                # It stays in the stream as evidence, and is not read again by this process.
                log.error("outbox entry unreadable", extra={"entry": name, "error": str(error)})
                partition.known.add(name)
                continue
            self._on_read(entry)
            if self._queues[entry.queue].offer(entry):
                partition.known.add(name)
                self._on_held(entry)

    async def _note_ahead(self) -> None:
        """Note the heads of entries that cannot be held: lost publishes show while SQS is away."""
        if not self._rung or time.monotonic() < self._ahead_at:
            return
        self._ahead_at = time.monotonic() + AHEAD_SECONDS
        chosen = [self._partitions[number] for number in self._rung]
        found = await self._entries_behind(
            {one: one.next_ahead() for one in chosen}, MAX_READ_ENTRIES
        )
        for partition in chosen:
            for entry_id, fields in found.get(partition.stream, ()):
                partition.ahead_id = entry_id.decode()
                with suppress(ValueError):  # said when it is read to be sent
                    self._on_read(outbox.parse(partition.number, entry_id, _pairs(fields)))

    async def _entries_behind(
        self, behind: Mapping[Partition, str], count: int
    ) -> dict[bytes, list[StreamEntry]]:
        """Return the entries behind an id of each partition by stream, `count` of each at most."""
        groups = by_slot(self._redis, behind, lambda one: keys.outbox(one.number))
        reads: list[Command] = [
            (
                *("XREAD", "COUNT", count, "STREAMS"),
                *(one.stream for one in some),
                *(behind[one] for one in some),
            )
            for some in groups
        ]
        replies = await results_of(self._redis, reads)
        return {stream: entries for reply in replies for stream, entries in reply or ()}

    async def _look(self) -> None:
        """Read some partitions again from their start if they hold entries we never saw.

        An id before the last read one appears after a failover to a replica that was behind, or if
        the stream was deleted: Redis continues from the last id that it still knows.
        """
        some = self._turns.next()
        lengths = await results_of(self._redis, [("XLEN", keys.outbox(n)) for n in some])
        truncated = set().union(*(one.truncated_partitions() for one in self._queues.values()))
        for number, length in zip(some, lengths, strict=True):
            partition = self._partitions.get(number)
            if partition and length > len(partition.known) and number not in truncated:
                partition.last_read_id = STREAM_START
                self.ring(number)

    def _entries_to_read(self) -> int:
        """Return how many entries per partition the next read may bring; 0 while memory is full."""
        held = sum(one.held for one in self._queues.values())
        held_bytes = sum(one.held_bytes for one in self._queues.values())
        if held >= MAX_HELD_ENTRIES or held_bytes >= MAX_HELD_BYTES:
            return 0
        read_at_once = min(MAX_READ_PARTITIONS, max(1, len(self._rung)))
        share = (MAX_HELD_ENTRIES - held) // read_at_once
        return min(MAX_READ_ENTRIES, max(1, share))

    def _partitions_to_rescan(self) -> set[int]:
        return set().union(*(one.rescan for one in self._queues.values()))

    def _start_rescans(self) -> None:
        mine = self._partitions_to_rescan() & self._partitions.keys()
        for number in mine:
            self._partitions[number].last_read_id = STREAM_START
            self.ring(number)
        for queue in self._queues.values():
            queue.rescan -= mine


def _in_stream_order(entry_id: str) -> tuple[int, int]:
    time_ms, _, number = entry_id.partition("-")
    return int(time_ms), int(number)


def _pairs(fields: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(fields[::2], fields[1::2], strict=True))
