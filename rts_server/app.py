"""The only place that builds and connects objects."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import uvloop
from aiohttp import web
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from rts_server import logs
from rts_server.adapter.everywhere import Everywhere
from rts_server.adapter.hearing import Hearing
from rts_server.adapter.manager import Manager
from rts_server.config import Settings
from rts_server.drain import Drain
from rts_server.engine.server import Server
from rts_server.files.store import Store
from rts_server.files.uploads import Uploads
from rts_server.namespaces.chat import Chat, Reads, Writes
from rts_server.namespaces.connections import Connections
from rts_server.namespaces.greeting import Greeting
from rts_server.namespaces.presence import PresenceNamespace
from rts_server.namespaces.receipts import ReceiptsNamespace
from rts_server.persistence.archive import Archive
from rts_server.persistence.backlog import Backlog
from rts_server.persistence.eviction import must_not_evict
from rts_server.persistence.quarantine import Quarantine
from rts_server.persistence.relay import Relay
from rts_server.persistence.revocations import Revocations
from rts_server.persistence.user_rooms import UserRooms
from rts_server.presence.lease import Lease
from rts_server.presence.online import Online
from rts_server.presence.presences import Presences
from rts_server.presence.roster import Roster
from rts_server.presence.sweep import Sweep
from rts_server.presence.watches import Watches
from rts_server.protocol.event import now
from rts_server.rest import demo, health, operators
from rts_server.rest.events import EventRoutes
from rts_server.rest.instances import InstanceRoutes, PresenceRoutes
from rts_server.rest.members import MemberRoutes
from rts_server.rest.messages import MessageRoutes
from rts_server.rest.personal import PersonalRoutes
from rts_server.rest.queues import QueueRoutes
from rts_server.rest.rooms import RoomRoutes
from rts_server.rest.users import UserRoutes
from rts_server.rooms.appender import Appender
from rts_server.rooms.appends import Appends, SystemAppends
from rts_server.rooms.chatlist import ChatLists
from rts_server.rooms.cold import Loader
from rts_server.rooms.declared import Declarations
from rts_server.rooms.fates import Fates, parse_notice
from rts_server.rooms.history import History
from rts_server.rooms.log import RoomLog
from rts_server.rooms.members import Members
from rts_server.rooms.memberships import Memberships
from rts_server.rooms.messages import Messages
from rts_server.rooms.personal import PersonalData
from rts_server.rooms.receipts import Receipts
from rts_server.rooms.replays import Replays
from rts_server.rooms.rooms import Rooms
from rts_server.rooms.standing import Standings
from rts_server.rooms.sync import Sync
from rts_server.rooms.typing import Typing
from rts_server.rooms.verify import Verifier
from rts_server.tasks import Tasks, cancelled
from rts_server.watch import Watch

if TYPE_CHECKING:
    from rts_server.tracing import Tracing

log = logging.getLogger(__name__)

FAREWELL = 1.0
DRAIN = web.AppKey("drain", Drain)
END_WITHIN = 60.0
"""Seconds after SIGTERM when the kernel ends a web process that has not ended itself."""


class Parts:
    """The room log and what follows from it, for one process."""

    def __init__(self, settings: Settings, tracing: Tracing | None = None) -> None:
        self.settings = settings
        self.tracing = tracing
        self.origin = secrets.token_hex(8)
        self.redis = connect(settings, 32, retries=1)
        self.append_redis = connect(settings, 1, retries=0)
        self.archive = Archive(settings)
        self.user_rooms = UserRooms(self.redis)
        self.standings = Standings(self.redis)
        self.appender = Appender(self.append_redis)
        self.loader = Loader(settings, self.origin, self.redis, self.archive)
        self.log = self._room_log()
        self.fates = Fates(settings, self.redis, self.archive, self.log)
        self.chat_lists = ChatLists(self.archive, self.user_rooms, self.standings)
        self.history = History(settings, self.redis, self.archive)
        self.appends = Appends(self.log, self.fates, self.user_rooms, self.archive)
        self.fates.index = self.appends.index
        self.messages = Messages(self.redis, self.appends, self.history)
        self.memberships = Memberships(settings, self.appends, self.user_rooms, self.archive)
        self.rooms = Rooms(self.appends, self.memberships, self.standings, self.archive)
        self.members = Members(self.redis, self.archive)
        self.system = SystemAppends(self.log, self.fates, self.user_rooms, self.archive)
        self.operated = Rooms(self.system, self.memberships, self.standings, self.archive)
        self.declarations = Declarations(self.system, self.archive, self.memberships, self.members)
        self.receipts = Receipts(settings, self.redis, self.log, self.chat_lists)
        self.typing = Typing(settings, self.redis)
        self.sync = Sync(settings, self.standings, self.chat_lists)
        self.verifier = Verifier(settings, self.redis, self.archive)
        self.backlog = Backlog(settings)
        self.revocations = Revocations(settings, self.redis, self.archive)
        self._tasks = Tasks()

    def _room_log(self) -> RoomLog:
        parts = (self.settings, self.origin, self.appender, self.archive, self.loader)
        if self.tracing is None:
            return RoomLog(*parts)
        from rts_server.tracing import TracedLog

        return TracedLog(self.tracing.tracer, *parts)

    def for_operators(self) -> list[object]:
        """The resources of REST. The system acts there, nobody's membership is asked."""
        settings, declarations = self.settings, self.declarations
        rooms = self.operated
        messages = Messages(self.redis, self.system, self.history, system=True)
        personal = PersonalData(self.system, messages, self.history, self.archive, self.user_rooms)
        return [
            RoomRoutes(settings, rooms, declarations, self.verifier),
            MemberRoutes(settings, rooms, self.members, declarations),
            MessageRoutes(settings, rooms, (self.messages, messages), self.history, self.receipts),
            EventRoutes(settings, rooms, self.standings),
            PersonalRoutes(personal),
            QueueRoutes(self.backlog, Replays(settings, self.backlog, messages)),
            UserRoutes(self.chat_lists, Everywhere(self.redis), self.revocations),
        ]

    async def __aenter__(self) -> Parts:
        """Start what runs in the background."""
        self._tasks.keep(must_not_evict(self.redis))
        self.appender.start()
        self.fates.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop in the opposite order and close the connections."""
        await self.typing.close()
        await self.receipts.close()
        await self.fates.close()
        await self.loader.close()
        await self.verifier.close()
        await self.appender.close()
        await self.archive.close()
        await self.backlog.close()
        await self.append_redis.aclose()
        await self._tasks.close()
        await self.redis.aclose()
        if self.tracing is not None:
            await self.tracing.close()


class Presence:
    """Who is here: this instance's lease, its users, and who watches whom."""

    def __init__(self, settings: Settings, parts: Parts, hearing: Hearing) -> None:
        redis = parts.redis
        self._started = now()
        self.lease = Lease(settings, redis, parts.origin, self._about)
        self.online = Online(settings, redis, self.lease)
        self.presences = Presences(settings, redis, self.lease, self.online)
        self.watches = Watches(
            hearing.subscriber, self.presences, parts.chat_lists.acquainted, settings.presence_check
        )
        self._sweep = Sweep(settings, redis, self.lease)
        self._tasks = Tasks()
        hearing.presence, hearing.resumed = self.watches.heard, self.watches.resumed
        self.lease.gained = self._gained

    def start(self) -> None:
        """Take a lease and keep it."""
        for part in (self.lease, self.online, self.watches, self._sweep):
            self._tasks.keep(part.run())

    async def close(self) -> None:
        """Those who are gone are told so; their grace gives them time to come back elsewhere."""
        await self._tasks.close()
        await self.watches.close()
        with contextlib.suppress(TimeoutError, RedisError, OSError):
            async with asyncio.timeout(FAREWELL):
                await self.online.flush()

    def _about(self) -> dict[str, object]:
        return {"started_at": self._started, "connections": self.online.connections}

    def _gained(self) -> None:
        """Everybody is announced; who does not come back after a loss is missed when it is calm."""
        self.online.announce()
        self.watches.check_soon(self.lease.calm - asyncio.get_running_loop().time())


def connect(settings: Settings, connections: int, retries: int) -> Redis:
    """A client with short timeouts. One retry replaces connections that died with their Redis;
    appends have none: a script may have run although its answer is lost.
    """
    pool = BlockingConnectionPool.from_url(
        settings.redis_url,
        max_connections=connections,
        timeout=1.0,
        protocol=2,
        socket_connect_timeout=0.5,
        socket_timeout=1.0,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), retries),
    )
    return Redis.from_pool(pool)


def start_tracing(settings: Settings, process: str) -> Tracing | None:
    """OpenTelemetry where it is configured; elsewhere nothing of it is even imported."""
    if not settings.trace_endpoint:
        return None
    try:
        from rts_server.tracing import Tracing
    except ImportError:
        missing = "OTEL_EXPORTER_OTLP_ENDPOINT is given without the extra: rts-server[otel]."
        raise SystemExit(missing) from None
    return Tracing(process)


def create_app(settings: Settings) -> web.Application:
    """The web process: Socket.IO namespaces, health, and under dev the demo page."""
    app = web.Application()
    parts = Parts(settings, start_tracing(settings, "rts-web"))
    hearing = Hearing(
        settings,
        parts.redis,
        parts.standings,
        lambda data: parts.fates.notice(parse_notice(data)),
        parts.origin,
    )
    server = Server(settings, Manager())
    presence = Presence(settings, parts, hearing)
    connections = Connections(settings, server, presence.online, parts.revocations)

    def give_up() -> None:
        presence.online.forget()
        for eio_sid in connections.all():
            server.close(eio_sid, "lease_lost")

    presence.lease.lost = give_up
    store = Store(settings)
    chat = Chat(
        settings,
        server,
        connections,
        Greeting(settings, hearing, parts.chat_lists, parts.receipts),
        Writes(
            parts.rooms,
            parts.memberships,
            parts.messages,
            parts.receipts,
            Uploads(settings, store),
        ),
        Reads(parts.chat_lists, parts.history, parts.members, parts.sync),
    )
    reads = (parts.chat_lists, parts.members)
    receipts = ReceiptsNamespace(settings, server, connections, parts.receipts, reads)
    here = PresenceNamespace(
        settings,
        server,
        connections,
        parts.chat_lists,
        parts.typing,
        (presence.presences, presence.watches),
    )
    for namespace in (chat, receipts, here):
        server.register_namespace(namespace)
    if parts.tracing is not None:
        parts.tracing.follow_commands(chat, receipts, here)
    server.attach(app)
    drain = app[DRAIN] = Drain(settings, server, (chat, receipts, here), parts.fates)
    starting = parts.revocations.not_ready
    health.add_routes(app, lambda: drain.not_ready() + (hearing.not_ready() or starting()))
    hearing.told = _told(connections, presence, drain)
    roster = Roster(parts.redis)
    resources = [
        *parts.for_operators(),
        InstanceRoutes(roster, Everywhere(parts.redis)),
        PresenceRoutes(presence.presences, roster),
    ]
    operators.add_routes(app, settings, parts.revocations, resources)
    if settings.dev:
        demo.add_routes(app, settings)

    async def lifespan(_: web.Application) -> AsyncIterator[None]:
        async with parts, Watch(settings, "web", parts.origin):
            hearing.start()
            revoking = asyncio.create_task(parts.revocations.run())
            presence.start()
            server.pressure.start()
            log.info("started", extra={"instance": parts.origin})
            yield
            server.pressure.close()
            await server.shutdown()
            await presence.close()
            for namespace in (chat, receipts, here):
                await namespace.close()
            await cancelled(revoking)
            await hearing.close()
            await store.close()

    app.cleanup_ctx.append(lifespan)
    return app


def _told(
    connections: Connections, presence: Presence, drain: Drain
) -> Callable[[dict[str, str]], None]:
    """What an operator told all instances."""

    def told(message: dict[str, str]) -> None:
        if "close" in message:
            connections.close(message["user_id"], message["close"])
        elif message.get("drain") == presence.lease.instance:
            drain.drain()

    return told


def run_web(settings: Settings) -> None:
    """Serve until SIGTERM, then drain."""
    logs.configure(settings.log_level, process="web")
    try:
        uvloop.run(_web(settings))
    except OSError as error:
        sys.exit(f"Port {settings.port} of {settings.host} cannot be bound: {error.strerror}.")


async def _web(settings: Settings) -> None:
    """The listener stays until all are gone: readiness has to say why, and clients to hear 503."""
    signals = asyncio.Semaphore(0)
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, signals.release)
    runner = web.AppRunner(create_app(settings), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
        await signals.acquire()
        signal.setitimer(signal.ITIMER_REAL, END_WITHIN)
        again = asyncio.ensure_future(signals.acquire())
        drained = runner.app[DRAIN].drain()
        await asyncio.wait([drained, again], return_when=asyncio.FIRST_COMPLETED)
    finally:
        await runner.cleanup()


def run_relay(settings: Settings) -> None:
    """Move outbox entries to SQS until SIGTERM."""
    logs.configure(settings.log_level, process="relay")
    uvloop.run(_relay(settings))


async def _relay(settings: Settings) -> None:
    tracing = start_tracing(settings, "rts-relay")
    async with (
        Parts(settings, tracing) as parts,
        Watch(settings, "relay", parts.origin, settings.metrics_port),
    ):
        relay, quarantine = (
            Relay(settings, parts.redis, tracing.landed if tracing else None),
            Quarantine(settings, parts.messages.fail),
        )
        task = asyncio.ensure_future(asyncio.gather(relay.run(), quarantine.run()))
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task
