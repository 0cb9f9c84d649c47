"""What goes out of one connection, bounded by bytes: it waits for a poll, or leaves by a wire."""

from __future__ import annotations

import asyncio
from typing import Any

from rts_server.engine.packets import framed
from rts_server.engine.wire import Wire

MOST_BYTES = 1024 * 1024


class Outgoing(asyncio.Queue[Any]):
    """Packets on their way. Only what is offered is refused; the engine's own packets are tiny."""

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self.ended = False
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

    def offer(self, packet: Any) -> bool:
        """Queue a packet, unless more than 1 MiB would wait."""
        if self.bytes + size(packet) > MOST_BYTES:
            return False
        self.put_nowait(packet)
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
