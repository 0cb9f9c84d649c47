"""Which entries travel next: pure decisions about the order of rooms within one queue."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import groupby, islice

from rts_server.persistence.outbox import Entry, Key
from rts_server.runtime.loops import backoff

BATCH_ENTRIES = 10
BATCH_BYTES = 1024 * 1024
LANE_ENTRIES = 200


@dataclass
class RoomQueue:
    """The entries of one room in log order. The first `flying` of them are on their way.

    `cut`: the reader had to leave later entries of the room in the stream, so that one room that
    stands still does not fill the memory; they are read again when the lane has room.
    `orphaned`: what flies belongs to somebody else by now.
    """

    part: int
    entries: deque[Entry] = field(default_factory=deque)
    flying: int = 0
    failures: int = 0
    cut: bool = False
    orphaned: bool = False

    def head(self, count: int, size: int, forced: bool) -> list[Entry]:
        """What may go next within `count` entries and `size` bytes; `forced`: at least one.

        A barrier goes alone: everything of its room before it has been accepted by then.
        """
        chosen: list[Entry] = []
        for entry in islice(self.entries, count):
            size -= entry.size
            if (size < 0 and not (forced and not chosen)) or (chosen and entry.nonce is not None):
                break
            chosen.append(entry)
            if entry.nonce is not None:
                break
        return chosen


class RoomQueues:
    """All rooms of one queue. Guarantee: a room has at most one batch on its way, in log order.

    `now` is any monotonic time in seconds. `hungry` collects the partitions that must be read again
    from the start, because a lane that was cut has room again.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, RoomQueue] = {}
        self._ready: dict[str, None] = {}
        self._waiting: list[tuple[float, str]] = []
        self._batches = 0
        self._failures = 0
        self._closed_until = 0.0
        self.held = 0
        self.size = 0
        self.hungry: set[int] = set()

    def offer(self, entry: Entry) -> bool:
        """Put an entry behind the others of its room; False when the reader must leave it."""
        lane = self._lanes.setdefault(entry.room_id, RoomQueue(entry.part))
        if lane.cut or len(lane.entries) >= LANE_ENTRIES:
            lane.cut = True
            return False
        lane.entries.append(entry)
        self._count(1, entry.size)
        if not lane.flying and not lane.failures:
            self._ready[entry.room_id] = None
        return True

    def take(self, now: float) -> list[Entry]:
        """The next batch, empty when nothing may go; `settle` must follow for it.

        After a request failed as a whole one batch at a time tries, until one gets through.
        """
        self._rouse(now)
        if now < self._closed_until or (self._failures and self._batches):
            return []
        batch: list[Entry] = []
        room_left = BATCH_BYTES
        while self._ready and len(batch) < BATCH_ENTRIES:
            room_id = next(iter(self._ready))
            lane = self._lanes[room_id]
            chosen = lane.head(BATCH_ENTRIES - len(batch), room_left, forced=not batch)
            if not chosen:
                break
            del self._ready[room_id]
            lane.flying = len(chosen)
            batch += chosen
            room_left -= sum(entry.size for entry in chosen)
        self._batches += bool(batch)
        return batch

    def settle(
        self, batch: list[Entry], accepted: Collection[Key] | None, now: float
    ) -> list[Entry]:
        """What became of a batch: the keys that SQS accepted, None when the request itself failed.

        Answers those accepted entries that are still ours to delete.
        """
        self._batches -= 1
        self._failures = self._failures + 1 if accepted is None else 0
        self._closed_until = now + backoff(self._failures) if self._failures else 0.0
        done: list[Entry] = []
        for room_id, sent in groupby(batch, key=lambda entry: entry.room_id):
            done += self._land(room_id, list(sent), accepted, now)
        return done

    def _land(
        self, room_id: str, sent: list[Entry], accepted: Collection[Key] | None, now: float
    ) -> list[Entry]:
        lane = self._lanes[room_id]
        for entry in sent:
            lane.entries.popleft()
            self._count(-1, entry.size)
        lane.flying, orphaned, lane.orphaned = 0, lane.orphaned, False
        if orphaned:
            done, refused = [], []
        else:
            done = [entry for entry in sent if accepted and entry.key in accepted]
            refused = [entry for entry in sent if not accepted or entry.key not in accepted]
        for entry in reversed(refused):
            lane.entries.appendleft(entry)
            self._count(1, entry.size)
        lane.failures = lane.failures + 1 if refused and accepted is not None else 0
        self._park(room_id, lane, now)
        return done

    def _park(self, room_id: str, lane: RoomQueue, now: float) -> None:
        """Where a lane waits after its batch; a lane with nothing left is forgotten."""
        if lane.cut and len(lane.entries) <= LANE_ENTRIES // 2:
            lane.cut = False
            self.hungry.add(lane.part)
        if not lane.entries:
            del self._lanes[room_id]
        elif lane.failures:
            heapq.heappush(self._waiting, (now + backoff(lane.failures), room_id))
        else:
            self._ready[room_id] = None

    def drop(self, part: int) -> None:
        """Forget a partition; what is on its way stays until it is settled, so that nothing of
        the same room overtakes it."""
        for room_id, lane in [one for one in self._lanes.items() if one[1].part == part]:
            while len(lane.entries) > lane.flying:
                self._count(-1, lane.entries.pop().size)
            lane.cut, lane.failures, lane.orphaned = False, 0, bool(lane.flying)
            self._ready.pop(room_id, None)
            if not lane.flying:
                del self._lanes[room_id]
        self.hungry.discard(part)

    def due(self, now: float) -> float | None:
        """Seconds until something may go; None when only an offer or a settled batch can help."""
        if self._failures and self._batches:
            return None
        times = [self._closed_until] if self._ready else []
        times += [max(self._waiting[0][0], self._closed_until)] if self._waiting else []
        return max(0.0, min(times) - now) if times else None

    def full(self) -> bool:
        """Whether a batch would be full: lingering could not add to it."""
        found = 0
        for room_id in self._ready:
            found += len(self._lanes[room_id].entries)
            if found >= BATCH_ENTRIES:
                return True
        return False

    def cut(self, part: int) -> bool:
        """Whether entries of this partition were left in the stream on purpose."""
        return any(lane.cut for lane in self._lanes.values() if lane.part == part)

    def _rouse(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            room_id = heapq.heappop(self._waiting)[1]
            lane = self._lanes.get(room_id)
            if lane and lane.entries and not lane.flying:
                self._ready[room_id] = None

    def _count(self, entries: int, size: int) -> None:
        self.held += entries
        self.size += entries * size
