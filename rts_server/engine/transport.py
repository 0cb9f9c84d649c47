"""The WebSocket of one connection (RFC 6455), on an asyncio transport: no queue and no task.

Messages are handled in the read that brought them; frames that are written in one turn of the loop
leave in one write.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from aiohttp import WSCloseCode

from rts_server import metrics
from rts_server.engine import message_reader as incoming
from rts_server.engine import websocket
from rts_server.engine.message_reader import MessageReader, ProtocolViolation
from rts_server.engine.write_batcher import WriteBatcher

CLOSE_GRACE_SECONDS = 3.0
"""How long a connection that was closed may take to send what waits and to answer the CLOSE."""
MAX_PENDING_BYTES = 1024 * 1024
"""Bytes that may wait for a slow reader (R1)."""
MAX_PENDING_PONG_BYTES = 1 << 14
"""While more bytes wait, a PING is not answered: a client that does not read could request any
number of PONGs."""
MAX_FRAMES_PER_TURN = 64
"""Frames of one connection handled in one turn of the loop; then the others have theirs (R2)."""
MAX_BYTES_AFTER_CLOSE = 1 << 16
"""Bytes read behind our CLOSE in search of the client's; then reading stops for good."""
FRAME_OVERHEAD_BYTES = 64
"""Added to the payload of each of these frames, as handling it costs work too."""
MIN_PART_BYTES = 128
"""A smaller part of a fragmented message counts as a control frame, so that a message cannot be
sent byte by byte."""

READING, PAUSED_BY_HANDLER, PAUSED_UNTIL_NEXT_TURN, STOPPED = range(4)
"""States of reading: bytes are handled as they arrive; they wait for the handler; they wait for the
next turn; or nothing is read any more."""


class MessageHandler(Protocol):
    """The receiver of the messages of a WebSocket. Its methods must not raise."""

    @property
    def paused(self) -> bool:
        """Whether no further message may be delivered until `resume_reading` is called."""

    def text_received(self, text: str) -> None:
        """Handle a text message."""

    def binary_received(self) -> None:
        """Handle a binary message, which Socket.IO clients of this server never send."""

    def control_received(self) -> None:
        """Handle a PING (answered already), a PONG, or a tiny part of a fragmented message."""

    def oversize_text_received(self, head: bytes) -> None:
        """Handle the first bytes of a text that was too large, but was read to its end."""

    def message_refused(self) -> None:
        """Handle a message that is too large to be read: the connection ends."""

    def transport_lost(self, transport: WebSocketTransport) -> None:
        """Handle the loss of the transport."""


class WebSocketTransport(asyncio.Protocol):
    """A WebSocket without queue and task.

    `max_message_bytes`: a longer text is reported by its head. `batcher`: flushes what is written
    at the end of the turn.
    """

    __slots__ = (
        "__weakref__",
        "_batcher",
        "_bytes_left_after_close",
        "_close_code",
        "_closed",
        "_deferred",
        "_handler",
        "_incoming",
        "_out",
        "_pending_at_most",
        "_read_state",
        "_transport",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        handler: MessageHandler,
        batcher: WriteBatcher,
        max_message_bytes: int,
    ) -> None:
        self._transport = transport
        self._incoming = MessageReader(max_message_bytes)
        self._handler = handler
        self._batcher = batcher
        self._out: list[bytes] = []
        self._pending_at_most = 0
        self._read_state = READING
        self._deferred = False
        self._closed = False
        self._close_code: int = WSCloseCode.OK
        self._bytes_left_after_close = MAX_BYTES_AFTER_CLOSE

    # Writing

    @property
    def pending_bytes(self) -> int:
        """Bytes that were written and are not with the kernel yet."""
        if self._transport.is_closing():
            return 0
        return sum(map(len, self._out)) + self._transport.get_write_buffer_size()

    def write(self, frame: bytes) -> None:
        """Send a frame together with all others of this turn. Never blocks."""
        if self._closed:
            return
        if not self._out:
            self._batcher.schedule(self)
        self._out.append(frame)

    def try_write(self, frame: bytes) -> bool:
        """Send a frame, or return False if more than 1 MiB would wait.

        `_pending_at_most` bounds the pending bytes from above: it is increased by each frame, and
        recomputed only when it exceeds the limit.
        """
        self._pending_at_most += len(frame)
        if self._pending_at_most > MAX_PENDING_BYTES:
            self._pending_at_most = self.pending_bytes + len(frame)
            if self._pending_at_most > MAX_PENDING_BYTES:
                return False
        self.write(frame)
        return True

    def flush(self) -> None:
        """Give the collected frames to the kernel."""
        out, self._out = self._out, []
        if out and not self._transport.is_closing():
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def close(self) -> None:
        """Send CLOSE behind everything that was written.

        The client answers with its own CLOSE, and only then the TCP connection is closed (RFC 6455,
        7.1.1): closed earlier, an RST could take what the client has not read yet.
        """
        if self._closed:
            return
        self.write(websocket.close(self._close_code))
        self._closed = True
        if self._read_state == PAUSED_BY_HANDLER:  # the client's CLOSE must be read
            self._continue_next_turn()
        asyncio.get_running_loop().call_later(CLOSE_GRACE_SECONDS, self._transport.abort)

    def abort(self) -> None:
        """Drop the connection at once."""
        self._transport.abort()

    # Callbacks of the asyncio transport

    def data_received(self, data: bytes) -> None:
        """Handle the whole messages among the bytes, as many as one turn may."""
        if self._read_state == STOPPED:
            return
        self._incoming.feed(data)
        if self._read_state == READING:
            self._read()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the loss. References are dropped here, so that memory is freed at once."""
        self._read_state, handler = STOPPED, self._handler
        del self._handler, self._incoming
        handler.transport_lost(self)

    # Reading, one message after the other

    @property
    def reading_paused(self) -> bool:
        """Whether bytes may have arrived that were not handled yet."""
        return self._read_state in (PAUSED_BY_HANDLER, PAUSED_UNTIL_NEXT_TURN)

    @property
    def reading_deferred(self) -> bool:
        """Whether nothing more is read from the kernel for a time."""
        return self._deferred

    def resume_reading(self) -> bool:
        """Continue after the handler was paused; return whether everything here was handled."""
        if self._read_state != PAUSED_BY_HANDLER or self._handler.paused:
            return False
        return self._continue()

    def defer_reading(self, seconds: float) -> None:
        """Read nothing more from the kernel for a time; what was read before is handled.

        What the client sends meanwhile is read at once then, with a fraction of the system calls.
        """
        if self._deferred or self._read_state != READING or self._transport.is_closing():
            return
        self._deferred = True
        self._transport.pause_reading()
        asyncio.get_running_loop().call_later(seconds, self._read_again)

    def _read_again(self) -> None:
        self._deferred = False
        if self._read_state == READING and not self._transport.is_closing():
            self._transport.resume_reading()

    def _continue(self) -> bool:
        # Buffered messages are handled before the kernel delivers more, so their order is kept.
        self._read_state = READING
        self._read()
        if self._read_state != READING:
            return False
        if not self._deferred and not self._transport.is_closing():
            self._transport.resume_reading()
        return True

    def _read(self) -> None:
        for _ in range(MAX_FRAMES_PER_TURN):
            if not self._incoming.ready:
                return
            if not self._closed and self._handler.paused:
                self._pause(PAUSED_BY_HANDLER)
                return
            try:
                message = self._incoming.next()
            except ProtocolViolation as violation:
                self._fail(violation.code)
                return
            if message is None:
                return
            self._dispatch(*message)
            if self._read_state == STOPPED:
                return
        if self._incoming.ready:
            self._continue_next_turn()

    def _pause(self, state: int) -> None:
        """Stop reading; unread bytes stay in the kernel, which slows the client down (TCP)."""
        self._read_state = state
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def _continue_next_turn(self) -> None:
        self._pause(PAUSED_UNTIL_NEXT_TURN)
        asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        if self._transport.is_closing():
            self._read_state = STOPPED
        elif self._read_state == PAUSED_UNTIL_NEXT_TURN:
            self._continue()

    def _dispatch(self, kind: int, payload: Any) -> None:
        if kind == incoming.CLOSE:
            self._close_received()
        elif self._closed:
            self._discard(payload)
        elif kind == incoming.TEXT:
            self._handler.text_received(payload)
        elif kind == incoming.CONTINUATION:
            if payload < MIN_PART_BYTES:
                self._handler.control_received()
        elif kind == incoming.BINARY:
            self._handler.binary_received()
        elif kind == incoming.TOO_LARGE:
            self._handler.oversize_text_received(payload)
        else:
            if kind == incoming.PING and self.pending_bytes < MAX_PENDING_PONG_BYTES:
                self.write(websocket.frame(websocket.PONG, payload))
            self._handler.control_received()

    def _discard(self, payload: Any) -> None:
        """Discard a message behind our CLOSE; stop reading when there are too many."""
        length = 0 if isinstance(payload, int) else len(payload)
        self._bytes_left_after_close -= FRAME_OVERHEAD_BYTES + length
        if self._bytes_left_after_close <= 0:
            self._pause(STOPPED)

    def _fail(self, code: int) -> None:
        """Close with a code, because the bytes violate RFC 6455 or a message is too long."""
        metrics.DROPPED.labels("frame").inc()
        self._close_code = code
        if code == WSCloseCode.MESSAGE_TOO_BIG and not self._closed:
            # Not closed at once: the client is still writing, and must be able to read the reason.
            self._pause(STOPPED)
            self._handler.message_refused()
        else:
            self._close_received()

    def _close_received(self) -> None:
        self.close()  # our CLOSE is the answer, unless the client's was (RFC 6455, 5.5.1)
        self._read_state = STOPPED
        self.flush()
        self._transport.close()
