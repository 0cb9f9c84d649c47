"""The outgoing packets of one connection, bounded by bytes: for a poll or for a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from rts_server import metrics
from rts_server.engine.packets import Encoded, framed
from rts_server.engine.transport import MAX_PENDING_BYTES, WebSocketTransport

MAX_DROPPABLE_PENDING_BYTES = MAX_PENDING_BYTES // 16
"""While more bytes than this wait for a reader, ephemeral packets to it are dropped."""


class PollQueue(asyncio.Queue[Any]):
    """Packets that wait for a poll. `bytes`: their size."""

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


def _ignore() -> None:
    """Do nothing."""


class OutgoingQueue:
    """The packets that a connection is sent. Never blocks; memory is bounded (R1).

    `on_overflow`: called when a packet does not fit, because 1 MiB waits for the reader.
    The engine's own packets are tiny, and are always taken.
    """

    __slots__ = ("_on_overflow", "_poll_queue", "_transport", "ended")

    def __init__(self, on_overflow: Callable[[], None] = _ignore) -> None:
        self.ended = False
        self._on_overflow = on_overflow
        self._transport: WebSocketTransport | None = None
        self._poll_queue: PollQueue | None = None

    @property
    def bytes(self) -> int:
        """Bytes that wait in the buffers of this process."""
        if self._transport is not None:
            return self._transport.pending_bytes
        return 0 if self._poll_queue is None else self._poll_queue.bytes

    def attach(self, transport: WebSocketTransport) -> None:
        """Send everything by this WebSocket from now on.

        What waits for a poll is sent first, so that an upgrade keeps the order of packets (D3).
        """
        self._transport = transport
        while self._poll_queue is not None and not self._poll_queue.empty():
            self.put_nowait(self._poll_queue.get_nowait())
            self._poll_queue.task_done()

    @property
    def waiting(self) -> PollQueue:
        """The packets that wait for a poll; created on first use, as few clients poll."""
        if self._poll_queue is None:
            self._poll_queue = PollQueue()
        return self._poll_queue

    def write(self, packet: Encoded) -> None:
        """Send a packet, unless the connection has ended or more than 1 MiB would wait."""
        if self.ended:
            return
        transport = self._transport
        taken = self._offer(packet) if transport is None else transport.try_write(packet.frame)
        if not taken:
            self._on_overflow()

    def write_droppable(self, packet: Encoded) -> bool:
        """Send an ephemeral packet; return False if it was dropped because the reader is slow."""
        if self.bytes > MAX_DROPPABLE_PENDING_BYTES:
            metrics.SHED.labels("packet").inc()
            return False
        self.write(packet)
        return True

    def _offer(self, packet: Encoded) -> bool:
        if self.bytes + size(packet) > MAX_PENDING_BYTES:
            return False
        self.waiting.put_nowait(packet)
        return True

    def end(self, *last_packets: Any) -> None:
        """Send these packets behind everything that waits, then close the connection."""
        self.ended = True
        for packet in (*last_packets, None):
            self.put_nowait(packet)

    def put_nowait(self, item: Any) -> None:
        """Send a packet without a bound, or the end of the connection (None)."""
        if self._transport is None:
            self.waiting.put_nowait(item)
        elif item is None:
            self._transport.close()
        else:
            self._transport.write(framed(item))

    # The interface of asyncio.Queue, as which python-engineio uses it

    async def put(self, item: Any) -> None:
        """Send a packet without a bound. Never waits."""
        self.put_nowait(item)

    async def get(self) -> Any:
        """Return the next packet for a poll; wait for it if there is none."""
        packet = await self.waiting.get()
        self.waiting.task_done()
        return packet

    def get_nowait(self) -> Any:
        """Return the next packet for a poll. Raises QueueEmpty."""
        packet = self.waiting.get_nowait()
        self.waiting.task_done()
        return packet

    async def join(self) -> None:
        """Return when every packet was taken by a poll."""
        await self.waiting.join()


def size(packet: Any) -> int:
    """Return the bytes of a packet by its text; one per character, as the text is shared."""
    data = getattr(packet, "data", None)
    return len(data) if isinstance(data, str | bytes) else 2
