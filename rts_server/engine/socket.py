"""One Engine.IO session: its packets in order, its heartbeat, and the WebSocket it has or gets."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from engineio import packet as eio
from engineio.async_socket import AsyncSocket

from rts_server import metrics
from rts_server.engine import websocket
from rts_server.engine.handshake import Handshake
from rts_server.engine.in_flight import InFlightLimit
from rts_server.engine.packets import close_packet
from rts_server.engine.transport import A_TURN, WebSocketTransport

if TYPE_CHECKING:
    from rts_server.engine.engine import Engine

log = logging.getLogger(__name__)

CLOSE, PONG, MESSAGE, UPGRADE = "1", "3", "4", "5"
USELESS = frozenset("0256789b")
"""Packets that mean nothing from a client, or nothing any more; `b` is for polling."""
PROBE, PROBED = "2probe", "3probe"
PROBE_WITHIN = 10.0
"""Seconds for a polling client to become a WebSocket once it has opened one."""


class Socket(AsyncSocket):  # type: ignore[misc]
    """The library's, with a WebSocket that needs no task for what it reads or writes.

    `flow`: bounds the commands in flight. `polled`: a poll waits. `posted`: a POST is being read.
    """

    server: Engine
    last_ping: float | None
    connected: bool
    upgrading: bool
    upgraded: bool

    def __init__(self, server: Engine, sid: str) -> None:
        super().__init__(server, sid)
        self.flow: InFlightLimit | None = None
        self._wire: WebSocketTransport | None = None
        self._probing: WebSocketTransport | None = None
        self._probed = False
        self._beat: asyncio.TimerHandle | None = None
        self._first: asyncio.Task[None] | None = None
        self.polled = self.posted = False

    # Heartbeat: the server pings, the client pongs

    def schedule_ping(self) -> None:
        """The client is there: ping it again after a while. A PONG nobody asked for is nothing."""
        if self.last_ping is not None:
            self.last_ping = None
            self._after(self.server.ping_interval, self._ping)

    def _ping(self) -> None:
        self.last_ping = time.time()
        self.queue.put_nowait(eio.Packet(eio.PING))
        self._after(self.server.ping_timeout, self._unanswered)

    def check(self, within: float) -> None:
        """Ping now. An answer may take so many seconds, and never longer than it might already."""
        if self.last_ping is None:
            self._ping()
        due = asyncio.get_running_loop().time() + within
        if self._beat is not None and self._beat.when() > due:
            self._after(within, self._unanswered)

    def _unanswered(self) -> None:
        if self._unread:  # the PONG may lie behind it
            self._after(self.server.ping_timeout, self._unanswered)
        else:
            self.server.lose(self)

    def _after(self, seconds: float, act: Any) -> None:
        if self._beat is not None:
            self._beat.cancel()
        if not (self.closing or self.closed):
            self._beat = asyncio.get_running_loop().call_later(seconds, act)

    # What comes by the WebSocket

    @property
    def held(self) -> bool:
        """Whether an earlier packet must be finished before another is looked at; a probe waits for
        none.
        """
        return self.upgraded and self._busy

    @property
    def _busy(self) -> bool:
        return self._first is not None or (self.flow is not None and self.flow.full)

    @property
    def _unread(self) -> bool:
        return self._busy if self._wire is None else self._wire.stopped

    def take(self, text: str) -> None:
        """A packet."""
        if self.upgraded:
            self._packet(text)
        else:
            self._probe(text)

    def _packet(self, text: str) -> None:
        kind = text[:1]
        if kind == MESSAGE:
            self._message(text[1:])
        elif kind == PONG and self.last_ping is not None:
            self.schedule_ping()
        elif kind == CLOSE:
            self._finish_first(self._left())
        elif kind == PONG or kind in USELESS:
            self.server.hear(self.sid, b"")
        else:
            self.no_packet()

    def take_binary(self) -> None:
        """Nothing of this protocol."""
        self.server.hear(self.sid, b"")

    def take_control(self) -> None:
        """Decent in small numbers."""
        self.server.junk(self.sid)

    def take_large(self, head: bytes) -> None:
        """A packet that was too large."""
        if self.upgraded:
            self.large(head)
        else:
            self._probe("")

    def refuse_large(self) -> None:
        """One that nobody reads."""
        self.take_large(b"")

    def large(self, head: bytes) -> None:
        """One that was too large; who waits for its answer gets one."""
        text = head.decode(errors="replace")
        self.server.large(self.sid, text[1:] if text[:1] == MESSAGE else "")

    def go_on(self) -> None:
        """What held packets up may be over; at once, so that none overtakes them."""
        wire = self._wire
        if wire is not None and wire.go_on() and self.last_ping is not None:
            self._after(self.server.ping_timeout, self._unanswered)  # its answer is only read now

    def _message(self, text: str) -> None:
        try:
            work = self.server.hear(self.sid, text)
        except Exception:  # those behind it are nobody's fault
            log.exception("a message could not be handled")
            return
        if work is not None:
            self._finish_first(work)

    def no_packet(self) -> None:
        """What came is none of the protocol: no decent client goes on like that."""
        metrics.DROPPED.labels("frame").inc()
        if not self.queue.ended:
            self.queue.end(*([] if self.upgraded else [close_packet()]))

    def _finish_first(self, work: Coroutine[Any, Any, None]) -> None:
        """No packet is looked at before this is done."""
        self._first = self.server.tasks.keep(work)
        self._first.add_done_callback(self._finished)

    def _finished(self, _: object) -> None:
        self._first = None
        self.go_on()

    async def _left(self) -> None:
        """The client says that it goes."""
        self._end_poll()
        await self.close(False, True, self.server.reason.CLIENT_DISCONNECT)
        if self._wire is None:
            self.server.sockets.pop(self.sid, None)

    # What comes and goes by polling

    async def take_all(self, texts: list[str]) -> None:
        """The packets of a POST, each finished before the next, so many a turn."""
        for number, text in enumerate(texts, 1):
            if self.queue.ended:
                return
            if self.flow is not None:
                await self.flow.room()
            self._packet(text)
            if self._first is not None:
                await asyncio.wait([self._first])
            if number % A_TURN == 0:
                await asyncio.sleep(0)

    async def poll(self) -> list[eio.Packet]:
        """What waits for the client, as soon as there is anything; behind an end, by a poll of its
        own. While the client moves to a WebSocket that is nothing.
        """
        if self._probed:
            return [eio.Packet(eio.NOOP)]
        self.polled = True
        try:
            while (first := await self.queue.get()) is None:
                pass
        finally:
            self.polled = False
        packets = [first]
        while not self.queue.waiting.empty() and (more := self.queue.get_nowait()) is not None:
            packets.append(more)
        return packets

    def _end_poll(self) -> None:
        if self.polled:
            self.queue.waiting.put_nowait(eio.Packet(eio.NOOP))

    # The WebSocket

    def probe(self, handshake: Handshake) -> None:
        """The WebSocket of a polling client. It must probe before it moves."""
        wire, early = self._taken_over(handshake)
        self.upgrading, self._probing, self._probed = True, wire, False
        asyncio.get_running_loop().call_later(PROBE_WITHIN, self._must_have_upgraded, wire)
        wire.data_received(early)

    def open(self, handshake: Handshake, first: eio.Packet) -> None:
        """The WebSocket of a session that begins with it, and its first packet."""
        wire, early = self._taken_over(handshake)
        self.connected = True
        self._move(wire)
        self.queue.put_nowait(first)
        wire.data_received(early)

    def _taken_over(self, handshake: Handshake) -> tuple[WebSocketTransport, bytes]:
        """The wire, and what it is to be fed when it is known."""
        most = self.server.max_http_buffer_size
        wire = WebSocketTransport(handshake.transport, self, self.server.tick, most)
        early = handshake.take_over(wire)
        wire.write(handshake.answer)
        return wire, early

    def lost(self, wire: WebSocketTransport) -> None:
        """A transport is lost: the session's, or that of a probe."""
        if self._wire is wire:
            self.server.tasks.keep(self.server.end(self))
        elif self._probing is wire:
            self._probed_in_vain()

    def abort(self) -> None:
        """Drop the transport at once."""
        if self._wire is not None:
            self._wire.abort()

    def _probe(self, text: str) -> None:
        wire = self._probing
        if wire is None:
            return
        if text == PROBE and not self._probed:
            self._probed = True
            wire.write(websocket.text(PROBED))
            self._end_poll()
        elif text == UPGRADE and self._probed:
            self.upgrading, self._probing = False, None
            self._move(wire)
        else:
            self._probed_in_vain()
            wire.end()

    def _must_have_upgraded(self, wire: WebSocketTransport) -> None:
        if self._probing is wire:
            self._probed_in_vain()
            wire.abort()

    def _probed_in_vain(self) -> None:
        """The client goes on polling, at once; it may try again."""
        self.upgrading, self._probing, self._probed = False, None, False

    def _move(self, wire: WebSocketTransport) -> None:
        self.upgraded = True
        self._wire = wire
        self.queue.carry(wire)
        self._end_poll()

    async def close(
        self, wait: bool = True, abort: bool = False, reason: str | None = None
    ) -> None:
        """End the session; its WebSocket ends with it."""
        if self._beat is not None:
            self._beat.cancel()
        self.queue.ended = True
        await super().close(wait, abort, reason)
        if self._wire is not None:
            self._wire.end()
