"""The Socket.IO server (protocol v5): python-socketio's namespaces, our parsing and writing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol

import socketio
from aiohttp import web

from rts_server import metrics
from rts_server.config import Settings
from rts_server.engine import codec, frames
from rts_server.engine.addresses import Addresses
from rts_server.engine.closing import AWAY, closing
from rts_server.engine.engine import Engine, EngineCallbacks
from rts_server.engine.origins import allowed_origins
from rts_server.engine.outgoing import OutgoingQueue
from rts_server.engine.packets import (
    Encoded,
    close_packet,
    connect_error_packet,
    disconnect_packet,
    event_packet,
)
from rts_server.engine.transport import CLOSE_GRACE_SECONDS
from rts_server.protocol.event import ephemeral
from rts_server.rates import parse

log = logging.getLogger(__name__)

CLOSED_AS = "rts.closed_as"
"""Key of a connection's environ: the code with which the server closed it, for the log."""
NULL_OUTGOING = OutgoingQueue()
NULL_OUTGOING.ended = True
"""The queue of connections that are gone: it drops everything."""


class Receiver(Protocol):
    """The namespace handlers, as far as this server uses them."""

    def receive(self, sid: str, frame: frames.Frame) -> None:
        """Handle a command. Every one that has an ack id must be answered (D10)."""


class Server(socketio.AsyncServer):  # type: ignore[misc]
    """A Socket.IO server whose client events never reach the library's dispatch.

    An event named `connect` from a client is thus an unknown command, and no lifecycle event.
    """

    def __init__(
        self,
        settings: Settings,
        manager: socketio.AsyncManager,
        on_protocol_error: Callable[[str], None] | None = None,
    ) -> None:
        """`on_protocol_error` is called with the eio_sid for each error that a client caused."""
        transports = settings.transports.split(",")
        self._connect_deadline = settings.connect_deadline
        self._limited = settings.limited
        self._on_protocol_error = on_protocol_error or _ignore
        self._addresses = Addresses(
            settings.trusted_proxies, settings.address_connections, parse(settings.rates)
        )
        self._max_in_flight = settings.commands_in_flight if settings.limited else 0
        self._sid_suffix = f".{settings.port}" if "polling" in transports else ""
        super().__init__(
            client_manager=manager,
            async_mode="aiohttp",
            transports=transports,
            ping_interval=settings.ping_interval,
            ping_timeout=settings.ping_timeout,
            max_http_buffer_size=settings.limits.frame_bytes,
            cors_allowed_origins=allowed_origins(settings),
            json=codec,
            monitor_clients=False,  # every session has a heartbeat of its own
            logger=logging.getLogger("socketio"),  # or it would have a handler of its own
            engineio_logger=logging.getLogger("engineio"),
        )

    def _engineio_server_class(self) -> Callable[..., Engine]:
        """The library calls the result with its own options; ours are bound beforehand."""
        callbacks = EngineCallbacks(
            on_message=self._message_received,
            on_protocol_error=self._on_protocol_error,
            on_slow_consumer=self._close_slow_consumer,
            on_oversize_message=self._oversize_message_received,
            admission_delay=self._admission_delay,
        )
        return partial(
            Engine,
            callbacks=callbacks,
            max_in_flight=self._max_in_flight,
            sid_suffix=self._sid_suffix,
        )

    def _admission_delay(self, request: web.Request) -> float:
        return self._addresses.admission_delay(request) if self._limited else 0.0

    # Writing

    def outgoing(self, eio_sid: str) -> OutgoingQueue:
        """Return the queue of packets for a connection; one that drops them if it is gone."""
        socket = self.eio.sockets.get(eio_sid)
        return NULL_OUTGOING if socket is None else socket.queue

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        """Send a packet of the library by the same queue, so that the order is kept."""
        self.outgoing(eio_sid).write(Encoded(pkt.encode()))

    def _close_slow_consumer(self, eio_sid: str) -> None:
        """Close a connection for which 1 MiB waits (R1); the client reconnects with cursors."""
        metrics.SLOW_CONSUMERS.inc()
        self.close(eio_sid, "slow_consumer")

    def close(self, eio_sid: str, code: str, retry_after_ms: int | None = None) -> None:
        """Send the reason, then close. Never blocks.

        What waits is still sent, for 3 s at most. The order is: `session.closing`, DISCONNECT of
        each namespace (so that a client does not reconnect where it must not), end of transport.
        """
        socket = self.eio.sockets.get(eio_sid)
        if socket is None or socket.closed or socket.queue.ended:
            return
        self.environ.get(eio_sid, {})[CLOSED_AS] = code
        reason = closing(code, retry_after_ms)
        last = []
        connected = [
            n for n in self.namespace_handlers if self.manager.sid_from_eio_sid(eio_sid, n)
        ]
        if "/chat" in connected:
            text = ephemeral("session.closing", reason)
            last.append(event_packet("/chat", "session.closing", text))
        if code in AWAY:
            last += [disconnect_packet(namespace) for namespace in connected]
        socket.queue.end(*last)
        if not socket.upgraded:  # by the next poll: a client drops packets that come with a CLOSE
            socket.queue.end(close_packet())
        asyncio.get_running_loop().call_later(CLOSE_GRACE_SECONDS, self.abort, eio_sid)

    def check_alive(self, eio_sid: str, within: float) -> None:
        """Ping a client at once; it is lost if it does not answer within `within` seconds."""
        if (socket := self.eio.sockets.get(eio_sid)) is not None:
            socket.check_alive(within)

    def refuse_new_connections(self) -> None:
        """Answer handshakes with 503 from now on; clients and balancers try another instance."""
        self.eio.refuse_handshakes()

    def abort(self, eio_sid: str) -> None:
        """Drop the transport at once: the client reconnects. Never blocks."""
        socket = self.eio.sockets.get(eio_sid)
        if socket is None:
            return
        if not socket.upgraded:  # a proxy may share its TCP connection between clients
            self.eio.tasks.keep(self.eio.end_polling(socket))
        else:
            socket.abort()

    # Reading

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        await super()._handle_eio_connect(eio_sid, {})  # the request is not kept
        self._addresses.connection_opened(eio_sid, environ["aiohttp.request"])
        self.abort_unless_connected(eio_sid)

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        self._addresses.connection_closed(eio_sid)
        await super()._handle_eio_disconnect(eio_sid, reason)

    def command_started(self, eio_sid: str) -> None:
        """Count a command of a connection as in flight."""
        if (socket := self.eio.sockets.get(eio_sid)) and socket.in_flight is not None:
            socket.in_flight.command_started()

    def command_answered(self, eio_sid: str) -> None:
        """Count a command as answered, and read on if the connection was at its limit."""
        if (socket := self.eio.sockets.get(eio_sid)) and socket.in_flight is not None:
            socket.in_flight.command_answered()
            socket.resume_reading()

    def defer_reading(self, eio_sid: str, seconds: float, refuse: Callable[[str], bool]) -> None:
        """Read nothing more from a connection for a time.

        `refuse` is called with the text of each packet that was read before; it returns whether
        that needs no handling any more.
        """
        if (socket := self.eio.sockets.get(eio_sid)) is not None:
            socket.defer_reading(seconds, refuse)

    def abort_unless_connected(self, eio_sid: str) -> None:
        """Abort a connection that is in no namespace after RTS_CONNECT_DEADLINE."""
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
        """Handle a message for the library; both transports call `_message_received` themselves."""
        if (work := self._message_received(eio_sid, data)) is not None:
            await work

    def _message_received(self, eio_sid: str, data: Any) -> Coroutine[Any, Any, None] | None:
        """Handle a message; return work that must be done before the connection's next one.

        CONNECT and DISCONNECT are such work: a command behind a CONNECT must find its session, and
        none behind a DISCONNECT may be executed.
        """
        try:
            frame = frames.parse(data) if isinstance(data, str) else None
        except frames.Malformed:
            self.eio.sockets[eio_sid].protocol_error()
            return None
        if frame is not None and frame.type in (frames.EVENT, frames.BINARY_EVENT):
            if frame.ack_id is None and not isinstance(frame.data, list):
                self.eio.sockets[
                    eio_sid
                ].protocol_error()  # without an ack id no error can be answered
            else:
                self._receive(eio_sid, frame)
        elif frame is not None and frame.type == frames.CONNECT:
            self._on_protocol_error(eio_sid)  # one per namespace is normal, a hundred are not
            return self._connect(eio_sid, frame)
        elif frame is not None and frame.type == frames.DISCONNECT:
            if self.manager.sid_from_eio_sid(eio_sid, frame.namespace) is None:
                self._drop_useless(eio_sid, "not_connected")
                return None
            work: Coroutine[Any, Any, None] = self._handle_disconnect(eio_sid, frame.namespace)
            return work
        else:
            self._drop_useless(eio_sid, "packet")
        return None

    def _oversize_message_received(self, eio_sid: str, head: str) -> None:
        """Answer a command that was too large; close the connection where none can be answered."""
        metrics.DROPPED.labels("frame").inc()
        if (frame := frames.parse_head(head)) is None:
            self.close(eio_sid, "frame_too_large")
        else:
            self._receive(eio_sid, frame)

    def _drop_useless(self, eio_sid: str, reason: str) -> None:
        metrics.DROPPED.labels(reason).inc()
        self._on_protocol_error(eio_sid)

    async def _connect(self, eio_sid: str, frame: frames.Frame) -> None:
        if eio_sid not in self.environ:  # it was closed before this task ran
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
            if socket is None or socket.closed:  # it was closed meanwhile: undo the connect
                await self._handle_disconnect(eio_sid, frame.namespace)

    def _receive(self, eio_sid: str, frame: frames.Frame) -> None:
        sid = self.manager.sid_from_eio_sid(eio_sid, frame.namespace)
        if sid is None or not self.manager.is_connected(sid, frame.namespace):
            self._drop_useless(eio_sid, "not_connected")
            return
        receiver: Receiver = self.namespace_handlers[frame.namespace]
        receiver.receive(sid, frame)


def _ignore(_: str) -> None:
    """Do nothing."""
