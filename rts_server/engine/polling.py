"""HTTP long-polling (Engine.IO protocol 4): request bodies, responses and refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from rts_server.engine.message_reader import HEAD, READ_ON

POST_PACKETS = 1_000
"""Packets in one POST at most."""
BODY_WITHIN = 10.0
"""Seconds in which the body of a POST must arrive."""
COMPRESSED = 1_024
"""Bytes from which a response is compressed if the client accepts that."""
SEPARATOR = "\x1e"
PACKETS = frozenset("0123456b")
"""First characters of packets; `b` begins base64."""


class Refused(Exception):
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


async def read(request: web.Request, most: int) -> tuple[bytes, bool]:
    """Return the body, and whether it was longer than `most` bytes; then only its first bytes.

    Raises Refused for a body that is encoded, broken or too slow.
    """
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise Refused("A body here has no Content-Encoding.", 415)
    if (request.content_length or 0) > READ_ON:
        return b"", True
    kept, size = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_WITHIN):
            async for part in request.content.iter_any():
                kept += part
                if (size := size + len(part)) > READ_ON:
                    return b"", True
                if size > most:
                    del kept[HEAD:]
    except TimeoutError:
        raise Refused("The body did not arrive.", 408) from None
    except (web.RequestPayloadError, ConnectionError):
        raise Refused("The body is broken.") from None
    return bytes(kept), size > most


def packets(body: bytes) -> list[str]:
    """Return the packets of a body. Raises Refused if the body is not a payload of packets."""
    try:
        texts = body.decode().split(SEPARATOR)
    except UnicodeDecodeError:
        texts = [""]
    if len(texts) > POST_PACKETS or not all(text[:1] in PACKETS for text in texts):
        raise Refused("Not a payload of Engine.IO packets.")
    return texts


def answer(packets: Sequence[Any]) -> web.Response:
    """Return the response to a poll."""
    text = SEPARATOR.join(packet.encode() for packet in packets)
    response = web.Response(text=text)
    if len(text) >= COMPRESSED:
        response.enable_compression()
    return response
