"""Runs the engine in this process, with a namespace that accepts everybody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import socketio
from aiohttp import web

from rts_server.config import Settings
from rts_server.engine.frames import Frame
from rts_server.engine.packets import ack_packet
from rts_server.engine.server import Server
from rts_server.realtime.manager import ClientManager
from tests.helpers.world import free_port


class Plain(socketio.AsyncNamespace):  # type: ignore[misc]
    """Accepts everybody and answers every command with its number; `heard` keeps the order.

    `bad` fails; `quit` drops its connection; `slow` is answered when `release` says so.
    """

    def __init__(self, name: str, server: Server) -> None:
        super().__init__(name)
        self.heard: list[tuple[str, Any]] = []
        self._server = server
        self._slow: list[str] = []

    async def trigger_event(self, *_: Any) -> None:
        """Do nothing."""

    def connected(self, sid: str) -> None:
        """Do nothing."""

    def receive(self, sid: str, frame: Frame) -> None:
        """Note a command and answer it."""
        name = frame.data[0]
        if name == "bad":
            raise RuntimeError("cannot")
        self.heard.append((sid, name))
        eio_sid = self._server.manager.eio_sid_from_sid(sid, self.namespace)
        if name == "quit":
            self._server.abort(eio_sid)
        elif name == "slow":
            self._server.command_started(eio_sid)
            self._slow.append(eio_sid)
        elif frame.ack_id is not None:
            answer = ack_packet(self.namespace, frame.ack_id, {"ok": len(self.heard)})
            self._server.outgoing(eio_sid).write(answer)

    def release(self) -> None:
        """Answer the first slow command."""
        self._server.command_answered(self._slow.pop(0))


@asynccontextmanager
async def serving(
    kind: Callable[[str, Server], socketio.AsyncNamespace] = Plain,
    names: tuple[str, ...] = ("/chat", "/receipts"),
    server_class: Callable[[Settings, ClientManager], Server] = Server,
    **settings: Any,
) -> AsyncIterator[tuple[Server, str]]:
    """Run a server with these namespaces; yield it and its URL."""
    server, app, port = (
        server_class(Settings(**settings), ClientManager()),
        web.Application(),
        free_port(),
    )
    for name in names:
        server.register_namespace(kind(name, server))
    server.attach(app)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield server, f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
