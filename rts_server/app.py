"""The web process: the one place where its objects are connected."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial

from aiohttp import web

from rts_server.auth import Tokens
from rts_server.config import Settings
from rts_server.drain import Drain
from rts_server.engine.server import Server
from rts_server.files.store import ObjectStore
from rts_server.files.uploads import Uploads
from rts_server.namespaces.chat import ChatNamespace, ChatReads, ChatWrites
from rts_server.namespaces.connections import Connections
from rts_server.namespaces.presence import PresenceNamespace
from rts_server.namespaces.receipts import ReceiptsNamespace
from rts_server.namespaces.session_start import SessionStart
from rts_server.persistence.revocations import Revocations
from rts_server.presence.instance_registry import InstanceRegistry
from rts_server.realtime.control_channel import ControlChannel
from rts_server.realtime.manager import ClientManager
from rts_server.realtime.subscriptions import Subscriptions
from rts_server.rest import demo, health, operators
from rts_server.rest.instances import InstanceRoutes, PresenceRoutes
from rts_server.runtime import loops
from rts_server.runtime.process_monitor import ProcessMonitor
from rts_server.runtime.tasks import cancelled
from rts_server.services import PresenceServices, Services, start_tracing

log = logging.getLogger(__name__)

DRAIN = web.AppKey("drain", Drain)


def create_app(settings: Settings) -> web.Application:
    """The web process: Socket.IO namespaces, health, and under dev the demo page."""
    app = web.Application()
    parts = Services(settings, start_tracing(settings, "rts-web"))
    hearing = Subscriptions(
        settings, parts.redis, parts.snapshots, parts.fates.hear, parts.origin, parts.primary
    )
    hearing.lost.losses = parts.recovery
    server = Server(settings, ClientManager())
    presence = PresenceServices(settings, parts, hearing)
    tokens = Tokens(settings)
    everywhere = ControlChannel(parts.redis)
    connections = Connections(
        settings, server, presence.online, tokens, parts.revocations, everywhere
    )
    presence.lease.lost = partial(_give_up, presence, connections, server)
    store = ObjectStore(settings)
    told = parts.receipts, parts.unread
    greeting = SessionStart(settings, hearing, parts.inboxes, told)
    uploads = Uploads(settings, store, parts.redis)
    writes = ChatWrites(parts.rooms, parts.memberships, parts.messages, parts.unread, uploads)
    reads = ChatReads(parts.inboxes, parts.history, parts.members, parts.sync)
    sockets = settings, server, connections
    chat = ChatNamespace(*sockets, greeting, writes, reads)
    receipts = ReceiptsNamespace(*sockets, told, (parts.inboxes, parts.members))
    watching = presence.presences, presence.watches
    here = PresenceNamespace(*sockets, parts.inboxes, parts.typing, watching)
    for namespace in (chat, receipts, here):
        server.register_namespace(namespace)
    if parts.tracing is not None:
        parts.tracing.follow_commands(chat, receipts, here)
    server.attach(app)
    drain = app[DRAIN] = Drain(settings, server, (chat, receipts, here), parts)
    health.add_routes(app, partial(_not_ready, drain, hearing, (parts.revocations, tokens)))
    hearing.told = _told(connections, presence, drain)
    roster = InstanceRegistry(parts.redis)
    instances = InstanceRoutes(roster, everywhere)
    whereabouts = PresenceRoutes(presence.presences, roster)
    resources = [*parts.for_operators(store, presence.presences), instances, whereabouts]
    operators.add_routes(app, settings, tokens, parts.revocations, resources)
    if settings.dev:
        demo.add_routes(app, settings)

    async def lifespan(_: web.Application) -> AsyncIterator[None]:
        async with parts, ProcessMonitor(settings, "web", parts.origin) as watch:
            server.pressure = watch.pressure
            hearing.start()
            revoking = asyncio.create_task(parts.revocations.run())
            tokens.start()
            presence.start()
            log.info("started", extra={"instance": parts.origin})
            yield
            await server.shutdown()
            await presence.close()
            for namespace in (chat, receipts, here):
                await namespace.close()
            await cancelled(revoking)
            await tokens.close()
            await hearing.close()
            await store.close()

    app.cleanup_ctx.append(lifespan)
    return app


def _not_ready(
    drain: Drain, hearing: Subscriptions, starting: tuple[Revocations, Tokens]
) -> list[str]:
    """Why another instance would do better; what is missing at the start only when all is heard."""
    missing = [reason for part in starting for reason in part.not_ready()]
    worse = hearing.not_ready() or missing
    if hearing.canary.answered:  # Redis being away is no reason: it is away for all
        worse = worse + [f"{name} fails" for name in loops.failing(hearing.deaf_after)]
    return drain.not_ready() + worse


def _give_up(presence: PresenceServices, connections: Connections, server: Server) -> None:
    """Others count our users as gone: those who are still here come back as somebody new."""
    presence.online.forget()
    for eio_sid in connections.all():
        server.close(eio_sid, "lease_lost")


def _told(
    connections: Connections, presence: PresenceServices, drain: Drain
) -> Callable[[dict[str, str]], None]:
    """What an operator, or another instance, told all."""

    def told(message: dict[str, str]) -> None:
        if "close" in message:
            connections.close(message["user_id"], message["close"])
        elif "check" in message:
            connections.cap.check(message["check"])
        elif message.get("drain") == presence.lease.instance:
            drain.drain()

    return told
