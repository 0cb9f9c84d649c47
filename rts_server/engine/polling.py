"""HTTP long-polling (Engine.IO protocol 4): request bodies, responses and refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from rts_server.engine.message_reader import HEAD_BYTES, MAX_ANSWERABLE_BYTES

MAX_PACKETS_PER_POST = 1_000
BODY_TIMEOUT_SECONDS = 10.0
"""Time within which the body of a POST must arrive; for operators' requests, too."""
MIN_COMPRESSED_BYTES = 1_024
"""A response of this size or more is compressed if the client accepts that."""
PACKET_SEPARATOR = "\x1e"
PACKET_TYPES = frozenset("0123456b")
"""First characters of packets; `b` begins base64."""


class RequestRefused(Exception):
    """A request that is refused, with the HTTP status and the reason for the response body."""

    def __init__(self, reason: str, status: int = 400, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self._reason, self._status, self._retry_after = reason, status, retry_after

    def answer(self) -> web.Response:
        """Return the HTTP response."""
        response = web.Response(status=self._status, text=self._reason)
        if self._retry_after is not None:
            response.headers["Retry-After"] = str(self._retry_after)
            response.force_close()  # who has too many connections does not keep this one
        return response


async def read(request: web.Request, max_bytes: int) -> tuple[bytes, bool]:
    """Return the body, and whether it was longer than `max_bytes` bytes; then only its first bytes.

    Raises RequestRefused for a body that is encoded, broken or too slow.
    """
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise RequestRefused("The body must not have a Content-Encoding.", 415)
    if (request.content_length or 0) > MAX_ANSWERABLE_BYTES:
        return b"", True
    kept, size = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
            async for part in request.content.iter_any():
                kept += part
                if (size := size + len(part)) > MAX_ANSWERABLE_BYTES:
                    return b"", True
                if size > max_bytes:
                    del kept[HEAD_BYTES:]
    except TimeoutError:
        raise RequestRefused("The body did not arrive in time.", 408) from None
    except (web.RequestPayloadError, ConnectionError):
        raise RequestRefused("The body could not be read.") from None
    return bytes(kept), size > max_bytes


def packets(body: bytes) -> list[str]:
    """Return the packets of a body. Raises RequestRefused if it is not made of packets."""
    try:
        texts = body.decode().split(PACKET_SEPARATOR)
    except UnicodeDecodeError:
        texts = [""]
    if len(texts) > MAX_PACKETS_PER_POST or not all(text[:1] in PACKET_TYPES for text in texts):
        raise RequestRefused("Not a payload of Engine.IO packets.")
    return texts


def answer(packets: Sequence[Any]) -> web.Response:
    """Return the response to a poll."""
    text = PACKET_SEPARATOR.join(packet.encode() for packet in packets)
    response = web.Response(text=text)
    if len(text) >= MIN_COMPRESSED_BYTES:
        response.enable_compression()
    return response
