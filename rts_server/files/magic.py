"""Checks the signature of a file (its first bytes) against its content type."""

from __future__ import annotations

from collections.abc import Callable

from rts_server.protocol.media import essence

SIGNATURE_BYTES = 32
"""Number of first bytes that hold every signature."""

_MP4_BRANDS = (b"iso", b"mp4", b"avc1", b"M4V", b"MSNV", b"dash", b"cmf", b"mmp4", b"f4v")


def _begins(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(starts)


def _is_webp(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def _is_mp4(head: bytes) -> bool:
    """Return whether the box `ftyp` comes first and names a known brand (ISO/IEC 14496-12)."""
    return head[4:8] == b"ftyp" and head[8:12].startswith(_MP4_BRANDS)


_INLINE: dict[str, Callable[[bytes], bool]] = {
    "image/png": _begins(b"\x89PNG\r\n\x1a\n"),
    "image/jpeg": _begins(b"\xff\xd8\xff"),
    "image/gif": _begins(b"GIF87a", b"GIF89a"),
    "image/webp": _is_webp,
    "video/mp4": _is_mp4,
}
_KNOWN: dict[str, Callable[[bytes], bool]] = _INLINE | {
    "application/pdf": _begins(b"%PDF-"),
    "application/zip": _begins(b"PK\x03\x04", b"PK\x05\x06"),
    "application/gzip": _begins(b"\x1f\x8b"),
}


def matches_type(content_type: str, head: bytes) -> bool:
    """Return whether a file with these first bytes can be of this type; True for unknown types."""
    known = _KNOWN.get(essence(content_type))
    return known is None or known(head)


def shown_inline(content_type: str) -> bool:
    """Return whether browsers may display this type: its signature was checked (A6)."""
    return essence(content_type) in _INLINE
