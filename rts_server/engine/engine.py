"""The Engine.IO server (protocol 4): the library's handshake, our sessions and our transports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from math import ceil
from typing import Any

import engineio
from aiohttp import web
from engineio import packet as eio
from engineio.async_drivers.aiohttp import translate_request

from rts_server import metrics
from rts_server.engine import polling
from rts_server.engine.handshake import Handshake
from rts_server.engine.outgoing import OutgoingQueue
from rts_server.engine.packets import close_packet
from rts_server.engine.polling import RequestRefused
from rts_server.engine.socket import Socket
from rts_server.engine.write_batcher import WriteBatcher
from rts_server.runtime.tasks import Tasks


@dataclass(frozen=True, slots=True)
class EngineCallbacks:
    """The callbacks of the engine, each with the id of the session.

    `on_message(sid, message)`: a message; the coroutine it returns is finished before the next
    message of the session is handled. `on_protocol_error(sid)`: something useless that clients may
    send now and then, but not by the hundred. `on_slow_consumer(sid)`: 1 MiB waits for the reader.
    `on_oversize_message(sid, head)`: a message was too large; `head` is the text it begins with.
    `admission_delay(request)`: the seconds after which a client may open a session; 0 admits it.
    """

    on_message: Callable[[str, str | bytes], Coroutine[Any, Any, None] | None]
    on_protocol_error: Callable[[str], None]
    on_slow_consumer: Callable[[str], None]
    on_oversize_message: Callable[[str, str], None]
    admission_delay: Callable[[web.Request], float]


class Engine(engineio.AsyncServer):  # type: ignore[misc]
    """An Engine.IO 4 server with sessions of our own.

    `max_in_flight`: unanswered commands of a session at which reading stops; 0 for no limit.
    `sid_suffix`: end of every session id, by which nginx leads the polls of a client to the one
    process of an instance that has its session.
    """

    def __init__(
        self,
        *args: Any,
        callbacks: EngineCallbacks,
        max_in_flight: int = 0,
        sid_suffix: str = "",
        **kwargs: Any,
    ) -> None:
        self.callbacks = callbacks
        self.max_in_flight = max_in_flight
        self._sid_suffix = sid_suffix
        self._refusing = False
        self.tasks = Tasks()
        self.batcher = WriteBatcher()
        super().__init__(*args, **kwargs)

    def refuse_handshakes(self) -> None:
        """Answer every new session with 503 from now on; clients and balancers try elsewhere."""
        self._refusing = True

    def attach(self, app: web.Application, engineio_path: str = "engine.io") -> None:
        """Serve under a path.

        WebSockets are closed on shutdown here, as aiohttp does not know that they exist.
        """
        app.router.add_route("*", f"/{engineio_path.strip('/')}/", self.handle_request)
        app.on_shutdown.append(lambda _: self.shutdown())

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """Serve a handshake or a request of a polling client. Nothing of it is logged (R10)."""
        try:
            cors = self._cors(request)
        except RequestRefused as refused:
            return refused.answer()
        try:
            answer = await self._answer(request)
        except RequestRefused as refused:
            answer = refused.answer()
        except ConnectionError:
            answer = web.Response(status=400)  # the client is gone: nothing to log
        if not isinstance(answer, Handshake):
            answer.headers.update(cors)
        return answer

    def _cors(self, request: web.Request) -> dict[str, str]:
        """Return the headers that let a page of another origin read the answer.

        Raises RequestRefused for an origin that is not allowed. This includes WebSockets, to which
        browsers do not apply CORS.
        """
        if (origin := request.headers.get("Origin")) is None:
            return {}
        environ = translate_request(request)
        allowed = self._cors_allowed_origins(environ)
        if allowed is not None and origin not in allowed:
            raise RequestRefused("This origin is not allowed.")
        return dict(self._cors_headers(environ))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.method == "OPTIONS":
            return web.Response()
        transport, sid = request.query.get("transport"), request.query.get("sid")
        self._check_request(request, transport)
        if sid is None:
            return await self._open(request, transport == "websocket")
        socket = self.sockets.get(sid)
        if socket is None or socket.closed or not socket.connected:
            raise RequestRefused(
                "No such session here. Polling needs a balancer with sticky sessions."
            )
        if transport == "websocket":
            return self._upgraded(request, socket)
        if socket.upgraded:
            raise RequestRefused("This session has a WebSocket.")
        return await (self._poll if request.method == "GET" else self._post)(request, socket)

    def _check_request(self, request: web.Request, transport: str | None) -> None:
        """Raise RequestRefused for requests that are not of this protocol, or not served here."""
        if transport == "polling" and "polling" not in self.transports:
            only = 'io(url, {transports: ["websocket"]})'
            raise RequestRefused(f"This server accepts WebSocket only: {only}.")
        if transport not in self.transports:
            raise RequestRefused("No such transport.")
        if "j" in request.query:
            raise RequestRefused("JSONP is not supported.")
        if request.method not in ("GET", "POST"):
            raise RequestRefused("Only GET and POST are supported.")

    async def _open(self, request: web.Request, websocket: bool) -> web.StreamResponse:
        """Open a session, with its WebSocket or with the answer to its first poll."""
        if self._refusing:
            raise RequestRefused("This instance is draining; connect again.", 503, 1)
        if request.method != "GET" or request.query.get("EIO") != "4":
            raise RequestRefused("Not a handshake of Engine.IO protocol 4.")
        handshake = Handshake(request) if websocket else None
        # Last: an invalid handshake must not use up the share of its address.
        if wait := self.callbacks.admission_delay(request):
            raise RequestRefused("Too many connections from your address.", 429, ceil(wait))
        socket = Socket(self, self.generate_id() + self._sid_suffix)
        self.sockets[socket.sid] = socket
        environ = {"aiohttp.request": request}
        await self._trigger_event("connect", socket.sid, environ, run_async=False)
        transport = "websocket" if websocket else "polling"
        first = eio.Packet(eio.OPEN, self._opening(socket.sid, transport))
        socket.schedule_ping()
        if handshake is not None:
            socket.open(handshake, first)
            return handshake
        socket.connected = True
        return polling.answer([first])

    @staticmethod
    def _upgraded(request: web.Request, socket: Socket) -> web.StreamResponse:
        """Take the WebSocket of a polling client; a second one is closed and harms nothing."""
        handshake = Handshake(request)
        if socket.upgraded or socket.upgrading:
            handshake.refuse()
        else:
            socket.probe(handshake)
        return handshake

    async def _poll(self, request: web.Request, socket: Socket) -> web.StreamResponse:
        """Answer a poll with the packets that wait, or with the next one.

        A second poll beside it ends the session, as the protocol requires.
        """
        if socket.polled:
            await self.end_polling(socket)
            raise RequestRefused("Another poll of this session is waiting.")
        try:
            async with asyncio.timeout(self.ping_interval + self.ping_timeout):
                packets = await socket.poll()
        except TimeoutError:
            await self.end_polling(socket)
            raise RequestRefused("This session has ended.") from None
        gone = request.transport is None or request.transport.is_closing()
        if gone or any(packet.packet_type == eio.CLOSE for packet in packets):
            await self.end_polling(socket)
        return polling.answer(packets)

    async def _post(self, request: web.Request, socket: Socket) -> web.StreamResponse:
        """Handle the packets of a POST, under the same limits as those of a WebSocket."""
        if socket.posted:
            await self.end_polling(socket)
            raise RequestRefused("Another POST of this session is not answered yet.")
        socket.posted = True
        try:
            await self._posted(request, socket)
        except RequestRefused:
            metrics.DROPPED.labels("frame").inc()
            await self.end_polling(socket)
            raise
        finally:
            socket.posted = False
        return web.Response(text="ok")

    async def _posted(self, request: web.Request, socket: Socket) -> None:
        body, large = await polling.read(request, self.max_http_buffer_size)
        if large:
            socket.oversize_message(body)
        else:
            await socket.packets_received(polling.packets(body))

    def _opening(self, sid: str, transport: str) -> dict[str, object]:
        return {
            "sid": sid,
            "upgrades": self._upgrades(sid, transport),
            "pingTimeout": int(self.ping_timeout * 1000),
            "pingInterval": int(self.ping_interval * 1000),
            "maxPayload": self.max_http_buffer_size,
        }

    async def end(self, socket: Socket) -> None:
        """End the session of a WebSocket that was lost."""
        await socket.close(False, True, self.reason.TRANSPORT_CLOSE)
        self.sockets.pop(socket.sid, None)

    async def shutdown(self) -> None:
        """End every session."""
        await super().shutdown()
        for socket in list(self.sockets.values()):
            await self.end(socket)
            socket.abort()

    def lose(self, socket: Socket) -> None:
        """End a session whose client did not answer a ping. Never blocks."""
        self.tasks.keep(self._lose(socket))

    async def _lose(self, socket: Socket) -> None:
        if socket.upgraded:
            await socket.close(False, True, self.reason.PING_TIMEOUT)
        else:
            await self.end_polling(socket)

    async def end_polling(self, socket: Any) -> None:
        """End a session that has no WebSocket; a waiting poll is answered with CLOSE."""
        if not socket.queue.ended:
            socket.queue.end(close_packet())
        await socket.close(wait=False, abort=True, reason=self.reason.TRANSPORT_CLOSE)
        self.sockets.pop(socket.sid, None)

    def create_queue(self, *args: Any, **kwargs: Any) -> OutgoingQueue:
        """Return a queue for the library; `Socket` replaces it with one that reports overflow."""
        return OutgoingQueue()
