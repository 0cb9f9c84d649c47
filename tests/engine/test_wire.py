"""One WebSocket: what is written in a turn is one write, what comes is handled where it is read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import WebSocketError
from hypothesis import given, settings
from hypothesis import strategies as st

from rts_server.engine import websocket, wire
from rts_server.engine.tick import Tick
from rts_server.engine.wire import MOST_BYTES, Wire


class Transport(asyncio.Transport):
    """Keeps what is written to it; the kernel takes nothing while `stuck`, gives while `read`."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.stuck = self.closed = self.aborted = False
        self.read = True

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Keep it."""
        self.writes.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        """All of it, or nothing."""
        return sum(map(len, self.writes)) if self.stuck else 0

    def pause_reading(self) -> None:
        """Note it."""
        self.read = False

    def resume_reading(self) -> None:
        """Note it."""
        self.read = True

    def is_closing(self) -> bool:
        """Whether it is closed or aborted."""
        return self.closed or self.aborted

    def close(self) -> None:
        """Note it."""
        self.closed = True

    def abort(self) -> None:
        """Note it."""
        self.aborted = True


class Taken:
    """Whoever the messages are for."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.binaries = self.controls = 0
        self.gone: list[Wire] = []

    def take(self, text: str) -> None:
        """Keep it."""
        self.texts.append(text)

    def take_binary(self) -> None:
        """Count it."""
        self.binaries += 1

    def take_control(self) -> None:
        """Count it."""
        self.controls += 1

    def lost(self, wire: Wire) -> None:
        """Keep it."""
        self.gone.append(wire)


class Line:
    """A wire, the transport under it, and its taker."""

    def __init__(self) -> None:
        self.transport, self.taken = Transport(), Taken()
        self.wire = Wire(self.transport, self.taken, Tick(), 1_000)

    def comes(self, *frames: bytes) -> None:
        """Bytes from the client, in one read."""
        self.wire.data_received(b"".join(frames))


def of(code: int) -> bytes:
    """A close frame."""
    return websocket.close(code)


async def turn() -> None:
    """Let the loop go round once."""
    await asyncio.sleep(0)


async def test_a_turn_is_one_write() -> None:
    """Whatever is written until the loop waits leaves together, in order; bytes count at once."""
    line = Line()
    for text in ("4a", "4b", "4c"):
        line.wire.write(websocket.text(text))
    assert (line.transport.writes, line.wire.waiting) == ([], 12)
    await turn()
    assert line.transport.writes == [b"\x81\x024a\x81\x024b\x81\x024c"]
    assert line.wire.waiting == 0
    line.transport.stuck = True
    assert line.wire.waiting == 12
    line.wire.abort()
    assert line.wire.waiting == 0


@given(st.lists(st.sampled_from([1, 1_000, 300_000, MOST_BYTES, "turn", "read"]), max_size=30))
@settings(deadline=None)
def test_a_reader_may_leave_a_mebibyte_and_no_more(steps: list[int | str]) -> None:
    """An offer is taken just when it fits beside what waits, wherever that waits."""

    async def run() -> None:
        line = Line()
        line.transport.stuck = True
        for step in steps:
            if step == "turn":
                await turn()
            elif step == "read":
                line.transport.writes.clear()
            elif isinstance(step, int):
                before = line.wire.waiting
                fits = before + step <= MOST_BYTES
                assert line.wire.offer(b"x" * step) is fits
                assert line.wire.waiting == before + step * fits

    asyncio.run(run())


async def test_messages_are_handled_in_the_read_that_brought_them() -> None:
    """Texts in order, binaries and controls counted, a PING answered; no turn of the loop."""
    line = Line()
    line.comes(
        websocket.text("41"),
        websocket.frame(0x2, b"\x00"),
        websocket.frame(0x9, b"here?"),
        websocket.frame(websocket.PONG, b""),
        websocket.text("42"),
    )
    assert (line.taken.texts, line.taken.binaries) == (["41", "42"], 1)
    assert line.taken.controls == 2
    await turn()
    assert line.transport.writes == [websocket.frame(websocket.PONG, b"here?")]


async def test_who_does_not_read_is_owed_no_pongs() -> None:
    """A PING costs its sender nothing: what waits for one who sends them only is bounded."""
    line = Line()
    line.transport.stuck = True
    ping = websocket.frame(0x9, b"x" * 125)
    for _ in range(1_000):
        line.comes(ping)
        await turn()
    assert line.wire.waiting < wire.MOST_PONGS + len(ping)
    assert line.taken.controls == 1_000


async def test_nothing_is_heard_behind_the_servers_close() -> None:
    """Who was told to go says nothing more, however much he sends."""
    line = Line()
    line.wire.end()
    line.comes(websocket.text("41"), websocket.frame(0x9, b""), websocket.frame(0x2, b""))
    assert (line.taken.texts, line.taken.binaries, line.taken.controls) == ([], 0, 0)
    line.comes(of(1000))
    assert line.transport.closed


async def test_a_clients_close_is_answered_and_the_transport_goes() -> None:
    """What was written before is still sent, the answer last."""
    line = Line()
    line.wire.write(websocket.text("4a"))
    line.comes(of(1001))
    assert line.transport.writes == [websocket.text("4a") + of(1000)]
    assert line.transport.closed


async def test_an_end_says_close_once_and_waits_for_the_clients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Behind all that waits; nothing is written after it, and its answer closes the transport."""
    line = Line()
    line.wire.write(websocket.text("4a"))
    line.wire.end()
    line.wire.end()
    line.wire.write(websocket.text("4b"))
    await turn()
    assert line.transport.writes == [websocket.text("4a") + of(1000)]
    assert not line.transport.is_closing()
    line.comes(of(1000))
    assert line.transport.writes == [websocket.text("4a") + of(1000)]
    assert line.transport.closed


async def test_who_never_says_close_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three seconds for the last words, no more."""
    monkeypatch.setattr(wire, "LAST_WORDS", 0.01)
    line = Line()
    line.wire.end()
    async with asyncio.timeout(5):
        while not line.transport.aborted:
            await turn()


@pytest.mark.parametrize(
    ("frame", "code"),
    [(websocket.text("x" * 1_001), 1009), (b"\x83\x00", 1002), (b"\x81\x02\xff\xff", 1007)],
    ids=["too long", "an opcode of nobody", "text that is no UTF-8"],
)
async def test_what_is_no_websocket_ends_it_with_its_code(frame: bytes, code: int) -> None:
    """Too large, no protocol, no UTF-8; nothing behind it is handled."""
    line = Line()
    line.comes(websocket.text("41"), frame, websocket.text("42"))
    assert line.taken.texts == ["41"]
    assert line.transport.writes == [of(code)]
    assert line.transport.closed


async def test_an_error_without_a_code_is_a_protocol_error() -> None:
    """aiohttp tells of lost payloads so too."""
    line, other = Line(), Line()
    line.wire.set_exception(RuntimeError())
    other.wire.set_exception(WebSocketError(1003, "no"))
    assert (line.transport.writes, other.transport.writes) == ([of(1002)], [of(1003)])


async def test_a_lost_transport_is_told_and_nothing_more_is_heard() -> None:
    """Not even what was read before and is fed later."""
    line = Line()
    line.wire.connection_lost(None)
    line.comes(websocket.text("41"))
    assert (line.taken.gone, line.taken.texts) == ([line.wire], [])


async def test_reading_is_paused_and_resumed() -> None:
    """At the transport: what it has not read the client's kernel keeps."""
    line = Line()
    line.wire.pause()
    assert not line.transport.read
    line.wire.resume()
    assert line.transport.read
