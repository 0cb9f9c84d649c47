"""One Engine.IO session (protocol 4): its packets in order, its heartbeat, its transport."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from engineio import packet as eio
from engineio.async_socket import AsyncSocket

from rts_server import metrics
from rts_server.engine import websocket
from rts_server.engine.handshake import Handshake
from rts_server.engine.in_flight import InFlightLimit
from rts_server.engine.outgoing import OutgoingQueue
from rts_server.engine.packets import close_packet
from rts_server.engine.transport import MAX_FRAMES_PER_TURN, WebSocketTransport

if TYPE_CHECKING:
    from rts_server.engine.engine import Engine

log = logging.getLogger(__name__)

CLOSE, PONG, MESSAGE, UPGRADE = "1", "3", "4", "5"
MEANINGLESS = frozenset("0256789b")
"""First characters of packets that mean nothing from a client in an open session; `b` (base64) is
for polling clients without binary support."""
PROBE, PROBE_ANSWER = "2probe", "3probe"
"""PING and PONG with the payload `probe` (Engine.IO protocol 4, "Upgrade")."""
UPGRADE_SECONDS = 10.0
"""How long a polling client may take to upgrade once it has opened a WebSocket."""


class Socket(AsyncSocket):  # type: ignore[misc]
    """The library's session, with a WebSocket that needs no task for reading or writing.

    `in_flight`: the unanswered commands, None where they are not limited. `polled`: a GET of the
    client is waiting. `posted`: a POST of the client is being read.
    """

    server: Engine
    last_ping: float | None
    connected: bool
    upgrading: bool
    upgraded: bool

    def __init__(self, server: Engine, sid: str) -> None:
        super().__init__(server, sid)
        self.queue = OutgoingQueue(on_overflow=partial(server.callbacks.on_slow_consumer, sid))
        limit = server.max_in_flight
        self.in_flight = InFlightLimit(limit) if limit else None
        self._transport: WebSocketTransport | None = None
        self._probing: WebSocketTransport | None = None
        self._probed = False
        self._heartbeat: asyncio.Handle | None = None
        self._heartbeat_at = 0.0
        """Its loop time: uvloop's handle of a timer that is due at once has none."""
        self._refuse: Callable[[str], bool] | None = None
        self._blocking: asyncio.Task[None] | None = None
        """Work of an earlier packet that must be done before the next one is handled."""
        self.polled = self.posted = False

    # Heartbeat: the server pings, the client answers

    def schedule_ping(self) -> None:
        """Send the next ping after the interval. An unsolicited PONG changes nothing."""
        if self.last_ping is not None:
            self.last_ping = None
            self._set_heartbeat(self.server.ping_interval, self._ping)

    def _ping(self) -> None:
        self.last_ping = time.time()
        self.queue.put_nowait(eio.Packet(eio.PING))
        self._set_heartbeat(self.server.ping_timeout, self._pong_overdue)

    def check_alive(self, within: float) -> None:
        """Ping now; the session is lost without an answer within `within` seconds.

        A deadline that is already running is never extended.
        """
        if self.last_ping is None:
            self._ping()
        due = asyncio.get_running_loop().time() + within
        if self._heartbeat is not None and self._heartbeat_at > due:
            self._set_heartbeat(within, self._pong_overdue)

    def _pong_overdue(self) -> None:
        if self._has_unread:  # the PONG may be among the bytes that were not read yet
            self._set_heartbeat(self.server.ping_timeout, self._pong_overdue)
        else:
            self.server.lose(self)

    def _set_heartbeat(self, seconds: float, callback: Any) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        if not (self.closing or self.closed):
            self._heartbeat_at = asyncio.get_running_loop().time() + seconds
            self._heartbeat = asyncio.get_running_loop().call_at(self._heartbeat_at, callback)

    # Packets from the client: callbacks of the WebSocket

    @property
    def paused(self) -> bool:
        """Whether an earlier packet must be finished before another one is handled.

        The packets of a probe are never held up.
        """
        return self.upgraded and self._busy

    @property
    def _busy(self) -> bool:
        return self._blocking is not None or (self.in_flight is not None and self.in_flight.full)

    @property
    def _has_unread(self) -> bool:
        return self._busy if self._transport is None else self._transport.reading_paused

    def text_received(self, text: str) -> None:
        """Handle a packet: of the session, or of a probe before the upgrade."""
        if not self.upgraded:
            self._probe_received(text)
        elif self._refuse is None or not self._is_refused(text):
            self._packet_received(text)

    def _is_refused(self, text: str) -> bool:
        if self._refuse is not None and self._transport is not None:
            if self._transport.reading_deferred:
                return self._refuse(text)
            self._refuse = None
        return False

    def _packet_received(self, text: str) -> None:
        kind = text[:1]
        if kind == MESSAGE:
            self._message_received(text[1:])
        elif kind == PONG and self.last_ping is not None:
            self.schedule_ping()
        elif kind == CLOSE:
            self._finish_before_next(self._client_closed())
        elif kind == PONG or kind in MEANINGLESS:
            self.server.callbacks.on_message(self.sid, b"")
        else:
            self.protocol_error()

    def binary_received(self) -> None:
        """Report a binary message as useless: no attachment is accepted here."""
        self.server.callbacks.on_message(self.sid, b"")

    def control_received(self) -> None:
        """Report a control frame: harmless in small numbers, an attack in large ones."""
        self.server.callbacks.on_protocol_error(self.sid)

    def oversize_text_received(self, head: bytes) -> None:
        """Handle a packet that was too large."""
        if self.upgraded:
            self.oversize_message(head)
        else:
            self._probe_received("")

    def message_refused(self) -> None:
        """Handle a message too large to be read to its end."""
        self.oversize_text_received(b"")

    def oversize_message(self, head: bytes) -> None:
        """Report a message that was too large by its first bytes, so that it can be answered."""
        text = head.decode(errors="replace")
        message_head = text[1:] if text[:1] == MESSAGE else ""
        self.server.callbacks.on_oversize_message(self.sid, message_head)

    def resume_reading(self) -> None:
        """Handle what was held up, if nothing holds it up any more.

        It is done at once and not in a later turn, so that no newer packet overtakes it (D3).
        """
        transport = self._transport
        if transport is not None and transport.resume_reading() and self.last_ping is not None:
            # The answer to our ping is only read now: the client has the full time for it.
            self._set_heartbeat(self.server.ping_timeout, self._pong_overdue)

    def defer_reading(self, seconds: float, refuse: Callable[[str], bool]) -> None:
        """Read nothing more from the WebSocket for a time; a poll is read as it comes.

        `refuse` is called with each packet that was read before; it returns whether that needs no
        handling any more.
        """
        if self._transport is not None:
            self._transport.defer_reading(seconds)
            self._refuse = refuse

    def _message_received(self, text: str) -> None:
        try:
            work = self.server.callbacks.on_message(self.sid, text)
        except Exception:  # the messages behind it must be handled all the same
            log.exception("a message could not be handled")
            return
        if work is not None:
            self._finish_before_next(work)

    def protocol_error(self) -> None:
        """End the session of a client that does not speak Engine.IO."""
        metrics.DROPPED.labels("frame").inc()
        if not self.queue.ended:
            self.queue.end(*([] if self.upgraded else [close_packet()]))

    def _finish_before_next(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work to its end before the next packet is handled (a CONNECT before its commands)."""
        self._blocking = self.server.tasks.keep(work)
        self._blocking.add_done_callback(self._blocking_done)

    def _blocking_done(self, _: object) -> None:
        self._blocking = None
        self.resume_reading()

    async def _client_closed(self) -> None:
        """End the session: the client sent an Engine.IO CLOSE."""
        self._end_poll()
        await self.close(False, True, self.server.reason.CLIENT_DISCONNECT)
        if self._transport is None:
            self.server.sockets.pop(self.sid, None)

    # Polling

    async def packets_received(self, texts: list[str]) -> None:
        """Handle the packets of a POST in order, each finished before the next one begins."""
        for number, text in enumerate(texts, 1):
            if self.queue.ended:
                return
            if self.in_flight is not None:
                await self.in_flight.wait_for_room()
            self._packet_received(text)
            if self._blocking is not None:
                await asyncio.wait([self._blocking])
            if number % MAX_FRAMES_PER_TURN == 0:
                await asyncio.sleep(0)

    async def poll(self) -> list[eio.Packet]:
        """Return the packets for a GET, as soon as there are any.

        The end of the session is returned by a poll of its own. While the client upgrades, the
        answer is a NOOP: its packets wait for the WebSocket.
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
        """Take a WebSocket of a polling client. It must be probed before the session moves to it.

        The order is the protocol's: PING probe, PONG probe, the waiting poll is ended by a NOOP,
        UPGRADE. Only then packets go by the WebSocket, so none is sent by both ways or by none.
        """
        transport, early = self._take_over(handshake)
        self.upgrading, self._probing, self._probed = True, transport, False
        loop = asyncio.get_running_loop()
        loop.call_later(UPGRADE_SECONDS, self._must_have_upgraded, transport)
        transport.data_received(early)

    def open(self, handshake: Handshake, first: eio.Packet) -> None:
        """Begin a session with its WebSocket; `first` is the OPEN packet.

        The OPEN is written before early bytes are handled: it must precede every answer.
        """
        transport, early = self._take_over(handshake)
        self.connected = True
        self._move_to(transport)
        self.queue.put_nowait(first)
        transport.data_received(early)

    def _take_over(self, handshake: Handshake) -> tuple[WebSocketTransport, bytes]:
        """Return the WebSocket, and the bytes that arrived behind its handshake.

        The transport is taken from aiohttp before the response is written, so that no byte of the
        client reaches aiohttp's parser any more. The caller feeds the early bytes when its own
        state is ready for them.
        """
        transport = WebSocketTransport(
            handshake.transport, self, self.server.batcher, self.server.max_http_buffer_size
        )
        early = handshake.take_over(transport)
        transport.write(handshake.answer)
        return transport, early

    def transport_lost(self, transport: WebSocketTransport) -> None:
        """End the session if it was its transport, or the probe if it was that one's."""
        if self._transport is transport:
            self.server.tasks.keep(self.server.end(self))
        elif self._probing is transport:
            self._probe_failed()

    def abort(self) -> None:
        """Drop the transport at once."""
        if self._transport is not None:
            self._transport.abort()

    def _probe_received(self, text: str) -> None:
        transport = self._probing
        if transport is None:
            return
        if text == PROBE and not self._probed:
            self._probed = True
            transport.write(websocket.text(PROBE_ANSWER))
            self._end_poll()
        elif text == UPGRADE and self._probed:
            self.upgrading, self._probing = False, None
            self._move_to(transport)
        else:
            self._probe_failed()
            transport.close()

    def _must_have_upgraded(self, transport: WebSocketTransport) -> None:
        if self._probing is transport:
            self._probe_failed()
            transport.abort()

    def _probe_failed(self) -> None:
        """Let the client go on polling; it may try another upgrade."""
        self.upgrading, self._probing, self._probed = False, None, False

    def _move_to(self, transport: WebSocketTransport) -> None:
        self.upgraded = True
        self._transport = transport
        self.queue.attach(transport)
        self._end_poll()

    async def close(
        self, wait: bool = True, abort: bool = False, reason: str | None = None
    ) -> None:
        """End the session and its WebSocket."""
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        self.queue.ended = True
        await super().close(wait, abort, reason)
        if self._transport is not None:
            self._transport.close()
