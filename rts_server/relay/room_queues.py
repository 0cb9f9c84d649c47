"""Decides which outbox entries of one queue are sent next, and keeps each room in log order.

Pure: no I/O and no clock, so that every interleaving can be tested.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import groupby, islice

from rts_server.persistence.outbox import Entry, Key
from rts_server.runtime.backoff import backoff

MAX_BATCH_ENTRIES = 10
"""Entries of one SendMessageBatch (Amazon SQS quotas)."""
MAX_BATCH_BYTES = 1024 * 1024
"""Bytes of one SendMessageBatch, all entries together (Amazon SQS quotas)."""
MAX_ROOM_ENTRIES = 200
"""Entries of one room that are held in memory; the rest of its entries stays in the stream."""


@dataclass
class RoomQueue:
    """The entries of one room in log order. The first `in_flight` of them are being sent.

    `truncated`: the reader left later entries of this room in the stream, so that a room whose
    entries are refused does not fill the memory. The partition is read again when there is space.
    `orphaned`: the partition was lost while entries were in flight; another relay owns them now.
    """

    partition: int
    entries: deque[Entry] = field(default_factory=deque)
    in_flight: int = 0
    failures: int = 0
    truncated: bool = False
    orphaned: bool = False

    def head(self, max_entries: int, max_bytes: int, at_least_one: bool) -> list[Entry]:
        """Return the entries that may be sent next, without removing them.

        `at_least_one`: the first entry is returned even if it is larger than `max_bytes`.
        A barrier is sent alone: everything queued before it in its room is accepted by then, which
        is what it proves.
        """
        chosen: list[Entry] = []
        bytes_left = max_bytes
        for entry in islice(self.entries, max_entries):
            bytes_left -= entry.size
            is_barrier = entry.nonce is not None
            if (bytes_left < 0 and not (at_least_one and not chosen)) or (chosen and is_barrier):
                break
            chosen.append(entry)
            if is_barrier:
                break
        return chosen


class RoomQueues:
    """The entries of all rooms of one queue.

    Guarantee: a room has at most one batch in flight, and its entries are sent in log order (D3).

    `now` parameters are monotonic seconds. `held` and `held_bytes` count the entries in memory.
    `rescan` collects the partitions that must be read again from the start, because a truncated
    room has space again.
    """

    def __init__(self) -> None:
        self._rooms: dict[str, RoomQueue] = {}
        self._ready: dict[str, None] = {}
        self._waiting: list[tuple[float, str]] = []
        self._batches_in_flight = 0
        self._failures = 0
        self._closed_until = 0.0
        self.held = 0
        self.held_bytes = 0
        self.rescan: set[int] = set()

    def offer(self, entry: Entry) -> bool:
        """Append an entry to its room's queue. Return False if it must stay in the stream.

        Once one entry of a room was left behind, all later ones are too: taking a later one would
        send it before the one left behind.
        """
        room = self._rooms.setdefault(entry.room_id, RoomQueue(entry.partition))
        if room.truncated or len(room.entries) >= MAX_ROOM_ENTRIES:
            room.truncated = True
            return False
        room.entries.append(entry)
        self._count(1, entry.size)
        if not room.in_flight and not room.failures:
            self._ready[entry.room_id] = None
        return True

    def take(self, now: float) -> list[Entry]:
        """Return the next batch, empty if nothing may be sent; pass it to `finish_batch` later.

        After a request failed as a whole, one batch at a time is tried until one succeeds.
        """
        self._wake_due_rooms(now)
        if now < self._closed_until or (self._failures and self._batches_in_flight):
            return []
        batch: list[Entry] = []
        bytes_left = MAX_BATCH_BYTES
        while self._ready and len(batch) < MAX_BATCH_ENTRIES:
            room_id = next(iter(self._ready))
            room = self._rooms[room_id]
            max_entries = MAX_BATCH_ENTRIES - len(batch)
            chosen = room.head(max_entries, bytes_left, at_least_one=not batch)
            if not chosen:
                break
            del self._ready[room_id]
            room.in_flight = len(chosen)
            batch += chosen
            bytes_left -= sum(entry.size for entry in chosen)
        self._batches_in_flight += bool(batch)
        return batch

    def finish_batch(
        self, batch: list[Entry], accepted: Collection[Key] | None, now: float
    ) -> list[Entry]:
        """Record the result of a batch: the keys SQS accepted, or None if the request failed.

        Return the accepted entries that this relay still owns and may delete from the outbox.
        """
        self._batches_in_flight -= 1
        self._failures = self._failures + 1 if accepted is None else 0
        self._closed_until = now + backoff(self._failures) if self._failures else 0.0
        done: list[Entry] = []
        for room_id, sent in groupby(batch, key=lambda entry: entry.room_id):
            done += self._finish_room(room_id, list(sent), accepted, now)
        return done

    def _finish_room(
        self, room_id: str, sent: list[Entry], accepted: Collection[Key] | None, now: float
    ) -> list[Entry]:
        room = self._rooms[room_id]
        for entry in sent:
            room.entries.popleft()
            self._count(-1, entry.size)
        room.in_flight, orphaned, room.orphaned = 0, room.orphaned, False
        if orphaned:
            done, refused = [], []
        else:
            done = [entry for entry in sent if accepted and entry.key in accepted]
            refused = [entry for entry in sent if not accepted or entry.key not in accepted]
        # Refused entries go back to the front, in their old order: nothing of the room may
        # overtake them. A record that SQS already had is deduplicated or is harmless (D8).
        for entry in reversed(refused):
            room.entries.appendleft(entry)
            self._count(1, entry.size)
        room.failures = room.failures + 1 if refused and accepted is not None else 0
        self._reschedule(room_id, room, now)
        return done

    def _reschedule(self, room_id: str, room: RoomQueue, now: float) -> None:
        """Put a room where it waits after its batch; forget it if it is empty."""
        if room.truncated and len(room.entries) <= MAX_ROOM_ENTRIES // 2:
            room.truncated = False
            self.rescan.add(room.partition)
        if not room.entries:
            del self._rooms[room_id]
        elif room.failures:
            heapq.heappush(self._waiting, (now + backoff(room.failures), room_id))
        else:
            self._ready[room_id] = None

    def drop(self, partitions: Collection[int]) -> None:
        """Forget partitions that were lost.

        Entries in flight stay until their batch ends: if the partition comes back before that,
        nothing of the same room may overtake them.
        """
        lost = [one for one in self._rooms.items() if one[1].partition in partitions]
        for room_id, room in lost:
            while len(room.entries) > room.in_flight:
                self._count(-1, room.entries.pop().size)
            room.truncated, room.failures, room.orphaned = False, 0, bool(room.in_flight)
            self._ready.pop(room_id, None)
            if not room.in_flight:
                del self._rooms[room_id]
        self.rescan.difference_update(partitions)

    def seconds_until_due(self, now: float) -> float | None:
        """Return the seconds until something may be sent.

        None: only a new entry or the result of a batch in flight can change that.
        """
        if self._failures and self._batches_in_flight:
            return None
        times = [self._closed_until] if self._ready else []
        times += [max(self._waiting[0][0], self._closed_until)] if self._waiting else []
        return max(0.0, min(times) - now) if times else None

    def truncated_partitions(self) -> set[int]:
        """Return the partitions of which entries were left in the stream on purpose."""
        return {room.partition for room in self._rooms.values() if room.truncated}

    def _wake_due_rooms(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            room_id = heapq.heappop(self._waiting)[1]
            room = self._rooms.get(room_id)
            if room and room.entries and not room.in_flight:
                self._ready[room_id] = None

    def _count(self, entries: int, size: int) -> None:
        self.held += entries
        self.held_bytes += entries * size
