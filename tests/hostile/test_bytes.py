"""Arbitrary bytes on a WebSocket: the connection is closed or served, and others do not notice."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from rts_server.engine import websocket
from tests.helpers.raw import QUERY, Raw, masked
from tests.helpers.serving import serving
from tests.helpers.waiting import eventually

COMMANDS = ["40/chat,{}", "41/chat,", '42/chat,1["a"]', '42/chat,["bad"]', "451-/chat,5[1]"]
PACKETS = [
    *COMMANDS,
    "40/receipts,{}",
    "43/chat,1[]",
    "44/chat,{}",
    *"123456bx",
    "2probe",
    "42",
    "",
]
UPGRADE = (
    f"GET {QUERY} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()

packets = st.sampled_from(PACKETS).map(masked)
frames = st.builds(
    lambda final, opcode, payload: (
        bytes((final << 7 | opcode, 0x80 | len(payload), 0, 0, 0, 0)) + payload
    ),
    st.booleans(),
    st.integers(0, 15),
    st.binary(max_size=125),
)
unmasked = st.builds(websocket.frame, st.integers(0, 15), st.binary(max_size=200))
pieces = st.lists(packets | frames | unmasked | st.binary(max_size=20), max_size=30)
Stranger = tuple[list[bytes], list[float], bool]
"""The bytes, where they are cut into several writes, and whether the client ends by a RST."""
strangers = st.tuples(pieces, st.lists(st.floats(0, 1), max_size=4), st.booleans())


class Noting(logging.Handler):
    """Keeps log records."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.messages: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.messages.add(record.getMessage())


@settings(max_examples=100)
@given(st.lists(strangers, max_size=4))
def test_arbitrary_bytes_do_not_affect_other_clients(some: list[Stranger]) -> None:
    """Others are answered, the session is freed, and no error is logged but the client's."""
    handler = Noting(logging.WARNING)
    logging.getLogger().addHandler(handler)
    try:
        uvloop.run(_others_notice_nothing(some))
    finally:
        logging.getLogger().removeHandler(handler)
    assert handler.messages <= {"a message could not be handled"}  # of the command `bad`


async def _others_notice_nothing(some: list[Stranger]) -> None:
    async with serving() as (server, url), Raw(url) as decent:
        await decent.join("any", "/chat")
        (sid,) = server.eio.sockets
        work = asyncio.gather(*(_write(url, *one) for one in some))
        for number in range(3):
            await decent.ask(number, '["a"]')
        await work
        await eventually(lambda: set(server.eio.sockets) == {sid})
        await eventually(lambda: {eio_sid for _, eio_sid in server.manager._sids} == {sid})
        assert set(server.environ) == {sid}
        await decent.ask(9, '["a"]')


async def _write(url: str, written: list[bytes], cuts: list[float], rudely: bool) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    data = b"".join(written)
    ends = sorted(int(part * len(data)) for part in cuts)
    with suppress(ConnectionError, RuntimeError):  # uvloop says so of a transport that is gone
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        for start, end in zip([0, *ends], [*ends, len(data)], strict=True):
            writer.write(data[start:end])
            await asyncio.sleep(0)
        if rudely:
            writer.transport.abort()
        writer.close()
        await writer.wait_closed()
