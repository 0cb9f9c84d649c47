"""A model of the message queue: which records wait for which, in simulated time."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from itertools import count
from math import inf

RECORDS_LOOKED_AT = 120_000
"""The oldest records, among which SQS looks for groups that are free: "Avoid large message backlogs
with the same message group ID" in the SQS developer guide."""
BATCH_RECORDS = 10
"""Records of a batch at most (Amazon SQS quotas)."""


def stored(
    sent: Iterable[tuple[float, str]], functions: int, batch_seconds: float
) -> Iterator[tuple[str, float]]:
    """Yield (room, seconds from sending to storing) of records, in the order of storing.

    Args:
        sent: (seconds, room) of each record, ascending.
        functions: How many run at once, from second 0 on. What was sent before waits for them.
        batch_seconds: How long one takes for a batch, which is of one room.
    """
    coming, numbers, now, seen = iter(sent), count(), 0.0, 0
    waiting: defaultdict[str, deque[float]] = defaultdict(deque)
    free: deque[str] = deque()  # rooms with records, of which none is in flight
    running: list[tuple[float, int, str, list[float]]] = []
    following = next(coming, None)
    while following or running or free:
        while following and seen < RECORDS_LOOKED_AT and following[0] <= now:
            at, room = following
            if not waiting[room] and all(room != one[2] for one in running):
                free.append(room)
            waiting[room].append(at)
            seen, following = seen + 1, next(coming, None)
        while free and len(running) < functions:
            room = free.popleft()
            batch = [waiting[room].popleft() for _ in range(min(BATCH_RECORDS, len(waiting[room])))]
            heapq.heappush(running, (now + batch_seconds, next(numbers), room, batch))
        arrives = following[0] if following and seen < RECORDS_LOOKED_AT else inf
        if running and running[0][0] <= arrives:
            now, _, room, batch = heapq.heappop(running)
            seen -= len(batch)
            yield from ((room, now - at) for at in batch)
            if waiting[room]:
                free.append(room)
        else:
            now = arrives
