"""What a polling client posts: read once, and found to be packets before the library sees it."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from engineio.async_drivers import aiohttp as stock

POST_PACKETS = 1_000
"""Packets in one POST, which is no longer than a frame; the library's 16 a busy client exceeds."""
BODY = web.RequestKey("rts.body", bytes)
"""Key of a request: its body, read and found to be packets."""


class Body:
    """A body that was read, as the library reads one."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, length: int) -> bytes:
        """The first `length` bytes."""
        return self._data[:length]


def translate_request(request: web.Request) -> dict[str, Any]:
    """The library's, for a request whose body we have read before it."""
    environ: dict[str, Any] = stock.translate_request(request)
    if BODY in request:
        environ["wsgi.input"] = Body(request[BODY])
        environ["CONTENT_LENGTH"] = str(len(request[BODY]))
    return environ
