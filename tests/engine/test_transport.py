"""The WebSocket transport: one write per turn, and messages are handled in the read that brought
them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rts_server.engine import message_reader as incoming
from rts_server.engine import transport as wire
from rts_server.engine import websocket
from rts_server.engine.transport import (
    MAX_BYTES_AFTER_CLOSE,
    MAX_FRAMES_PER_TURN,
    MAX_PENDING_BYTES,
    WebSocketTransport,
)
from rts_server.engine.write_batcher import WriteBatcher
from tests.helpers.raw import client_frame, masked
from tests.helpers.waiting import PATIENCE, eventually


class Transport(asyncio.Transport):
    """A transport that keeps what is written; `stuck` simulates a full kernel buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.stuck = self.closed = self.aborted = False
        self.read = True

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Keep it."""
        self.writes.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        """All bytes or none."""
        return sum(map(len, self.writes)) if self.stuck else 0

    def pause_reading(self) -> None:
        """Note it."""
        self.read = False

    def resume_reading(self) -> None:
        """Note it."""
        self.read = True

    def is_closing(self) -> bool:
        """Return whether it is closed or aborted."""
        return self.closed or self.aborted

    def close(self) -> None:
        """Note it."""
        self.closed = True

    def abort(self) -> None:
        """Note it."""
        self.aborted = True


class Taken:
    """A handler that keeps its messages."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.heads: list[bytes] = []
        self.binaries = self.controls = self.refused = 0
        self.gone: list[WebSocketTransport] = []
        self.paused = False

    def text_received(self, text: str) -> None:
        """Keep it."""
        self.texts.append(text)

    def binary_received(self) -> None:
        """Count it."""
        self.binaries += 1

    def control_received(self) -> None:
        """Count it."""
        self.controls += 1

    def oversize_text_received(self, head: bytes) -> None:
        """Keep it."""
        self.heads.append(head)

    def message_refused(self) -> None:
        """Count it."""
        self.refused += 1

    def transport_lost(self, wire: WebSocketTransport) -> None:
        """Keep it."""
        self.gone.append(wire)


class Line:
    """A WebSocket with its transport and its handler."""

    def __init__(self) -> None:
        self.transport, self.taken = Transport(), Taken()
        self.wire = WebSocketTransport(self.transport, self.taken, WriteBatcher(), 1_000)

    def comes(self, *frames: bytes) -> None:
        """Feed bytes of the client, in one read."""
        self.wire.data_received(b"".join(frames))


def of(code: int) -> bytes:
    """A close frame of the server."""
    return websocket.close(code)


def bye(code: int) -> bytes:
    """A close frame of the client."""
    return client_frame(incoming.CLOSE, code.to_bytes(2, "big"))


async def turn() -> None:
    """Let the loop run once."""
    await asyncio.sleep(0)


async def test_frames_of_one_turn_are_one_write() -> None:
    """Frames written in one turn leave together and in order; pending bytes count at once."""
    line = Line()
    for text in ("4a", "4b", "4c"):
        line.wire.write(websocket.text(text))
    assert (line.transport.writes, line.wire.pending_bytes) == ([], 12)
    await turn()
    assert line.transport.writes == [b"\x81\x024a\x81\x024b\x81\x024c"]
    assert line.wire.pending_bytes == 0
    line.transport.stuck = True
    assert line.wire.pending_bytes == 12
    line.wire.abort()
    assert line.wire.pending_bytes == 0


@given(
    st.lists(st.sampled_from([1, 1_000, 300_000, MAX_PENDING_BYTES, "turn", "read"]), max_size=30)
)
@settings(deadline=None)
def test_at_most_one_mebibyte_waits_for_a_slow_reader(steps: list[int | str]) -> None:
    """A frame is taken if it fits beside what is pending, in our buffer or the kernel's."""

    async def scenario() -> None:
        line = Line()
        line.transport.stuck = True
        for step in steps:
            if step == "turn":
                await turn()
            elif step == "read":
                line.transport.writes.clear()
            elif isinstance(step, int):
                before = line.wire.pending_bytes
                fits = before + step <= MAX_PENDING_BYTES
                assert line.wire.try_write(b"x" * step) is fits
                assert line.wire.pending_bytes == before + step * fits

    asyncio.run(scenario())


async def test_messages_are_handled_within_the_read_that_received_them() -> None:
    """Texts in order, binaries and control frames counted, a PING answered."""
    line = Line()
    line.comes(
        masked("41"),
        client_frame(incoming.BINARY, b"\x00"),
        client_frame(incoming.PING, b"here?"),
        client_frame(incoming.PONG, b""),
        masked("42"),
    )
    assert (line.taken.texts, line.taken.binaries) == (["41", "42"], 1)
    assert line.taken.controls == 2
    await turn()
    assert line.transport.writes == [websocket.frame(websocket.PONG, b"here?")]


async def test_no_pongs_are_queued_for_a_client_that_does_not_read() -> None:
    """A client that only sends PINGs cannot make unbounded PONGs wait."""
    line = Line()
    line.transport.stuck = True
    ping = client_frame(incoming.PING, b"x" * 125)
    for _ in range(1_000):
        line.comes(ping)
        await turn()
    assert line.wire.pending_bytes < wire.MAX_PENDING_PONG_BYTES + len(ping)
    assert line.taken.controls == 1_000


async def test_messages_after_the_servers_close_are_not_handled() -> None:
    """Messages behind the server's CLOSE are not handled."""
    line = Line()
    line.wire.close()
    line.comes(masked("41"), client_frame(incoming.PING, b""), client_frame(incoming.BINARY, b""))
    assert (line.taken.texts, line.taken.binaries, line.taken.controls) == ([], 0, 0)
    line.comes(bye(1000))
    assert line.transport.closed


@pytest.mark.parametrize("flood", [masked("3") * 100_000, masked("x" * 900) * 1_000])
async def test_only_a_bounded_amount_is_read_after_the_close(flood: bytes) -> None:
    """Only what may be on its way is read, then the connection is aborted."""
    line = Line()
    line.wire.close()
    line.comes(flood)
    for _ in range(MAX_BYTES_AFTER_CLOSE // MAX_FRAMES_PER_TURN):
        await turn()
    assert (line.transport.read, line.wire.reading_paused) == (False, False)
    line.comes(bye(1000))
    assert not line.transport.closed


@pytest.mark.parametrize("frame", [masked("3"), masked(""), client_frame(incoming.PING, b"")])
async def test_a_read_of_tiny_frames_takes_several_turns(frame: bytes) -> None:
    """A turn handles a bounded number of frames, in order, while nothing more is read."""
    line, most = Line(), 10 * MAX_FRAMES_PER_TURN + 1
    line.comes(frame * most)
    for turns in range(10):
        taken = len(line.taken.texts) + line.taken.controls
        assert (taken, line.transport.read, line.wire.reading_paused) == (
            (turns + 1) * MAX_FRAMES_PER_TURN,
            False,
            True,
        )
        await turn()
    assert len(line.taken.texts) + line.taken.controls == most
    assert (line.transport.read, line.wire.reading_paused) == (True, False)


async def test_tiny_parts_of_a_message_count_as_control_frames() -> None:
    """Tiny parts count as control frames; large parts do not."""
    line = Line()
    first, last = client_frame(1, b"4", final=False), client_frame(0, b"6")
    line.comes(first, client_frame(0, b"5", final=False), last)
    assert (line.taken.texts, line.taken.controls) == (["456"], 2)
    line.comes(client_frame(1, b"x" * 500, final=False), client_frame(0, b"x" * 500))
    assert (len(line.taken.texts), line.taken.controls) == (2, 2)


async def test_a_text_too_large_is_reported_by_its_head_and_the_next_is_handled() -> None:
    """It is read to its end, and nothing of it is kept."""
    line = Line()
    line.comes(masked("4" * 1_001), masked("41"))
    assert (line.taken.heads, line.taken.texts) == ([b"4" * incoming.HEAD_BYTES], ["41"])
    assert line.transport.writes == []


async def test_a_frame_too_large_to_be_read_is_refused_and_nothing_more_is_read() -> None:
    """There is time to send the reason before the close frame with its code."""
    line = Line()
    line.comes(masked("4" * (incoming.MAX_ANSWERABLE_BYTES + 1))[:100], masked("41"))
    assert (line.taken.refused, line.taken.texts, line.transport.read) == (1, [], False)
    assert not line.transport.closed
    line.wire.write(websocket.text("4why"))
    line.wire.close()
    await turn()
    assert line.transport.writes == [websocket.text("4why") + of(1009)]


async def test_a_clients_close_is_answered_and_the_transport_closed() -> None:
    """Frames written before are sent first, the answer last."""
    line = Line()
    line.wire.write(websocket.text("4a"))
    line.comes(bye(1001))
    assert line.transport.writes == [websocket.text("4a") + of(1000)]
    assert line.transport.closed


async def test_the_server_sends_close_once_and_waits_for_the_clients_close(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CLOSE follows what is pending; the client's CLOSE closes the transport."""
    line = Line()
    line.wire.write(websocket.text("4a"))
    line.wire.close()
    line.wire.close()
    line.wire.write(websocket.text("4b"))
    await turn()
    assert line.transport.writes == [websocket.text("4a") + of(1000)]
    assert not line.transport.is_closing()
    line.comes(bye(1000))
    assert line.transport.writes == [websocket.text("4a") + of(1000)]
    assert line.transport.closed


async def test_a_client_that_never_sends_close_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    """After three seconds."""
    monkeypatch.setattr(wire, "CLOSE_GRACE_SECONDS", 0.01)
    line = Line()
    line.wire.close()
    async with asyncio.timeout(PATIENCE):
        while not line.transport.aborted:
            await turn()


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (client_frame(0x3, b""), 1002),
        (client_frame(0x1, b"\xff\xff"), 1007),
        (websocket.text("42"), 1002),
    ],
    ids=["an opcode of nobody", "text that is no UTF-8", "no mask"],
)
async def test_a_protocol_violation_closes_with_its_code(frame: bytes, code: int) -> None:
    """A protocol violation, invalid UTF-8 or a missing mask; nothing behind it is handled."""
    line = Line()
    line.comes(masked("41"), frame, masked("42"))
    assert line.taken.texts == ["41"]
    assert line.transport.writes == [of(code)]
    assert line.transport.closed


async def test_a_lost_transport_is_reported_and_no_more_messages_are_handled() -> None:
    """Bytes that were read before are not handled any more."""
    line = Line()
    line.wire.connection_lost(None)
    line.comes(masked("41"))
    assert (line.taken.gone, line.taken.texts) == ([line.wire], [])


async def test_a_paused_transport_delivers_nothing_until_it_is_resumed() -> None:
    """Messages wait, the kernel slows the client down, and later all come in order."""
    line = Line()
    line.taken.paused = True
    assert line.transport.read
    line.comes(masked("41"), masked("42"))
    assert (line.taken.texts, line.transport.read, line.wire.reading_paused) == ([], False, True)
    assert not line.wire.resume_reading()
    line.taken.paused = False
    assert line.wire.resume_reading()
    assert (line.taken.texts, line.transport.read, line.wire.reading_paused) == (
        ["41", "42"],
        True,
        False,
    )
    assert not line.wire.resume_reading()


async def test_reading_is_deferred_behind_what_was_read() -> None:
    """Messages that are here are handled; the kernel keeps later ones until the time is over."""
    line = Line()
    line.wire.defer_reading(0.01)
    line.wire.defer_reading(1000)
    line.comes(masked("41"), masked("42"))
    assert (line.taken.texts, line.transport.read) == (["41", "42"], False)
    line.taken.paused = True
    line.comes(masked("43"))
    line.taken.paused = False
    assert line.wire.resume_reading()
    assert (line.taken.texts[-1], line.transport.read) == ("43", False)
    await eventually(lambda: line.transport.read)


async def test_reading_deferred_does_not_end_a_pause() -> None:
    """A handler that is paused when the time is over resumes by itself, and a closed line never."""
    line, closed = Line(), Line()
    line.wire.defer_reading(0)
    closed.wire.defer_reading(0)
    line.taken.paused = True
    line.comes(masked("41"))
    closed.transport.closed = True
    await asyncio.sleep(0.01)
    assert not line.transport.read
    assert not closed.transport.read
    line.taken.paused = False
    assert line.wire.resume_reading()
    assert line.transport.read


async def test_resuming_within_a_turn_does_not_prolong_it() -> None:
    """Resuming again and again does not prolong the turn of a connection."""
    line = Line()
    line.comes(masked("3") * (3 * MAX_FRAMES_PER_TURN))
    for _ in range(10):
        assert not line.wire.resume_reading()
    assert len(line.taken.texts) == MAX_FRAMES_PER_TURN
    await turn()
    assert len(line.taken.texts) == 2 * MAX_FRAMES_PER_TURN


async def test_a_client_closed_while_paused_still_sends_close() -> None:
    """The client's CLOSE is read although the handler is paused."""
    line = Line()
    line.taken.paused = True
    line.comes(masked("41"), bye(1000))
    line.wire.close()
    await turn()
    await turn()
    assert (line.taken.texts, line.transport.closed) == ([], True)
