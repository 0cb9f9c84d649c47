"""Which pending appends are asked for, and the memory that late ones hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import orjson

from rts_server import keys
from rts_server.roomlog.pending import PendingAppend
from rts_server.roomlog.request import AppendRequest

POLL_SECONDS = 1.0
"""Time between two polls for appends of one partition, however many of its appends are late."""
POLLS_PER_SECOND = 64
"""Polls per second at most: if more partitions have late appends, each is polled less often."""
APPEND_MEMORY_BYTES = 4096
"""Memory of a pending append without its texts: 3.7 KB for a message, measured by tracemalloc."""


class LateAppends:
    """The appends whose notice is late. `held_bytes`: the memory that they hold, about."""

    def __init__(self) -> None:
        self.held_bytes = 0
        self._polled_at: dict[int, float] = {}

    def due(self, pendings: Iterable[PendingAppend], now: float) -> list[PendingAppend]:
        """Return those to ask for at this loop time, of partitions that were not just polled."""
        late: dict[int, list[PendingAppend]] = defaultdict(list)
        for pending in pendings:
            if pending.next_poll <= now:
                self._count(pending)
                if not pending.busy:
                    late[keys.partition(pending.request.room_id)].append(pending)
        before = now - POLL_SECONDS * max(1.0, len(late) / POLLS_PER_SECOND)
        polled = [one for one in late if self._polled_at.get(one, before) <= before]
        self._polled_at |= dict.fromkeys(polled[:POLLS_PER_SECOND], now)
        return [pending for one in polled[:POLLS_PER_SECOND] for pending in late[one]]

    def _count(self, pending: PendingAppend) -> None:
        if not pending.held_bytes:
            pending.held_bytes = _memory_of(pending.request)
            self.held_bytes += pending.held_bytes

    def resolved(self, pending: PendingAppend) -> None:
        """Free the memory of an append whose durability is known."""
        self.held_bytes -= pending.held_bytes
        pending.held_bytes = 0


def _memory_of(request: AppendRequest) -> int:
    texts = sum(len(orjson.dumps(event.data)) for event in request.events)
    return APPEND_MEMORY_BYTES + texts
