"""The outgoing queue of one connection, bounded by bytes."""

from __future__ import annotations

import asyncio
from typing import Any

MOST_BYTES = 1024 * 1024


class Outgoing(asyncio.Queue[Any]):
    """Packets on their way. Only what is offered is refused; the engine's own packets are tiny."""

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self.bytes = 0
        self.ended = False

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

    def _put(self, item: Any) -> None:
        self.bytes += size(item)
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        self.bytes -= size(item)
        return item


def size(packet: Any) -> int:
    """Bytes a packet holds, by its text (a character counts as one: the encoding is shared)."""
    data = getattr(packet, "data", None)
    return len(data) if isinstance(data, str | bytes) else 2
