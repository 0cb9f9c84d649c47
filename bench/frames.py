"""WebSocket frames as a client writes and reads them (RFC 6455): text only, never fragmented."""

from __future__ import annotations

MASK = b"\x37\xfa\x21\x3d"
"""Not zero: a server may skip unmasking then, and no browser sends a zero mask."""

_LONG_MASK = MASK * 2048


def text(payload: bytes) -> bytes:
    """Return a masked text frame of less than 8 KiB."""
    size = len(payload)
    head = b"\x81" + (bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big"))
    mask = int.from_bytes(_LONG_MASK[:size], "big")
    return head + MASK + (int.from_bytes(payload, "big") ^ mask).to_bytes(size, "big")


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the payloads of the whole frames in `data`, and the rest. b"" stands for a close."""
    payloads: list[bytes] = []
    at, end = 0, len(data)
    while end - at >= 2:
        size, start = data[at + 1], at + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if end - start < width:
                break
            size = int.from_bytes(data[start : start + width], "big")
            start += width
        if end - start < size:
            break
        payloads.append(b"" if data[at] == 0x88 else data[start : start + size])
        at = start + size
    return payloads, data[at:]
