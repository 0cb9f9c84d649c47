"""The web process: the one place where its objects are built and connected."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from aiohttp import web

from rts_server.auth import Tokens
from rts_server.config import Settings
from rts_server.drain import Drain
from rts_server.engine.server import Server
from rts_server.files.store import ObjectStore
from rts_server.files.uploads import Uploads
from rts_server.namespaces.base import Namespace, NamespaceContext
from rts_server.namespaces.chat import ChatNamespace, ChatReads, ChatWrites
from rts_server.namespaces.connections import Connections
from rts_server.namespaces.presence import PresenceNamespace
from rts_server.namespaces.receipts import ReceiptsNamespace
from rts_server.namespaces.session_start import SessionStart
from rts_server.presence.instance_registry import InstanceRegistry
from rts_server.realtime.control_channel import ControlChannel
from rts_server.realtime.manager import ClientManager
from rts_server.realtime.subscription_handlers import SubscriptionHandlers
from rts_server.realtime.subscriptions import Subscriptions
from rts_server.rest import demo, health, operators
from rts_server.rest.instances import InstanceRoutes, PresenceRoutes
from rts_server.runtime import loops
from rts_server.runtime.load_shedding import LoadShedding
from rts_server.runtime.process_monitor import ProcessMonitor
from rts_server.runtime.tasks import cancelled
from rts_server.services import PresenceServices, Services, start_tracing

log = logging.getLogger(__name__)

DRAIN = web.AppKey("drain", Drain)


def create_app(settings: Settings) -> web.Application:
    """Return the web process: Socket.IO, REST and health checks, under `dev` also the demo page."""
    return WebProcess(settings).app


class WebProcess:
    """Builds the objects of a web process and connects them.

    Every object gets its collaborators and callbacks by its constructor. Where two objects need
    each other, the first one gets a lambda that looks the second one up when it is called: nothing
    is called before `_lifespan` starts the process, and then all of them exist.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._load_shedding = LoadShedding()
        self._services = services = Services(
            settings,
            start_tracing(settings, "rts-web"),
            on_revoked=lambda revoked: self._connections.revoked(revoked),
        )
        self._server = Server(
            settings,
            ClientManager(),
            on_protocol_error=lambda eio_sid: self._connections.count_error(eio_sid),
        )
        self._subscriptions = Subscriptions(
            settings,
            services.redis,
            services.snapshots,
            instance_id=services.origin,
            handlers=self._subscription_handlers(),
            recovery=services.recovery,
            servers=services.servers,
        )
        self._presence = PresenceServices(
            settings,
            services,
            self._subscriptions.subscriber,
            on_lease_lost=self._on_lease_lost,
            on_counted=lambda *counted: self._connections.counted(*counted),
        )
        self._tokens = Tokens(settings)
        self._control_channel = ControlChannel(services.redis)
        self._connections = Connections(
            settings,
            self._server,
            connection_counts=self._presence.online,
            tokens=self._tokens,
            revocations=services.revocations,
            control_channel=self._control_channel,
            admission=services.admission,
        )
        self._session_start = SessionStart(
            settings,
            subscriptions=self._subscriptions,
            inboxes=services.inboxes,
            memberships=services.user_memberships,
            receipts=services.receipts,
            introductions=services.introductions,
            connected_rooms=services.connected_rooms,
        )
        self._store = ObjectStore(settings)
        self._namespaces = self._build_namespaces()
        for namespace in self._namespaces:
            self._server.register_namespace(namespace)
        self._drain = Drain(settings, self._server, self._namespaces, services)
        self.app = self._build_app()

    def _subscription_handlers(self) -> SubscriptionHandlers:
        return SubscriptionHandlers(
            on_notices=self._services.durability.on_notice,
            on_control=self._on_control,
            on_presence=lambda user_id, data: self._presence.watches.on_publish(user_id, data),
            on_left=lambda user_ids: self._presence.watches.left_a_room(user_ids),
            on_resumed=self._on_resumed,
            room_added=lambda listener, room_id: self._session_start.added(listener, room_id),
            room_removed=lambda listener, room_id: self._session_start.removed(listener, room_id),
            on_missed=lambda changes: self._presence.watches.on_missed(changes),
            rooms_changed=lambda user_id: self._session_start.changed(user_id),
            changes_since=self._services.recent.since,
            read_unread=self._services.inboxes.unread_of,
        )

    def _build_namespaces(self) -> tuple[Namespace, ...]:
        services, presence = self._services, self._presence
        context = NamespaceContext(
            self._settings,
            self._server,
            self._connections,
            services.inboxes,
            services.user_memberships,
            services.tracing.instrument if services.tracing is not None else None,
        )
        chat = ChatNamespace(
            context,
            session_start=self._session_start,
            writes=ChatWrites(
                rooms=services.rooms,
                memberships=services.memberships,
                messages=services.messages,
                uploads=Uploads(self._settings, self._store, services.redis),
            ),
            reads=ChatReads(services.history, services.members, services.sync),
        )
        receipts = ReceiptsNamespace(
            context,
            receipts=services.receipts,
            members=services.members,
            on_joined=self._subscriptions.receipts_joined,
        )
        online = PresenceNamespace(
            context,
            typing=services.typing,
            presences=presence.presences,
            watches=presence.watches,
            load_shedding=self._load_shedding,
        )
        return chat, receipts, online

    def _build_app(self) -> web.Application:
        settings, services = self._settings, self._services
        app = web.Application()
        self._server.attach(app)
        app[DRAIN] = self._drain
        health.add_routes(app, self._not_ready)
        presences, registry = self._presence.presences, InstanceRegistry(services.redis)
        resources = [
            *services.for_operators(self._store, presences),
            InstanceRoutes(registry, self._control_channel),
            PresenceRoutes(presences, registry),
        ]
        operators.add_routes(app, settings, self._tokens, services.revocations, resources)
        if settings.dev:
            demo.add_routes(app, settings)
        app.cleanup_ctx.append(self._lifespan)
        return app

    async def _lifespan(self, _: web.Application) -> AsyncIterator[None]:
        """Run the background work of the process.

        It ends from the outside in: first the sockets, then presence, which reports that their
        users left, then the namespaces whose commands are still being executed, then what they use.
        """
        services = self._services
        monitor = ProcessMonitor(
            self._settings, "web", services.origin, load_shedding=self._load_shedding
        )
        async with services, monitor:
            self._subscriptions.start()
            revocations = asyncio.create_task(services.revocations.run_forever())
            self._tokens.start()
            self._presence.start()
            log.info("started", extra={"instance": services.origin})
            yield
            await self._server.shutdown()
            await self._presence.close()
            for namespace in self._namespaces:
                await namespace.close()
            await cancelled(revocations)
            await self._tokens.close()
            await self._subscriptions.close()
            await self._store.close()

    def _not_ready(self) -> list[str]:
        """Return the reasons why this instance is not ready, for /health/ready (R8).

        Redis being away is none of them: it is away for every instance.
        """
        if not (reasons := self._subscriptions.not_ready()):
            reasons = self._services.revocations.not_ready() + self._tokens.not_ready()
        if self._subscriptions.canary.answered:
            failing = loops.failing(self._subscriptions.deaf_after)
            reasons = reasons + [f"{name} fails" for name in failing]
        return self._drain.not_ready() + reasons

    def _on_resumed(self) -> None:
        """Ask for what was published while the link to Redis was down, beside events of rooms."""
        self._presence.watches.on_resumed()
        self._services.durability.poll_soon()

    def _on_lease_lost(self, connections: list[str]) -> None:
        """Close connections, so that clients register again.

        Our lease expired, so the other instances have announced our users as offline (E1).
        """
        for eio_sid in connections:
            self._server.close(eio_sid, "lease_lost")

    def _on_control(self, message: dict[str, str]) -> None:
        """Do what an operator or another instance asks of all instances; see `ControlChannel`."""
        if "close" in message:
            self._connections.close(message["user_id"], message["close"])
        elif "check" in message:
            self._connections.cap.check(message["check"])
        elif message.get("drain") == self._presence.groups.instance:
            self._drain.drain_and_end()
