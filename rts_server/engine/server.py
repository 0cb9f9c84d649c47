"""The Socket.IO server: python-socketio's handshake and namespaces, our parsing and writing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

import engineio
import socketio
from aiohttp import web
from engineio.async_drivers import aiohttp as stock
from engineio.payload import Payload

from rts_server import metrics
from rts_server.config import Settings
from rts_server.engine import codec, frames
from rts_server.engine.addresses import Addresses
from rts_server.engine.closing import closing
from rts_server.engine.flow import Flow
from rts_server.engine.outgoing import MOST_BYTES, Outgoing
from rts_server.engine.packets import (
    Encoded,
    ack_packet,
    close_packet,
    connect_error_packet,
    disconnect_packet,
    event_packet,
)
from rts_server.pressure import Pressure
from rts_server.protocol.event import ephemeral
from rts_server.tasks import Tasks

log = logging.getLogger(__name__)

CLOSED_AS = "rts.closed_as"
"""Key of a connection's environ: why the server closed it, for the log."""
SPARE_BYTES = MOST_BYTES // 16
"""While more waits for a reader, what is only nice to know is not written."""
PROBE_WITHIN = 10.0
"""Seconds for a polling client to become a WebSocket once it has opened one."""
POST_PACKETS = 1_000
"""Packets in one POST, which is no longer than a frame; the library's 16 a busy client exceeds."""
MANY = 1_000_000
BODY = "rts.body"
"""Key of a request: its body, read and found to be packets."""
LAST_WORDS = 3.0
"""Seconds for what waits to be written when a connection is closed."""


class Receiver(Protocol):
    """A namespace as the engine sees it."""

    def receive(self, sid: str, frame: frames.Frame) -> None:
        """Take a command; the namespace answers every one that has an ack id."""


class WebSocket(stock.WebSocket):  # type: ignore[misc]
    """aiohttp's side of a connection: no permessage-deflate, and no session outlives its socket.

    The Engine.IO socket's `carrier` is the request that became the WebSocket.
    """

    async def __call__(self, environ: dict[str, Any]) -> Any:
        """Serve one connection to its end."""
        self._sock = web.WebSocketResponse(
            max_msg_size=self.server.max_http_buffer_size + 1, compress=False
        )
        await self._sock.prepare(environ["aiohttp.request"])
        self.environ = environ
        socket = self.handler.__self__
        socket.carrier = environ["aiohttp.request"]
        if socket.connected:
            asyncio.get_running_loop().call_later(PROBE_WITHIN, self._must_have_upgraded, socket)
        try:
            await self.handler(self)
        except ValueError:
            # a frame that is no Engine.IO packet: stock leaves a ghost until the ping timeout
            metrics.DROPPED.labels("frame").inc()
        finally:
            if socket.upgraded:
                socket.queue.put_nowait(None)
                await socket.close(wait=False, abort=True, reason="transport error")
            socket.upgrading = False  # where a probe failed the client goes on polling
            await self._sock.close()
        return self._sock

    async def wait(self) -> Any:
        """The next packet; none is read while too many commands wait for their answer."""
        socket = self.handler.__self__
        if socket.flow is not None:
            unread = await socket.flow.room()
            if unread and socket.last_ping:
                socket.last_ping += unread  # the PONG may lie behind what was not read
        return await super().wait()

    @staticmethod
    def _must_have_upgraded(socket: Any) -> None:
        if socket.upgrading and socket.carrier.transport:
            socket.carrier.transport.abort()


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


class Engine(engineio.AsyncServer):  # type: ignore[misc]
    """Engine.IO with bounded queues and our WebSocket driver.

    `refusing`: nobody new is taken, by 503, which a client and a balancer answer by trying again.
    """

    refusing = False

    async def handle_request(self, request: web.Request) -> Any:
        """A handshake, or a request of a polling client."""
        if self.refusing and "sid" not in request.query:
            text = "This instance is draining; connect again."
            return web.Response(status=503, text=text, headers={"Retry-After": "1"})
        if (reason := self._unpolled(request)) is not None:
            return await self._refuse(request, reason)
        socket = self.sockets.get(request.query.get("sid"))
        if request.method == "POST" and socket is not None:
            return await self._posted(request, socket)
        return await super().handle_request(request)

    async def _posted(self, request: web.Request, socket: Any) -> Any:
        """What a polling client sends is read, and refused, as what comes by a WebSocket."""
        if socket.flow is not None:
            await socket.flow.room()
        try:
            if (request.content_length or 0) > self.max_http_buffer_size:
                raise ValueError("longer than a frame")
            request[BODY] = await request.read()
            Payload(encoded_payload=request[BODY].decode())
        except ValueError:  # stock answers 200 and logs how it failed
            metrics.DROPPED.labels("frame").inc()
            await self.end_polling(socket)
            return await self._refuse(request, "Not a payload of Engine.IO packets.")
        return await super().handle_request(request)

    async def _refuse(self, request: web.Request, reason: str) -> Any:
        environ = self._async["translate_request"](request)
        return await self._make_response(self._bad_request(reason), environ)

    async def end_polling(self, socket: Any) -> None:
        """A session without a transport of its own is over; a poll that waits hears it."""
        if not socket.queue.ended:
            socket.queue.end(close_packet())
        await socket.close(wait=False, abort=True, reason=self.reason.TRANSPORT_CLOSE)
        self.sockets.pop(socket.sid, None)

    def _unpolled(self, request: web.Request) -> str | None:
        """Why a polling request is none for this instance."""
        if request.query.get("transport", "polling") != "polling":
            return None
        if "polling" not in self.transports:
            return 'This server speaks WebSocket only: io(url, {transports: ["websocket"]}).'
        if (sid := request.query.get("sid")) is not None and sid not in self.sockets:
            return "No such session here. Polling needs a balancer with sticky sessions."
        return None

    def create_queue(self, *args: Any, **kwargs: Any) -> Outgoing:
        """The outgoing queue of one connection."""
        return Outgoing()


class Server(socketio.AsyncServer):  # type: ignore[misc]
    """Client events never reach the library's dispatch: `connect` from outside is just a name."""

    def __init__(self, settings: Settings, manager: socketio.AsyncManager) -> None:
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
            monitor_clients="polling" in transports,  # nobody else notices who stops to poll
            logger=False,
            engineio_logger=False,
        )
        ours = {"websocket": WebSocket, "translate_request": translate_request}
        self.eio._async = {**self.eio._async, **ours}
        if "polling" in transports:
            Payload.max_decode_packets = POST_PACKETS
        self._tasks = Tasks()
        self._connect_deadline = settings.connect_deadline
        self._in_flight = settings.commands_in_flight if settings.limited else 0
        self._addresses = Addresses(
            settings.trusted_proxies, settings.address_connections if settings.limited else MANY
        )
        self.pressure = Pressure()
        self.junk: Callable[[str], None] = lambda eio_sid: None

    def _engineio_server_class(self) -> type[Engine]:
        return Engine

    # Writing

    def write(self, eio_sid: str, packet: Encoded) -> None:
        """Queue a packet; never blocks. A reader too slow for 1 MiB is closed and comes back."""
        socket = self.eio.sockets.get(eio_sid)
        if socket is None or socket.closed or socket.queue.ended:
            return
        if not socket.queue.offer(packet):
            metrics.SLOW_CONSUMERS.inc()
            self.close(eio_sid, "slow_consumer")

    def spare(self, eio_sid: str, packet: Encoded) -> bool:
        """Queue what a slow reader can do without; False when it was shed."""
        socket = self.eio.sockets.get(eio_sid)
        if socket is not None and socket.queue.bytes > SPARE_BYTES:
            metrics.SHED.labels("packet").inc()
            return False
        self.write(eio_sid, packet)
        return True

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
        if not told["reconnect"]:
            last += [disconnect_packet(namespace) for namespace in here]
        socket.queue.end(*last)
        if not socket.upgraded:  # by a poll of its own: a client drops what comes beside a CLOSE
            socket.queue.end(close_packet())
        asyncio.get_running_loop().call_later(LAST_WORDS, self.abort, eio_sid)

    def abort(self, eio_sid: str) -> None:
        """Drop the transport at once: the client reconnects. Never blocks."""
        socket = self.eio.sockets.get(eio_sid)
        if socket is None:
            return
        if not socket.upgraded:  # its requests may share their connection with other clients'
            self._tasks.keep(self.eio.end_polling(socket))
        elif transport := socket.carrier.transport:
            transport.abort()

    def ack(self, eio_sid: str, namespace: str, ack_id: int, answer: dict[str, Any]) -> None:
        """Answer a command."""
        self.write(eio_sid, ack_packet(namespace, ack_id, answer))

    # Hearing

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        await super()._handle_eio_connect(eio_sid, environ)
        flow = Flow(self._in_flight) if self._in_flight else None
        self.eio.sockets[eio_sid].flow = flow
        self._addresses.enter(eio_sid, environ["aiohttp.request"])
        self.expect_connect(eio_sid)

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        self._addresses.leave(eio_sid)
        await super()._handle_eio_disconnect(eio_sid, reason)

    def crowded(self, eio_sid: str) -> bool:
        """Whether its address has more connections than it may."""
        return self._addresses.crowded(eio_sid)

    def begun(self, eio_sid: str) -> None:
        """A command of a connection was taken."""
        if (socket := self.eio.sockets.get(eio_sid)) and socket.flow is not None:
            socket.flow.begun()

    def ended(self, eio_sid: str) -> None:
        """A command was answered."""
        if (socket := self.eio.sockets.get(eio_sid)) and socket.flow is not None:
            socket.flow.ended()

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
        if self._is_silent(eio_sid):
            self.abort(eio_sid)
            return
        try:
            frame = frames.parse(data) if isinstance(data, str) else None
        except frames.Malformed:
            frame = None
        if frame is None:
            metrics.DROPPED.labels("packet").inc()
            self.junk(eio_sid)
        elif frame.type == frames.CONNECT:
            self.junk(eio_sid)  # one a namespace is decent, a hundred are not
            await self._connect(eio_sid, frame)
        elif frame.type == frames.DISCONNECT:
            await self._handle_disconnect(eio_sid, frame.namespace)
        elif frame.type in (frames.EVENT, frames.BINARY_EVENT):
            self._receive(eio_sid, frame)
        else:
            metrics.DROPPED.labels("packet").inc()
            self.junk(eio_sid)

    def _is_silent(self, eio_sid: str) -> bool:
        """Whether pings go unanswered: who only talks is not there."""
        socket = self.eio.sockets.get(eio_sid)
        last = socket.last_ping if socket is not None else None
        return bool(last and time.time() - last > self.eio.ping_timeout)

    async def _connect(self, eio_sid: str, frame: frames.Frame) -> None:
        if frame.namespace not in self.namespace_handlers:
            packet = connect_error_packet(frame.namespace, "No such namespace.", "not_found")
            self.write(eio_sid, packet)
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
            metrics.DROPPED.labels("not_connected").inc()
            self.junk(eio_sid)
            return
        receiver: Receiver = self.namespace_handlers[frame.namespace]
        receiver.receive(sid, frame)


def _origins(settings: Settings) -> list[str] | str | None:
    """None: the page's own origin only. Tokens travel in `auth`, so `*` gives nothing away."""
    origins = [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]
    return "*" if origins == ["*"] else origins or None
