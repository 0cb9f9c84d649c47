"""The WebSocket of one connection: what comes is handled as it is parsed, what goes once a turn."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from aiohttp import WebSocketError, WSCloseCode, WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue

from rts_server import metrics
from rts_server.engine import websocket
from rts_server.engine.tick import Tick

LAST_WORDS = 3.0
"""Seconds for what waits to be written when a connection is closed."""
MOST_PONGS = 1 << 14
"""While more bytes wait, a PING is not answered: who does not read could ask for any number."""
MOST_BYTES = 1024 * 1024
"""That may wait for a reader."""
_UNUSED = 1 << 16
"""The bound of the queue we stand in for: nothing is ever queued in it."""


class Taker(Protocol):
    """Whoever a WebSocket brings its messages to."""

    def take(self, text: str) -> None:
        """A text message. Must not fail."""

    def take_binary(self) -> None:
        """A binary message, which is nothing here."""

    def take_control(self) -> None:
        """A PING, which is answered, or a PONG."""


class Wire(WebSocketDataQueue):
    """Stands where aiohttp's parser puts the messages for a reader; here is none, nor a task.

    `gone` is done when the transport is lost.
    """

    def __init__(self, request: web.Request, taker: Taker, tick: Tick) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(request.protocol, _UNUSED, loop=loop)
        assert request.transport is not None
        self.gone: asyncio.Future[None] = loop.create_future()
        self._transport: asyncio.Transport = request.transport
        self._connection = request.protocol
        self._taker = taker
        self._tick = tick
        self._out: list[bytes] = []
        self._at_most = 0
        self._ended = False

    # Out

    @property
    def waiting(self) -> int:
        """Bytes that are not with the kernel yet."""
        if self._transport.is_closing():
            return 0
        return sum(map(len, self._out)) + self._transport.get_write_buffer_size()

    def write(self, frame: bytes) -> None:
        """Send a frame with all others of this turn. Never blocks."""
        if self._ended:
            return
        if not self._out:
            self._tick.soon(self)
        self._out.append(frame)

    def offer(self, frame: bytes) -> bool:
        """The same, unless more than 1 MiB would wait.

        At most what was offered can be waiting: only when that is too much it is looked at.
        """
        self._at_most += len(frame)
        if self._at_most > MOST_BYTES:
            self._at_most = self.waiting + len(frame)
            if self._at_most > MOST_BYTES:
                return False
        self.write(frame)
        return True

    def flush(self) -> None:
        """Give the kernel what was collected."""
        out, self._out = self._out, []
        if out and not self._transport.is_closing():
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def end(self, code: int = WSCloseCode.OK) -> None:
        """Say CLOSE behind all that was written; the transport goes when the client says it too."""
        if self._ended:
            return
        self.write(websocket.close(code))
        self._ended = True
        asyncio.get_running_loop().call_later(LAST_WORDS, self._transport.abort)

    def abort(self) -> None:
        """Drop the transport at once."""
        self._transport.abort()

    def pause(self) -> None:
        """Read nothing more."""
        if not self._connection._reading_paused:
            self._connection.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._connection._reading_paused:
            self._connection.resume_reading()

    # In: called by aiohttp's parser

    def feed_data(self, data: Any, size: int) -> None:
        """A message, as soon as its last byte is there."""
        kind = data.type
        if kind is WSMsgType.CLOSE:
            self._closed()
        elif self._ended:
            return
        elif kind is WSMsgType.TEXT:
            self._taker.take(data.data)
        elif kind is WSMsgType.BINARY:
            self._taker.take_binary()
        else:
            if kind is WSMsgType.PING and self.waiting < MOST_PONGS:
                self.write(websocket.frame(websocket.PONG, data.data))
            self._taker.take_control()

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """What came is no WebSocket, or too long."""
        metrics.DROPPED.labels("frame").inc()
        self.end(exc.code if isinstance(exc, WebSocketError) else WSCloseCode.PROTOCOL_ERROR)
        self._close()

    def feed_eof(self) -> None:
        """The transport is lost."""
        if not self.gone.done():
            self.gone.set_result(None)

    def _closed(self) -> None:
        self.end()  # the answer, unless it is one itself
        self._close()

    def _close(self) -> None:
        self.flush()
        self._transport.close()
