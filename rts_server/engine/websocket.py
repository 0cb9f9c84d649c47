"""Encodes WebSocket frames of a server (RFC 6455, 5.2): unfragmented, unmasked, uncompressed."""

from __future__ import annotations

from struct import Struct

TEXT, CLOSE, PONG = 0x1, 0x8, 0xA
_FINAL = 0x80
_SHORT, _MEDIUM = 126, 1 << 16

_medium = Struct("!BBH").pack
_long = Struct("!BBQ").pack
_code = Struct("!H").pack


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a frame with its header."""
    first, length = _FINAL | opcode, len(payload)
    if length < _SHORT:
        return bytes((first, length)) + payload
    if length < _MEDIUM:
        return _medium(first, 126, length) + payload
    return _long(first, 127, length) + payload


def text(payload: str) -> bytes:
    """Return a text frame."""
    return frame(TEXT, payload.encode())


def close(code: int) -> bytes:
    """Return a close frame with a close code (RFC 6455, 7.4)."""
    return frame(CLOSE, _code(code))
