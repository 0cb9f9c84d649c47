"""The WebSocket of one connection: what comes is handled as it is parsed, what goes once a turn."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from aiohttp import WebSocketError, WSCloseCode, WSMsgType
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader

from rts_server import metrics
from rts_server.engine import websocket
from rts_server.engine.tick import Tick

LAST_WORDS = 3.0
"""Seconds for what waits to be written when a connection is closed."""
MOST_PONGS = 1 << 14
"""While more bytes wait, a PING is not answered: who does not read could ask for any number."""
MOST_BYTES = 1024 * 1024
"""That may wait for a reader."""


class Taker(Protocol):
    """Whoever a WebSocket brings its messages to."""

    def take(self, text: str) -> None:
        """A text message. Must not fail."""

    def take_binary(self) -> None:
        """A binary message, which is nothing here."""

    def take_control(self) -> None:
        """A PING, which is answered, or a PONG."""

    def lost(self, wire: Wire) -> None:
        """The transport is lost."""


class Wire(WebSocketDataQueue, asyncio.Protocol):
    """The protocol of a transport, and what aiohttp's parser takes for the queue of a reader: here
    is none, nor a task. `most`: bytes of a message.
    """

    _size = _limit = 0
    """Of a queue, which the parser looks at: nothing is ever queued, and none is made."""

    def __init__(  # no queue is made either
        self, transport: asyncio.Transport, taker: Taker, tick: Tick, most: int
    ) -> None:
        self._transport = transport
        self._parser: WebSocketReader | None = WebSocketReader(self, most + 1, False, True)
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
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self._transport.resume_reading()

    # In: called by the transport

    def data_received(self, data: bytes) -> None:
        """Bytes; whole messages among them are fed back at once."""
        if self._parser is not None:
            self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, however it came. Nobody is held any more, so that all of it is free at once."""
        self._parser, taker = None, self._taker
        del self._taker
        taker.lost(self)

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

    def _closed(self) -> None:
        self.end()  # the answer, unless it is one itself
        self._close()

    def _close(self) -> None:
        self.flush()
        self._transport.close()
