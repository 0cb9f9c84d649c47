"""Parses the WebSocket frames of a client (RFC 6455, section 5) into messages, without I/O."""

from __future__ import annotations

from struct import Struct
from typing import Any

from aiohttp import WSCloseCode
from aiohttp._websocket.helpers import websocket_mask

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
TOO_LARGE = 0x10
"""Not an opcode of the RFC: a text that was longer than allowed, of which only the head is kept."""
HEAD_BYTES = 512
"""Bytes of that head; it contains the type, namespace, ack id and event name of a packet."""
MAX_ANSWERABLE_BYTES = 1024 * 1024
"""A text of up to this many bytes is read to its end, so that its command can be answered."""

_DATA, _CONTROL = (CONTINUATION, TEXT, BINARY), (CLOSE, PING, PONG)
_FINAL_TEXT = 0x80 | TEXT
_CLOSE_CODES = frozenset({*range(1000, 1004), *range(1007, 1015)})
_OWN_CODES = 3000
_long = Struct("!Q").unpack_from
_code = Struct("!H").unpack_from


class ProtocolViolation(ValueError):
    """The bytes violate RFC 6455 or a message is too long; `code` is the close code (7.4)."""

    def __init__(self, code: int = WSCloseCode.PROTOCOL_ERROR) -> None:
        super().__init__(code)
        self.code = code


class MessageReader:
    """Takes bytes and returns one message at a time, so that its owner limits the work of a turn.

    `max_bytes`: size of a message at most.
    """

    __slots__ = (
        "_at",
        "_data",
        "_final",
        "_head",
        "_kind",
        "_left",
        "_max_bytes",
        "_parts",
        "_size",
    )

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._data: bytes | bytearray = b""
        self._at = 0
        self._kind = CONTINUATION
        """The opcode of the message that has begun; CONTINUATION while none has."""
        self._parts: bytearray | None = None
        self._size = 0
        self._head: bytes | None = None
        self._left = 0
        """Bytes to skip of a frame of a text that is too large."""
        self._final = False

    @property
    def ready(self) -> bool:
        """Whether there are bytes to parse."""
        return bool(self._data)

    def feed(self, data: bytes) -> None:
        """Add bytes. The cost is linear however small the pieces of a frame are."""
        if not self.ready:
            self._data, self._at = data, 0
            return
        if not isinstance(self._data, bytearray):
            self._data, self._at = bytearray(self._data[self._at :]), 0
        elif self._at:
            del self._data[: self._at]
            self._at = 0
        self._data += data

    def next(self) -> tuple[int, Any] | None:
        """Return the next message as (TEXT, str), (TOO_LARGE, its first bytes), (CONTINUATION, the
        length of a part) or (another opcode, bytes); None until more is fed.

        Raises ProtocolViolation.
        """
        if self._left:
            return self._skip()
        data, at = self._data, self._at
        if len(data) - at < 2:
            return None
        first, second = data[at], data[at + 1]
        if second < 0x80:  # a client masks all it sends (5.1)
            raise ProtocolViolation
        start, length = at + 6, second - 0x80
        if length > 125:
            if (extended := self._extended(length)) is None:
                return None
            start, length = extended
        if first != _FINAL_TEXT or self._kind or length > self._max_bytes:
            return self._uncommon(first, start, length)
        if len(data) < start + length:
            return None
        return TEXT, _text(self._unmask(start, length))

    def _extended(self, length: int) -> tuple[int, int] | None:
        """Return where the payload of a longer frame starts, and its length; None if not fed."""
        data, at = self._data, self._at
        if data[at] & 0x8:
            raise ProtocolViolation
        if length == 126:
            return None if len(data) < at + 4 else (at + 8, data[at + 2] << 8 | data[at + 3])
        return None if len(data) < at + 10 else (at + 14, _long(data, at + 2)[0])

    def _unmask(self, start: int, length: int) -> bytearray:
        """Return an unmasked payload, and advance past its frame."""
        end = start + length
        payload = bytearray(self._data[start:end])
        websocket_mask(bytes(self._data[start - 4 : start]), payload)
        self._advance(end)
        return payload

    def _advance(self, end: int) -> None:
        """Advance past parsed bytes; an idle connection keeps none of them in memory."""
        if end == len(self._data):
            self._data, self._at = b"", 0
        else:
            self._at = end

    def _uncommon(self, first: int, start: int, length: int) -> tuple[int, Any] | None:
        """Handle a frame that is not a whole text of allowed size."""
        final, opcode = first >= 0x80, first & 0xF
        if first & 0x70 or opcode not in _DATA + _CONTROL:
            raise ProtocolViolation
        if opcode in _CONTROL:
            if not final:
                raise ProtocolViolation
            return self._control(opcode, start, length)
        if (opcode == CONTINUATION) is not (self._kind != CONTINUATION):
            raise ProtocolViolation
        if self._head is not None or self._size + length > self._max_bytes:
            return self._too_large(opcode or self._kind, final, start, length)
        if len(self._data) < start + length:
            return None
        return self._continue_message(opcode or self._kind, final, self._unmask(start, length))

    def _control(self, opcode: int, start: int, length: int) -> tuple[int, bytes] | None:
        if len(self._data) < start + length:
            return None
        payload = bytes(self._unmask(start, length))
        if opcode == CLOSE and payload:
            if length == 1:
                raise ProtocolViolation
            if (code := _code(payload)[0]) < _OWN_CODES and code not in _CLOSE_CODES:
                raise ProtocolViolation
            _text(payload[2:])
        return opcode, payload

    def _continue_message(self, kind: int, final: bool, payload: bytearray) -> tuple[int, Any]:
        parts, length = self._parts, len(payload)
        if parts is None:
            parts = payload
        else:
            parts += payload
        if not final:
            self._kind, self._parts, self._size = kind, parts, len(parts)
            return CONTINUATION, length
        self._forget()
        return (TEXT, _text(parts)) if kind == TEXT else (kind, bytes(parts))

    def _too_large(self, kind: int, final: bool, start: int, length: int) -> tuple[int, Any] | None:
        """Keep the head of the text, skip the rest of this frame."""
        if kind != TEXT or self._size + length > MAX_ANSWERABLE_BYTES:
            raise ProtocolViolation(WSCloseCode.MESSAGE_TOO_BIG)
        if self._head is None:
            needed = min(length, HEAD_BYTES)
            if len(self._data) < start + needed:
                return None
            self._head = bytes((self._parts or b"") + self._unmask(start, needed))[:HEAD_BYTES]
            self._left = length - needed
        else:
            if len(self._data) < start:
                return None
            self._left = length
            self._advance(start)
        self._kind, self._parts, self._size = kind, None, self._size + length
        self._final = final
        return self._skip()

    def _skip(self) -> tuple[int, Any] | None:
        here = min(self._left, len(self._data) - self._at)
        self._left -= here
        self._advance(self._at + here)
        if self._left:
            return None
        if not self._final:
            return CONTINUATION, 0
        head = self._head
        self._forget()
        return TOO_LARGE, head

    def _forget(self) -> None:
        self._kind, self._parts, self._size, self._head = CONTINUATION, None, 0, None


def _text(payload: bytes | bytearray) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise ProtocolViolation(WSCloseCode.INVALID_TEXT) from None
