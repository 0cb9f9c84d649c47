"""The smallest files of the types that have a signature."""

from __future__ import annotations

import struct
import zlib

from rts_server.files.upload import Upload


def png(width: int = 8, height: int = 6, blank: int = 0) -> bytes:
    """Return a PNG of one colour, made larger by `blank` bytes of an ignored chunk."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = (b"\0" + b"\x2f\x7d\xd0" * width) * height
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + (chunk(b"blNk", bytes(blank)) if blank else b"")
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


FILES: dict[str, bytes] = {
    "image/png": png(),
    "image/jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
    "image/gif": b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
    "image/webp": b"RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00",
    "video/mp4": b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2",
    "application/pdf": b"%PDF-1.7\n",
    "application/zip": b"PK\x05\x06" + bytes(18),
    "application/gzip": b"\x1f\x8b\x08\x00",
}


LONGEST = Upload(
    room_id="r" * 64,
    attachment_id="a" * 32,
    user_id="${filename}" + "~" * 117,
    name="\U0001f389" * 255,
    size=26_214_400,
    content_type="a" * 63 + "/" + "x" * 63 + ";codecs=" + "o" * 120,
    checksum_sha256="+" * 43 + "=",
    width=100_000,
    height=100_000,
)
