"""The Engine.IO server: the library's handshake, our sessions, polling only where it may work."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import engineio
from aiohttp import web
from engineio import packet as eio
from engineio.payload import Payload

from rts_server import metrics
from rts_server.engine.handshake import Handshake
from rts_server.engine.outgoing import Outgoing
from rts_server.engine.packets import close_packet
from rts_server.engine.polling import BODY, POST_PACKETS, translate_request
from rts_server.engine.socket import Socket
from rts_server.engine.tick import Tick
from rts_server.tasks import Tasks


class Engine(engineio.AsyncServer):  # type: ignore[misc]
    """Engine.IO with sessions of our own.

    `refusing`: nobody new is taken, by 503, which a client and a balancer answer by trying again.
    `hear`: told each message; what it returns is done before the connection's next one.
    `junk`: told of what a client may send now and then, but not by the hundred. `slow`: told of
    who reads so little that 1 MiB waits. `large`: told of a message that was too large, by the text
    it begins with.
    """

    refusing = False
    _async: dict[str, Any]
    hear: Callable[[str, str | bytes], Coroutine[Any, Any, None] | None]
    junk: Callable[[str], None]
    slow: Callable[[str], None]
    large: Callable[[str, str], None]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._async = {**self._async, "translate_request": translate_request}
        if "polling" in self.transports:
            Payload.max_decode_packets = POST_PACKETS
        self.junk = lambda sid: None
        self.tasks = Tasks()
        self.tick = Tick()

    def attach(self, app: web.Application, engineio_path: str = "engine.io") -> None:
        """Serve under a path. WebSockets end before aiohttp does, which knows nothing of them."""
        super().attach(app, engineio_path)
        app.on_shutdown.append(lambda _: self.shutdown())

    async def handle_request(self, request: web.Request) -> Any:
        """A handshake, or a request of a polling client."""
        if self.refusing and "sid" not in request.query:
            text = "This instance is draining; connect again."
            return web.Response(status=503, text=text, headers={"Retry-After": "1"})
        if (reason := self._unpolled(request) or self._no_handshake(request)) is not None:
            return await self._refuse(request, reason)
        socket = self.sockets.get(request.query.get("sid"))
        if request.method == "POST" and socket is not None:
            return await self._posted(request, socket)
        return await super().handle_request(request)

    async def _handle_connect(
        self, environ: dict[str, Any], transport: str, jsonp_index: int | None = None
    ) -> Any:
        """A new session: it has its WebSocket at once, or is answered its first poll."""
        handshake = None
        if transport == "websocket":  # what is none is refused before there is a session
            handshake = Handshake(environ["aiohttp.request"])
        socket = Socket(self, self.generate_id())
        self.sockets[socket.sid] = socket
        await self._trigger_event("connect", socket.sid, environ, run_async=False)
        first = eio.Packet(eio.OPEN, self._opening(socket.sid, transport))
        socket.schedule_ping()
        if handshake is not None:
            socket.open(handshake, first)
            return handshake
        socket.queue.put_nowait(first)
        socket.connected = True
        return self._ok(await socket.poll(), jsonp_index=jsonp_index)

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

    @staticmethod
    def _no_handshake(request: web.Request) -> str | None:
        """Why a polling client's WebSocket is none: the library would take it for a poll."""
        if request.query.get("transport") != "websocket" or "sid" not in request.query:
            return None
        possible = web.WebSocketResponse().can_prepare(request)
        return None if possible else "Not the handshake of a WebSocket."

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
