"""What goes out of one connection, bounded by bytes: it waits for a poll, or leaves by a wire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from rts_server import metrics
from rts_server.engine.packets import Encoded, framed
from rts_server.engine.wire import MOST_BYTES, Wire

SPARE_BYTES = MOST_BYTES // 16
"""While more waits for a reader, what is only nice to know is not written."""


class Outgoing(asyncio.Queue[Any]):
    """Packets on their way. The engine's own are tiny and always taken.

    `slow`: told when a reader left 1 MiB waiting.
    """

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self.ended = False
        self.slow: Callable[[], None] = lambda: None
        self._queued = 0
        self._wire: Wire | None = None

    @property
    def bytes(self) -> int:
        """That wait, in whatever buffer of this process."""
        return self._queued if self._wire is None else self._wire.waiting

    def carry(self, wire: Wire) -> None:
        """Let all go out by this WebSocket from now on, first what waits."""
        waited = [self.get_nowait() for _ in range(self.qsize())]
        self._wire = wire
        for packet in waited:
            self.task_done()
            self.put_nowait(packet)

    def write(self, packet: Encoded) -> None:
        """Send a packet, unless the end was said or more than 1 MiB would wait. Never blocks."""
        if self.ended:
            return
        wire = self._wire
        if not (self._offer(packet) if wire is None else wire.offer(packet.frame)):
            self.slow()

    def spare(self, packet: Encoded) -> bool:
        """Send what a slow reader can do without; False when it was shed."""
        if self.bytes > SPARE_BYTES:
            metrics.SHED.labels("packet").inc()
            return False
        self.write(packet)
        return True

    def _offer(self, packet: Encoded) -> bool:
        if self._queued + size(packet) > MOST_BYTES:
            return False
        super().put_nowait(packet)
        return True

    def end(self, *last: Any) -> None:
        """Last packets, whatever waits, then the end of the connection."""
        self.ended = True
        for packet in (*last, None):
            self.put_nowait(packet)

    def put_nowait(self, item: Any) -> None:
        """Queue a packet, or the end (None)."""
        if self._wire is None:
            super().put_nowait(item)
        elif item is None:
            self._wire.end()
        else:
            self._wire.write(framed(item))

    def _put(self, item: Any) -> None:
        self._queued += size(item)
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        self._queued -= size(item)
        return item


def size(packet: Any) -> int:
    """Bytes a packet holds, by its text (a character counts as one: the encoding is shared)."""
    data = getattr(packet, "data", None)
    return len(data) if isinstance(data, str | bytes) else 2
