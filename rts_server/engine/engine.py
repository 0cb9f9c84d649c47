"""The Engine.IO server: the library's handshake, our sessions, polling only where it may work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
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
from rts_server.engine.polling import Refused
from rts_server.engine.socket import Socket
from rts_server.engine.write_batcher import WriteBatcher
from rts_server.runtime.tasks import Tasks


class Engine(engineio.AsyncServer):  # type: ignore[misc]
    """Engine.IO with sessions of our own.

    `refusing`: nobody new is taken, by 503, which a client and a balancer answer by trying again.
    `hear`: told each message; what it returns is done before the connection's next one.
    `junk`: told of what a client may send now and then, but not by the hundred. `slow`: told of
    who reads so little that 1 MiB waits. `large`: told of a message that was too large, by the text
    it begins with. `admit`: the seconds after which the sender of a handshake may have a session.
    """

    refusing = False
    hear: Callable[[str, str | bytes], Coroutine[Any, Any, None] | None]
    junk: Callable[[str], None]
    slow: Callable[[str], None]
    large: Callable[[str, str], None]
    admit: Callable[[web.Request], float]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.junk = lambda sid: None
        self.admit = lambda request: 0.0
        self.tasks = Tasks()
        self.tick = WriteBatcher()

    def attach(self, app: web.Application, engineio_path: str = "engine.io") -> None:
        """Serve under a path. WebSockets end before aiohttp does, which knows nothing of them."""
        app.router.add_route("*", f"/{engineio_path.strip('/')}/", self.handle_request)
        app.on_shutdown.append(lambda _: self.shutdown())

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """A handshake, or a request of a polling client; nothing of it is logged."""
        try:
            cors = self._cors(request)
        except Refused as refused:
            return refused.answer()
        try:
            answer = await self._answer(request)
        except Refused as refused:
            answer = refused.answer()
        except ConnectionError:
            answer = web.Response(status=400)  # to whom is gone: nothing to be logged
        if not isinstance(answer, Handshake):
            answer.headers.update(cors)
        return answer

    def _cors(self, request: web.Request) -> dict[str, str]:
        """The headers that let a page of another origin read the answer. Raises Refused for one
        that may not; browsers apply CORS to no WebSocket, so this is asked of these too.
        """
        if (origin := request.headers.get("Origin")) is None:
            return {}
        environ = translate_request(request)
        allowed = self._cors_allowed_origins(environ)
        if allowed is not None and origin not in allowed:
            raise Refused("This origin is not accepted.")
        return dict(self._cors_headers(environ))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.method == "OPTIONS":
            return web.Response()
        transport, sid = request.query.get("transport"), request.query.get("sid")
        self._fit(request, transport)
        if sid is None:
            return await self._open(request, transport == "websocket")
        socket = self.sockets.get(sid)
        if socket is None or socket.closed or not socket.connected:
            raise Refused("No such session here. Polling needs a balancer with sticky sessions.")
        if transport == "websocket":
            return self._upgraded(request, socket)
        if socket.upgraded:
            raise Refused("This session has a WebSocket.")
        return await (self._poll if request.method == "GET" else self._post)(request, socket)

    def _fit(self, request: web.Request, transport: str | None) -> None:
        """Raises Refused for what is none of this protocol, or not of this instance."""
        if transport == "polling" and "polling" not in self.transports:
            only = 'io(url, {transports: ["websocket"]})'
            raise Refused(f"This server speaks WebSocket only: {only}.")
        if transport not in self.transports:
            raise Refused("No such transport.")
        if "j" in request.query:
            raise Refused("JSONP is not spoken here.")
        if request.method not in ("GET", "POST"):
            raise Refused("By GET and POST only.")

    async def _open(self, request: web.Request, websocket: bool) -> web.StreamResponse:
        """A new session: it has its WebSocket at once, or is answered its first poll."""
        if self.refusing:
            raise Refused("This instance is draining; connect again.", 503, 1)
        if request.method != "GET" or request.query.get("EIO") != "4":
            raise Refused("Not a handshake of Engine.IO protocol 4.")
        handshake = Handshake(request) if websocket else None
        if wait := self.admit(request):  # what is no handshake takes nobody's share
            raise Refused("Too many connections of your address.", 429, ceil(wait))
        socket = Socket(self, self.generate_id())
        self.sockets[socket.sid] = socket
        told = {"aiohttp.request": request}
        await self._trigger_event("connect", socket.sid, told, run_async=False)
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
        """The WebSocket of a polling client; a second one is closed, which the first survives."""
        handshake = Handshake(request)
        if socket.upgraded or socket.upgrading:
            handshake.refuse()
        else:
            socket.probe(handshake)
        return handshake

    async def _poll(self, request: web.Request, socket: Socket) -> web.StreamResponse:
        """What waits for a polling client, or comes. Two polls at once are one too many."""
        if socket.polled:
            await self.end_polling(socket)
            raise Refused("Another poll is waiting.")
        try:
            async with asyncio.timeout(self.ping_interval + self.ping_timeout):
                packets = await socket.poll()
        except TimeoutError:
            await self.end_polling(socket)
            raise Refused("This session is over.") from None
        gone = request.transport is None or request.transport.is_closing()
        if gone or any(packet.packet_type == eio.CLOSE for packet in packets):
            await self.end_polling(socket)
        return polling.answer(packets)

    async def _post(self, request: web.Request, socket: Socket) -> web.StreamResponse:
        """What a polling client sends is read, and refused, as what comes by a WebSocket."""
        if socket.posted:
            await self.end_polling(socket)
            raise Refused("Another POST is not answered yet.")
        socket.posted = True
        try:
            await self._posted(request, socket)
        except Refused:
            metrics.DROPPED.labels("frame").inc()
            await self.end_polling(socket)
            raise
        finally:
            socket.posted = False
        return web.Response(text="ok")

    async def _posted(self, request: web.Request, socket: Socket) -> None:
        body, large = await polling.read(request, self.max_http_buffer_size)
        if large:
            socket.large(body)
        else:
            await socket.take_all(polling.packets(body))

    def _opening(self, sid: str, transport: str) -> dict[str, Any]:
        return {
            "sid": sid,
            "upgrades": self._upgrades(sid, transport),
            "pingTimeout": int(self.ping_timeout * 1000),
            "pingInterval": int(self.ping_interval * 1000),
            "maxPayload": self.max_http_buffer_size,
        }

    async def end(self, socket: Socket) -> None:
        """The session of a WebSocket that is gone."""
        await socket.close(False, True, self.reason.TRANSPORT_CLOSE)
        self.sockets.pop(socket.sid, None)

    async def shutdown(self) -> None:
        """End every session that is left."""
        await super().shutdown()
        for socket in list(self.sockets.values()):
            await self.end(socket)
            socket.abort()

    def lose(self, socket: Socket) -> None:
        """Its client does not answer."""
        self.tasks.keep(self._lose(socket))

    async def _lose(self, socket: Socket) -> None:
        if socket.upgraded:
            await socket.close(False, True, self.reason.PING_TIMEOUT)
        else:
            await self.end_polling(socket)

    async def end_polling(self, socket: Any) -> None:
        """A session without a transport of its own is over; a poll that waits hears it."""
        if not socket.queue.ended:
            socket.queue.end(close_packet())
        await socket.close(wait=False, abort=True, reason=self.reason.TRANSPORT_CLOSE)
        self.sockets.pop(socket.sid, None)

    def create_queue(self, *args: Any, **kwargs: Any) -> OutgoingQueue:
        """The outgoing queue of one connection."""
        return OutgoingQueue()
