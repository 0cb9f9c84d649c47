"""The Socket.IO server: python-socketio's handshake and namespaces, our parsing and writing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol

import socketio

from rts_server import metrics
from rts_server.config import Settings
from rts_server.engine import codec, frames
from rts_server.engine.addresses import Addresses
from rts_server.engine.closing import AWAY, closing
from rts_server.engine.engine import Engine
from rts_server.engine.in_flight import InFlightLimit
from rts_server.engine.outgoing import OutgoingQueue
from rts_server.engine.packets import (
    Encoded,
    close_packet,
    connect_error_packet,
    disconnect_packet,
    event_packet,
)
from rts_server.engine.transport import LAST_WORDS
from rts_server.protocol.event import ephemeral
from rts_server.rates import parse

log = logging.getLogger(__name__)

CLOSED_AS = "rts.closed_as"
"""Key of a connection's environ: why the server closed it, for the log."""
NOWHERE = OutgoingQueue()
NOWHERE.ended = True
"""The way out of a connection that is gone."""


class Receiver(Protocol):
    """A namespace as the engine sees it."""

    def receive(self, sid: str, frame: frames.Frame) -> None:
        """Take a command; the namespace answers every one that has an ack id."""


class Server(socketio.AsyncServer):  # type: ignore[misc]
    """Client events never reach the library's dispatch: `connect` from outside is just a name."""

    def __init__(
        self,
        settings: Settings,
        manager: socketio.AsyncManager,
        on_protocol_error: Callable[[str], None] | None = None,
    ) -> None:
        """`on_protocol_error` gets the eio_sid of a client that broke the protocol."""
        transports = settings.transports.split(",")
        super().__init__(
            client_manager=manager,
            async_mode="aiohttp",
            transports=transports,
            ping_interval=settings.ping_interval,
            ping_timeout=settings.ping_timeout,
            max_http_buffer_size=settings.limits.frame_bytes,
            cors_allowed_origins=_origins(settings),
            json=codec,
            monitor_clients=False,  # every session has a heartbeat of its own
            logger=logging.getLogger("socketio"),  # or it would have a handler of its own
            engineio_logger=logging.getLogger("engineio"),
        )
        self.eio.hear, self.eio.slow, self.eio.large = self._hear, self._slow, self._large
        if on_protocol_error is not None:
            self.eio.junk = on_protocol_error
        self._connect_deadline = settings.connect_deadline
        self._in_flight = settings.commands_in_flight if settings.limited else 0
        self._addresses = Addresses(
            settings.trusted_proxies, settings.address_connections, parse(settings.rates)
        )
        if settings.limited:
            self.eio.admit = self._addresses.wait

    def _engineio_server_class(self) -> type[Engine]:
        return Engine

    # Writing

    def outgoing(self, eio_sid: str) -> OutgoingQueue:
        """Where what a connection is to hear is written."""
        socket = self.eio.sockets.get(eio_sid)
        return NOWHERE if socket is None else socket.queue

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        """The library's own answers leave by the same way."""
        self.outgoing(eio_sid).write(Encoded(pkt.encode()))

    def _slow(self, eio_sid: str) -> None:
        """A reader too slow for 1 MiB is closed and comes back."""
        metrics.SLOW_CONSUMERS.inc()
        self.close(eio_sid, "slow_consumer")

    def close(self, eio_sid: str, code: str, retry_after_ms: int | None = None) -> None:
        """Say why, then close: what waits is still written, but not for long. Never blocks."""
        socket = self.eio.sockets.get(eio_sid)
        if socket is None or socket.closed or socket.queue.ended:
            return
        self.environ.get(eio_sid, {})[CLOSED_AS] = code
        told = closing(code, retry_after_ms)
        last = []
        here = [n for n in self.namespace_handlers if self.manager.sid_from_eio_sid(eio_sid, n)]
        if "/chat" in here:
            text = ephemeral("session.closing", told)
            last.append(event_packet("/chat", "session.closing", text))
        if code in AWAY:
            last += [disconnect_packet(namespace) for namespace in here]
        socket.queue.end(*last)
        if not socket.upgraded:  # by a poll of its own: a client drops what comes beside a CLOSE
            socket.queue.end(close_packet())
        asyncio.get_running_loop().call_later(LAST_WORDS, self.abort, eio_sid)

    def check(self, eio_sid: str, within: float) -> None:
        """Ping a client at once; who does not answer within so many seconds is lost."""
        if (socket := self.eio.sockets.get(eio_sid)) is not None:
            socket.check(within)

    def refuse_new_connections(self) -> None:
        """Answer handshakes with 503 from now on."""
        self.eio.refusing = True

    def abort(self, eio_sid: str) -> None:
        """Drop the transport at once: the client reconnects. Never blocks."""
        socket = self.eio.sockets.get(eio_sid)
        if socket is None:
            return
        if not socket.upgraded:  # its requests may share their connection with other clients'
            self.eio.tasks.keep(self.eio.end_polling(socket))
        else:
            socket.abort()

    # Hearing

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        await super()._handle_eio_connect(eio_sid, {})  # who connects needs nothing of the request
        socket = self.eio.sockets[eio_sid]
        socket.flow = InFlightLimit(self._in_flight) if self._in_flight else None
        socket.queue.slow = partial(self.eio.slow, eio_sid)
        self._addresses.enter(eio_sid, environ["aiohttp.request"])
        self.expect_connect(eio_sid)

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        self._addresses.leave(eio_sid)
        await super()._handle_eio_disconnect(eio_sid, reason)

    def begun(self, eio_sid: str) -> None:
        """A command of a connection was taken."""
        if (socket := self.eio.sockets.get(eio_sid)) and socket.flow is not None:
            socket.flow.begun()

    def ended(self, eio_sid: str) -> None:
        """A command was answered."""
        if (socket := self.eio.sockets.get(eio_sid)) and socket.flow is not None:
            socket.flow.ended()
            socket.go_on()

    def expect_connect(self, eio_sid: str) -> None:
        """A connection without a namespace, at first or again, may live so long."""
        socket = self.eio.sockets.get(eio_sid)
        if socket is not None and not socket.closing:
            loop = asyncio.get_running_loop()
            loop.call_later(self._connect_deadline, self._must_have_connected, eio_sid)

    def _must_have_connected(self, eio_sid: str) -> None:
        if not any(
            self.manager.sid_from_eio_sid(eio_sid, namespace)
            for namespace in self.namespace_handlers
        ):
            self.abort(eio_sid)

    async def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        """What came by a POST; a WebSocket's messages are heard where they arrive."""
        if (work := self._hear(eio_sid, data)) is not None:
            await work

    def _hear(self, eio_sid: str, data: Any) -> Coroutine[Any, Any, None] | None:
        """A message; the work that must be done before the next one of its connection."""
        try:
            frame = frames.parse(data) if isinstance(data, str) else None
        except frames.Malformed:
            self.eio.sockets[eio_sid].no_packet()
            return None
        if frame is not None and frame.type in (frames.EVENT, frames.BINARY_EVENT):
            if frame.ack_id is None and not isinstance(frame.data, list):
                self.eio.sockets[eio_sid].no_packet()  # nobody could be told that it is none
            else:
                self._receive(eio_sid, frame)
        elif frame is not None and frame.type == frames.CONNECT:
            self.eio.junk(eio_sid)  # one a namespace is decent, a hundred are not
            return self._connect(eio_sid, frame)
        elif frame is not None and frame.type == frames.DISCONNECT:
            if self.manager.sid_from_eio_sid(eio_sid, frame.namespace) is None:
                self._useless(eio_sid, "not_connected")
                return None
            work: Coroutine[Any, Any, None] = self._handle_disconnect(eio_sid, frame.namespace)
            return work
        else:
            self._useless(eio_sid, "packet")
        return None

    def _large(self, eio_sid: str, head: str) -> None:
        """A message too large: its sender is answered, or told before the end why it is one."""
        metrics.DROPPED.labels("frame").inc()
        if (frame := frames.parse_head(head)) is None:
            self.close(eio_sid, "frame_too_large")
        else:
            self._receive(eio_sid, frame)

    def _useless(self, eio_sid: str, reason: str) -> None:
        metrics.DROPPED.labels(reason).inc()
        self.eio.junk(eio_sid)

    async def _connect(self, eio_sid: str, frame: frames.Frame) -> None:
        if eio_sid not in self.environ:  # its end came before its turn
            return
        if frame.namespace not in self.namespace_handlers:
            packet = connect_error_packet(frame.namespace, "No such namespace.", "not_found")
            self.outgoing(eio_sid).write(packet)
        elif self.manager.sid_from_eio_sid(eio_sid, frame.namespace):
            metrics.DROPPED.labels("connect_twice").inc()
        else:
            data = frame.data if isinstance(frame.data, dict) else {}
            await self._handle_connect(eio_sid, frame.namespace, {"auth": data})
            socket = self.eio.sockets.get(eio_sid)
            if socket is None or socket.closed:  # its end came while it was being connected
                await self._handle_disconnect(eio_sid, frame.namespace)

    def _receive(self, eio_sid: str, frame: frames.Frame) -> None:
        sid = self.manager.sid_from_eio_sid(eio_sid, frame.namespace)
        if sid is None or not self.manager.is_connected(sid, frame.namespace):
            self._useless(eio_sid, "not_connected")
            return
        receiver: Receiver = self.namespace_handlers[frame.namespace]
        receiver.receive(sid, frame)


def _origins(settings: Settings) -> list[str] | str | None:
    """None: the page's own origin only. Tokens travel in `auth`, so `*` gives nothing away."""
    origins = [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]
    return "*" if origins == ["*"] else origins or None
