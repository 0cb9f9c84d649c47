"""Sends read and delivered cursors from Redis to their queue, a while after they moved."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import orjson

from rts_server import keys, metrics
from rts_server.config import ms
from rts_server.persistence.outbox import Entry, Key
from rts_server.persistence.queues import SqsQueue
from rts_server.persistence.scripts import Script, ScriptCall
from rts_server.redis_client.pipeline import CommandPipe, by_slot
from rts_server.relay.room_queues import MAX_BATCH_ENTRIES
from rts_server.relay.turns import Turns
from rts_server.runtime.loops import repeat_forever
from rts_server.runtime.throttled_log import ThrottledLog

_DUE = Script(Path(__file__).with_name("cursors_due.lua"))
_SENT = Script(Path(__file__).with_name("cursors_sent.lua"))

CURSOR_QUEUE_SLOTS = 2
"""Requests to SQS in flight at most, of all shards."""
FLUSH_SECONDS = 1.0
"""Time between two flushes."""
MAX_CURSORS = 500
"""Cursors that one script reads or forgets: it holds Redis up for a few milliseconds at most."""
MAX_PARTITIONS = 64
"""Partitions that one script looks at."""
SCRIPTS_AT_ONCE = 50
"""Scripts that are sent together to a shard of a cluster."""
MAX_RECORD_MEMBERS = 25
"""Members in one record: a function writes them one after the other."""
QUEUE = "c"
"""What the queue of cursors is called in an entry."""

log = logging.getLogger(__name__)


class DirtyCursor(NamedTuple):
    """A cursor that is due. `word`: room and user."""

    partition: int
    word: str
    read_seq: int
    delivered_seq: int


@dataclass(frozen=True)
class CursorRecord:
    """A record of cursors of one room, as SQS gets it, and what it was made of."""

    entry: Entry
    cursors: tuple[DirtyCursor, ...]


class CursorFlush:
    """Flushes the partitions of one shard with dirty cursors every second.

    A partition rings when it gets its first dirty cursor, and is looked at until it has none. A
    ring may be missed, so some of the others are looked at with each flush, each in its turn.

    Cursors do not go through the outbox: they have no order, nobody waits for them, and changes of
    members must not wait behind them. They stay dirty in Redis until SQS accepted them, so a crash
    sends some twice, which is harmless (D8).

    `slots`: CURSOR_QUEUE_SLOTS, shared with the other shards. `partitions` returns the numbers of
    those held.
    `again`: seconds after which a cursor that moved while it was sent is due again.
    """

    def __init__(
        self,
        redis: CommandPipe,
        queue: SqsQueue,
        slots: asyncio.Semaphore,
        partitions: Callable[[], Collection[int]],
        again: float,
    ) -> None:
        self._redis, self._queue, self._partitions = redis, queue, partitions
        self._again_ms = ms(again)
        self._slots = slots
        self._dirty: set[int] = set()
        self._turns = Turns(partitions)
        self._relayed = metrics.RELAYED.labels(queue.name)
        self._throttled_log = ThrottledLog(log)

    async def run_forever(self) -> None:
        """Flush until cancelled. A failed flush is repeated."""
        await repeat_forever("cursor flush", self._wait_and_flush)

    async def _wait_and_flush(self) -> None:
        await asyncio.sleep(FLUSH_SECONDS)
        await self.flush()

    async def flush(self) -> int:
        """Send the cursors that are due; return how many SQS accepted. Raises RedisError."""
        self._dirty.update(self._turns.next())
        dirty = list(self._dirty & set(self._partitions()))
        random.shuffle(dirty)  # none comes last each time
        done = 0
        while due := await self._due(dirty):
            accepted = await self._send(list(_records(due)))
            await self._forget(accepted)
            done += len(accepted)
            if len(accepted) < len(due) or len(due) < MAX_CURSORS:
                break  # what was not accepted is tried again with the next flush
        return done

    def ring(self, partition: int) -> None:
        """Look at a partition with the next flush: it has dirty cursors."""
        self._dirty.add(partition)

    def drop(self, partitions: Set[int]) -> None:
        """Forget partitions that were lost."""
        self._dirty -= partitions

    async def _due(self, partitions: Sequence[int]) -> list[DirtyCursor]:
        """Return cursors that are due, MAX_CURSORS at most; of a cluster, of each script."""
        found: list[DirtyCursor] = []
        for scripts in self._waves(partitions):
            # A ring that comes from here on may be for a cursor that the script does not see.
            self._dirty.difference_update(*scripts)
            try:
                found += await self._due_in(scripts, MAX_CURSORS - len(found))
            except BaseException:
                self._dirty.update(*scripts)
                raise
            if len(found) >= MAX_CURSORS:
                break
        return found

    async def _due_in(self, scripts: Sequence[Sequence[int]], most: int) -> list[DirtyCursor]:
        """Return cursors that are due, `most` at most of the partitions of each script."""
        calls: list[ScriptCall] = []
        for some in scripts:
            dirty, prefixes = _keys(some)
            calls.append((dirty, [most, *prefixes]))
        found: list[DirtyCursor] = []
        answers = await _DUE.evaluate_many(self._redis, calls)
        for some, (due, left) in zip(scripts, answers, strict=True):
            self._dirty.update(some[place - 1] for place in left)
            found += (
                DirtyCursor(some[place - 1], word.decode(), read, delivered)
                for place, word, read, delivered in due
            )
        return found

    async def _forget(self, accepted: list[DirtyCursor]) -> None:
        of_partition: dict[int, list[DirtyCursor]] = defaultdict(list)
        for one in accepted:
            of_partition[one.partition].append(one)
        for scripts in self._waves(sorted(of_partition)):
            calls = [self._sent_call(some, of_partition) for some in scripts]
            await _SENT.evaluate_many(self._redis, calls)

    def _sent_call(
        self, some: Sequence[int], accepted: Mapping[int, list[DirtyCursor]]
    ) -> ScriptCall:
        sent = [[place, *one[1:]] for place, n in enumerate(some, 1) for one in accepted[n]]
        dirty, prefixes = _keys(some)
        return dirty, [self._again_ms, orjson.dumps(sent).decode(), *prefixes]

    def _waves(self, partitions: Sequence[int]) -> Iterator[Sequence[Sequence[int]]]:
        """Yield the partitions of each script, in lists of scripts that are sent together.

        Of one Redis a script has many partitions, and goes alone. On a cluster it has those of one
        slot, and there are many.
        """
        scripts = [
            some[at : at + MAX_PARTITIONS]
            for some in by_slot(self._redis, partitions, keys.dirty_cursors)
            for at in range(0, len(some), MAX_PARTITIONS)
        ]
        size = SCRIPTS_AT_ONCE if self._redis.channels.sharded else 1
        for at in range(0, len(scripts), size):
            yield scripts[at : at + size]

    async def _send(self, records: list[CursorRecord]) -> list[DirtyCursor]:
        """Return the cursors that SQS accepted; after a batch that failed no more are sent."""
        accepted: set[Key] = set()
        wave = CURSOR_QUEUE_SLOTS * MAX_BATCH_ENTRIES
        for at in range(0, len(records), wave):
            batches = _batches(records[at : at + wave])
            answers = await asyncio.gather(*map(self._send_batch, batches))
            accepted.update(*filter(None, answers))
            if None in answers:
                break
        self._relayed.inc(len(accepted))
        metrics.RELAY_REFUSED.inc(len(records) - len(accepted))
        sent = (one.cursors for one in records if one.entry.key in accepted)
        return [cursor for cursors in sent for cursor in cursors]

    async def _send_batch(self, batch: list[CursorRecord]) -> set[Key] | None:
        try:
            async with self._slots:
                return await self._queue.send([one.entry for one in batch])
        except Exception as error:  # of any kind: they are due again with the next flush
            self._throttled_log.warning(f"{self._queue.name} does not answer", error)
            return None


def _batches(records: list[CursorRecord]) -> list[list[CursorRecord]]:
    starts = range(0, len(records), MAX_BATCH_ENTRIES)
    return [records[at : at + MAX_BATCH_ENTRIES] for at in starts]


def _keys(partitions: Sequence[int]) -> tuple[list[str], list[str]]:
    dirty = [keys.dirty_cursors(one) for one in partitions]
    return dirty, [keys.room_prefix(one) for one in partitions]


def _records(due: list[DirtyCursor]) -> Iterator[CursorRecord]:
    """Yield the records of cursors: of one room each, with MAX_RECORD_MEMBERS at most."""
    rooms: dict[str, list[DirtyCursor]] = {}
    for cursor in due:
        rooms.setdefault(cursor.word.partition(" ")[0], []).append(cursor)
    number = 0
    for room_id, cursors in rooms.items():
        for at in range(0, len(cursors), MAX_RECORD_MEMBERS):
            some = tuple(cursors[at : at + MAX_RECORD_MEMBERS])
            entry = Entry(
                partition=some[0].partition,
                entry_id=str(number),
                queue=QUEUE,
                room_id=room_id,
                position="",
                request_id="",
                origin="",
                body=_body(room_id, some),
            )
            number += 1
            yield CursorRecord(entry, some)


def _body(room_id: str, cursors: Iterable[DirtyCursor]) -> str:
    members = [
        {
            "user_id": one.word.partition(" ")[2],
            "read_seq": one.read_seq,
            "delivered_seq": one.delivered_seq,
        }
        for one in cursors
    ]
    return orjson.dumps({"v": 1, "cursors": {"room_id": room_id, "members": members}}).decode()
