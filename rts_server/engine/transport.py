"""The WebSocket of one connection: what comes is handled as it is parsed, what goes once a turn."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from aiohttp import WSCloseCode

from rts_server import metrics
from rts_server.engine import message_reader as incoming
from rts_server.engine import websocket
from rts_server.engine.message_reader import MessageReader, ProtocolViolation
from rts_server.engine.write_batcher import WriteBatcher

LAST_WORDS = 3.0
"""Seconds for what waits to be written when a connection is closed."""
MOST_PONGS = 1 << 14
"""While more bytes wait, a PING is not answered: who does not read could ask for any number."""
MOST_BYTES = 1024 * 1024
"""That may wait for a reader."""
A_TURN = 64
"""Frames of one connection in one turn of the loop: then it is everybody else's."""
BEHIND_END, A_FRAME = 1 << 16, 64
"""Bytes looked at behind the end, for the client's CLOSE, where a frame costs so many more than its
payload; then nothing more is read."""
SMALL_PART = 128
"""Bytes of a part of a message below which it is no more than a PING."""

OPEN, HELD, NEXT_TURN, DEAF = range(4)
"""What becomes of bytes that come: they are read; they wait for the taker, or for the next turn; or
nothing is heard any more."""


class MessageHandler(Protocol):
    """Whoever a WebSocket brings its messages to."""

    @property
    def held(self) -> bool:
        """Whether nothing more may be brought until `go_on`."""

    def take(self, text: str) -> None:
        """A text message. Must not fail."""

    def take_binary(self) -> None:
        """A binary message, which is nothing here."""

    def take_control(self) -> None:
        """A PING, which is answered, a PONG, or a tiny part of a message."""

    def take_large(self, head: bytes) -> None:
        """The first bytes of a text that was too large, but read to its end."""

    def refuse_large(self) -> None:
        """A message too large to be read: this is the end."""

    def lost(self, wire: WebSocketTransport) -> None:
        """The transport is lost."""


class WebSocketTransport(asyncio.Protocol):
    """The protocol of a transport: no queue and no task. `most`: bytes of a message."""

    __slots__ = (
        "__weakref__",
        "_at_most",
        "_behind_end",
        "_code",
        "_ended",
        "_incoming",
        "_out",
        "_reads",
        "_taker",
        "_tick",
        "_transport",
    )

    def __init__(
        self, transport: asyncio.Transport, taker: MessageHandler, tick: WriteBatcher, most: int
    ) -> None:
        self._transport = transport
        self._incoming = MessageReader(most)
        self._taker = taker
        self._tick = tick
        self._out: list[bytes] = []
        self._at_most = 0
        self._reads = OPEN
        self._ended = False
        self._code: int = WSCloseCode.OK
        self._behind_end = BEHIND_END

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

    def end(self) -> None:
        """Say CLOSE behind all that was written; the transport goes when the client says it too."""
        if self._ended:
            return
        self.write(websocket.close(self._code))
        self._ended = True
        if self._reads == HELD:  # whatever held it up: its CLOSE is to be heard
            self._next_turn()
        asyncio.get_running_loop().call_later(LAST_WORDS, self._transport.abort)

    def abort(self) -> None:
        """Drop the transport at once."""
        self._transport.abort()

    # In: called by the transport

    def data_received(self, data: bytes) -> None:
        """Bytes; whole messages among them are handled at once, as many as a turn may."""
        if self._reads == DEAF:
            return
        self._incoming.feed(data)
        if self._reads == OPEN:
            self._read()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, however it came. Nobody is held any more, so that all of it is free at once."""
        self._reads, taker = DEAF, self._taker
        del self._taker, self._incoming
        taker.lost(self)

    # In: one message after the other

    @property
    def stopped(self) -> bool:
        """Whether something came that is not looked at yet."""
        return self._reads in (HELD, NEXT_TURN)

    def go_on(self) -> bool:
        """Nothing holds the taker any more; whether all that is here was read with that."""
        if self._reads != HELD or self._taker.held:
            return False
        return self._resumed()

    def _resumed(self) -> bool:
        self._reads = OPEN
        self._read()
        if self._reads != OPEN:
            return False
        if not self._transport.is_closing():
            self._transport.resume_reading()
        return True

    def _read(self) -> None:
        for _ in range(A_TURN):
            if not self._incoming.ready:
                return
            if not self._ended and self._taker.held:
                self._stop(HELD)
                return
            try:
                message = self._incoming.next()
            except ProtocolViolation as broken:
                self._broken(broken.code)
                return
            if message is None:
                return
            self._got(*message)
            if self._reads == DEAF:
                return
        if self._incoming.ready:
            self._next_turn()

    def _stop(self, reads: int) -> None:
        """Read nothing more for now: what is not read the client's kernel keeps."""
        self._reads = reads
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def _next_turn(self) -> None:
        self._stop(NEXT_TURN)
        asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        if self._transport.is_closing():
            self._reads = DEAF
        elif self._reads == NEXT_TURN:
            self._resumed()

    def _got(self, kind: int, payload: Any) -> None:
        if kind == incoming.CLOSE:
            self._closed()
        elif self._ended:
            self._unheard(payload)
        elif kind == incoming.TEXT:
            self._taker.take(payload)
        elif kind == incoming.CONTINUATION:
            if payload < SMALL_PART:
                self._taker.take_control()
        elif kind == incoming.BINARY:
            self._taker.take_binary()
        elif kind == incoming.TOO_LARGE:
            self._taker.take_large(payload)
        else:
            if kind == incoming.PING and self.waiting < MOST_PONGS:
                self.write(websocket.frame(websocket.PONG, payload))
            self._taker.take_control()

    def _unheard(self, payload: Any) -> None:
        """Whoever was told to go says more."""
        self._behind_end -= A_FRAME + (0 if isinstance(payload, int) else len(payload))
        if self._behind_end <= 0:
            self._stop(DEAF)

    def _broken(self, code: int) -> None:
        """What came is no WebSocket, or too long to be read."""
        metrics.DROPPED.labels("frame").inc()
        self._code = code
        if code == WSCloseCode.MESSAGE_TOO_BIG and not self._ended:
            self._stop(DEAF)  # not closed yet: a client still writes, and has to read why
            self._taker.refuse_large()
        else:
            self._closed()

    def _closed(self) -> None:
        self.end()  # the answer, unless it is one itself
        self._reads = DEAF
        self.flush()
        self._transport.close()
