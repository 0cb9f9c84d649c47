"""The reader of WebSocket messages follows RFC 6455 however the bytes are cut, and is bounded."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from aiohttp import WebSocketError
from aiohttp._websocket.reader_py import WebSocketDataQueue, WebSocketReader
from hypothesis import given
from hypothesis import strategies as st

from rts_server.engine import message_reader as incoming
from rts_server.engine import websocket
from rts_server.engine.message_reader import (
    HEAD_BYTES,
    MAX_ANSWERABLE_BYTES,
    MessageReader,
    ProtocolViolation,
)
from tests.helpers.raw import client_frame

MOST = 1_000
KINDS = {incoming.TEXT, incoming.BINARY, incoming.CLOSE, incoming.PING, incoming.PONG}

frames = st.builds(
    client_frame,
    st.sampled_from([0, 0, 1, 1, 2, 8, 9, 10, *range(16)]),
    st.text(max_size=60).map(str.encode) | st.binary(max_size=130),
    final=st.booleans(),
    reserved=st.sampled_from([0, 0, 0, 0, 1, 2, 4]),
    mask=st.binary(min_size=4, max_size=4),
).filter(lambda frame: frame[0] >= 0x80 or frame[1] > 0x80)
"""Without a first part of no bytes, which aiohttp takes for none."""
Read = tuple[list[tuple[int, Any]], int | None]


class Oracle(WebSocketDataQueue):
    """The messages that aiohttp's reader parses from the same bytes."""

    _size = _limit = 0

    def __init__(self) -> None:
        self.said: list[tuple[int, Any]] = []
        self.code: int | None = None

    def feed_data(self, data: Any, size: int) -> None:
        """Note a message; of a CLOSE only that it came."""
        closes = int(data.type) == incoming.CLOSE
        self.said.append((int(data.type), None if closes else data.data))

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """Note the end."""
        assert isinstance(exc, WebSocketError)
        self.code = exc.code


def read(pieces: list[bytes], most: int = MOST) -> Read:
    """The messages in the bytes, without parts, and the close code if they are invalid."""
    reader, said = MessageReader(most), []
    try:
        for piece in pieces:
            reader.feed(piece)
            while (message := reader.next()) is not None:
                if message[0] != incoming.CONTINUATION:
                    said.append(message)
    except ProtocolViolation as broken:
        return said, broken.code
    return said, None


def cut(data: bytes, cuts: list[float]) -> list[bytes]:
    """Bytes cut into the pieces in which they may arrive."""
    ends = [0, *sorted(int(one * len(data)) for one in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(ends)]


@given(st.lists(frames, max_size=6).map(b"".join), st.lists(st.floats(0, 1), max_size=6))
def test_the_reader_finds_the_same_messages_as_aiohttp(data: bytes, cuts: list[float]) -> None:
    """However the bytes are cut, and up to the same frame if one is invalid."""
    oracle = Oracle()
    WebSocketReader(oracle, MOST + 1, False, True).feed_data(data)
    said, code = read(cut(data, cuts))
    assert [(kind, None if kind == 8 else text) for kind, text in said] == oracle.said
    assert code == oracle.code


@pytest.mark.parametrize("first", [b"", b"4"])
def test_a_message_within_a_message_is_a_protocol_error(first: bytes) -> None:
    """RFC 6455, 5.4, also if the first part is empty; so does a continuation without a start."""
    begun = client_frame(incoming.TEXT, first, final=False)
    assert read([begun + client_frame(incoming.TEXT, b"4")]) == ([], 1002)
    assert read([client_frame(incoming.CONTINUATION, first)]) == ([], 1002)


@given(st.binary(max_size=60), st.integers(0, 15))
def test_an_unmasked_frame_is_a_protocol_error(payload: bytes, opcode: int) -> None:
    """RFC 6455, 5.1: as soon as its header arrives; messages before it are read."""
    before = client_frame(incoming.TEXT, b"4")
    assert read([before + websocket.frame(opcode, payload)]) == ([(1, "4")], 1002)
    assert read([websocket.frame(opcode, payload)[:2]]) == ([], 1002)


@given(
    st.integers(MOST - 2, MOST + 700),
    st.lists(st.floats(0, 1), max_size=8),
    st.lists(st.floats(0, 1), max_size=5),
)
def test_a_text_too_large_yields_its_head_and_the_next_text_is_whole(
    length: int, parts: list[float], cuts: list[float]
) -> None:
    """In one frame or many, with a PING in between; only the head is kept."""
    text = (b"42/chat,17[" + b"x" * length)[:length]
    pieces = cut(text, parts)
    written = b""
    for number, piece in enumerate(pieces):
        written += client_frame(bool(not number), piece, final=number == len(pieces) - 1)
        if number < len(pieces) - 1:
            written += client_frame(incoming.PING, b"")
    said, code = read(cut(written + client_frame(incoming.TEXT, b"3"), cuts))
    pings = [(incoming.PING, b"")] * (len(pieces) - 1)
    large = (incoming.TOO_LARGE, text[:HEAD_BYTES])
    told = large if length > MOST else (incoming.TEXT, text.decode())
    if length > MOST and len(pieces) > 1:
        kind, head = said[len(pings)]
        assert (kind, text.startswith(head)) == (incoming.TOO_LARGE, True)
        told = (kind, head)
    assert (said, code) == ([*pings, told, (incoming.TEXT, "3")], None)


@pytest.mark.parametrize("opcode", [incoming.TEXT, incoming.BINARY])
def test_a_frame_far_too_large_is_refused_by_its_header(opcode: int) -> None:
    """A text above 1 MiB, or a binary above the limit: close code 1009, nothing is kept."""
    length = MAX_ANSWERABLE_BYTES + 1 if opcode == incoming.TEXT else MOST + 1
    header = client_frame(opcode, b"x" * length)[:14]
    assert read([header]) == ([], 1009)


def test_parts_that_add_up_to_too_much_are_refused() -> None:
    """The limit holds for the message, not for each part."""
    part = client_frame(incoming.TEXT, b"x" * MOST, final=False)
    more = client_frame(incoming.CONTINUATION, b"x" * MOST, final=False)
    assert read([part, more * (MAX_ANSWERABLE_BYTES // MOST + 1)]) == ([], 1009)


def test_a_silent_client_keeps_nothing() -> None:
    """After the last message no byte stays in memory."""
    reader = MessageReader(MOST)
    reader.feed(client_frame(incoming.TEXT, b"3" * 500))
    assert reader.ready
    assert reader.next() is not None
    assert (reader.ready, reader._data) == (False, b"")
