"""HTTP of a polling client: a body becomes packets, packets an answer, bad requests a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from rts_server.engine.incoming import HEAD, READ_ON

POST_PACKETS = 1_000
"""Packets in one POST, which is no longer than a frame."""
BODY_WITHIN = 10.0
"""Seconds for the body of a POST to arrive."""
COMPRESSED = 1_024
"""Bytes from which an answer is compressed, where the client takes that."""
SEPARATOR = "\x1e"
PACKETS = frozenset("0123456b")
"""What a packet begins with."""


class Refused(Exception):
    """A request that is not served: its status, and the reason as the body says it."""

    def __init__(self, reason: str, status: int = 400, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self._reason, self._status, self._retry_after = reason, status, retry_after

    def answer(self) -> web.Response:
        """The response."""
        response = web.Response(status=self._status, text=self._reason)
        if self._retry_after is not None:
            response.headers["Retry-After"] = str(self._retry_after)
            response.force_close()  # who has too many connections does not keep this one
        return response


async def read(request: web.Request, most: int) -> tuple[bytes, bool]:
    """The body, or the first bytes of one of more than `most`, and whether it is one of these.

    Raises Refused for what does not come in time, or not as it is.
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
    """The packets of a body. Raises Refused when one of them is none."""
    try:
        texts = body.decode().split(SEPARATOR)
    except UnicodeDecodeError:
        texts = [""]
    if len(texts) > POST_PACKETS or not all(text[:1] in PACKETS for text in texts):
        raise Refused("Not a payload of Engine.IO packets.")
    return texts


def answer(packets: Sequence[Any]) -> web.Response:
    """The answer to a poll."""
    text = SEPARATOR.join(packet.encode() for packet in packets)
    response = web.Response(text=text)
    if len(text) >= COMPRESSED:
        response.enable_compression()
    return response
