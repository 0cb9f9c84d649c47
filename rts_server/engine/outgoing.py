"""What goes out of one connection, bounded by bytes: it waits for a poll, or leaves by a wire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from rts_server import metrics
from rts_server.engine.packets import Encoded, framed
from rts_server.engine.transport import MOST_BYTES, WebSocketTransport

SPARE_BYTES = MOST_BYTES // 16
"""While more waits for a reader, what is only nice to know is not written."""


class Waiting(asyncio.Queue[Any]):
    """Packets for a poll. `bytes`: what they hold."""

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self.bytes = 0

    def _put(self, item: Any) -> None:
        self.bytes += size(item)
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        self.bytes -= size(item)
        return item


class OutgoingQueue:
    """Packets on their way. The engine's own are tiny and always taken.

    `slow`: told when a reader left 1 MiB waiting.
    """

    __slots__ = ("_waiting", "_wire", "ended", "slow")

    def __init__(self) -> None:
        self.ended = False
        self.slow: Callable[[], None] = _nobody
        self._wire: WebSocketTransport | None = None
        self._waiting: Waiting | None = None

    @property
    def bytes(self) -> int:
        """That wait, in whatever buffer of this process."""
        if self._wire is not None:
            return self._wire.waiting
        return 0 if self._waiting is None else self._waiting.bytes

    def carry(self, wire: WebSocketTransport) -> None:
        """Let all go out by this WebSocket from now on, first what waits."""
        self._wire = wire
        while self._waiting is not None and not self._waiting.empty():
            self.put_nowait(self._waiting.get_nowait())
            self._waiting.task_done()

    @property
    def waiting(self) -> Waiting:
        """What waits for a poll. Only a polling client has any: it is made when it is needed."""
        if self._waiting is None:
            self._waiting = Waiting()
        return self._waiting

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
        if self.bytes + size(packet) > MOST_BYTES:
            return False
        self.waiting.put_nowait(packet)
        return True

    def end(self, *last: Any) -> None:
        """Last packets, whatever waits, then the end of the connection."""
        self.ended = True
        for packet in (*last, None):
            self.put_nowait(packet)

    def put_nowait(self, item: Any) -> None:
        """Queue a packet, or the end (None)."""
        if self._wire is None:
            self.waiting.put_nowait(item)
        elif item is None:
            self._wire.end()
        else:
            self._wire.write(framed(item))

    # For the library, which takes it for a queue

    async def put(self, item: Any) -> None:
        """The same: there is always room."""
        self.put_nowait(item)

    async def get(self) -> Any:
        """The next packet for a poll; it waits for one."""
        packet = await self.waiting.get()
        self.waiting.task_done()
        return packet

    def get_nowait(self) -> Any:
        """The next packet for a poll. Raises QueueEmpty."""
        packet = self.waiting.get_nowait()
        self.waiting.task_done()
        return packet

    async def join(self) -> None:
        """Return when all are."""
        await self.waiting.join()


def _nobody() -> None:
    """Nobody is told."""


def size(packet: Any) -> int:
    """Bytes a packet holds, by its text (a character counts as one: the encoding is shared)."""
    data = getattr(packet, "data", None)
    return len(data) if isinstance(data, str | bytes) else 2
