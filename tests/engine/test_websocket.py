"""Frames written by the server, read by aiohttp's parser."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import WSMsgType
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader
from aiohttp.base_protocol import BaseProtocol
from hypothesis import given
from hypothesis import strategies as st

from rts_server.engine import websocket


def read(data: bytes) -> list[tuple[WSMsgType, Any]]:
    """The messages in the bytes, as aiohttp's client reads them."""
    found: list[tuple[WSMsgType, Any]] = []

    class Kept(WebSocketDataQueue):
        def feed_data(self, data: Any, size: int) -> None:
            found.append((data.type, data.data))

    loop = asyncio.new_event_loop()
    try:
        kept = Kept(BaseProtocol(loop), 1 << 20, loop=loop)
        WebSocketReader(kept, 0, False, True).feed_data(data)
    finally:
        loop.close()
    return found


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_every_form_of_length_can_be_parsed(length: int) -> None:
    """7, 16 and 64 bits, at their limits."""
    assert read(websocket.text("x" * length)) == [(WSMsgType.TEXT, "x" * length)]


@given(st.lists(st.text(max_size=200)))
def test_several_frames_in_one_write_are_parsed(texts: list[str]) -> None:
    """Any texts, several in one write."""
    written = b"".join(websocket.text(text) for text in texts)
    assert read(written) == [(WSMsgType.TEXT, text) for text in texts]


def test_a_close_frame_has_its_code() -> None:
    """A close frame has its code, a PONG its payload."""
    assert read(websocket.close(1009)) == [(WSMsgType.CLOSE, 1009)]
    assert read(websocket.frame(websocket.PONG, b"abc")) == [(WSMsgType.PONG, b"abc")]
