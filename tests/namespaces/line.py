"""A namespace with commands of its own and one session, whose acks are kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

from redis.asyncio import ConnectionPool, Redis

from rts_server.auth import Identity, Tokens
from rts_server.config import Settings
from rts_server.engine import frames
from rts_server.engine.outgoing import OutgoingQueue
from rts_server.engine.server import Server
from rts_server.namespaces import dispatcher
from rts_server.namespaces.answer import Answer, command
from rts_server.namespaces.base import Namespace, NamespaceContext
from rts_server.namespaces.connections import Connections
from rts_server.namespaces.session import QueuedCommand, Session
from rts_server.persistence.archive import Archive
from rts_server.persistence.revocations import Revocations
from rts_server.persistence.user_rooms import UserRooms
from rts_server.presence.connection_counts import ConnectionCounts
from rts_server.presence.instance_lease import InstanceLease
from rts_server.protocol import commands
from rts_server.realtime.control_channel import ControlChannel
from rts_server.realtime.manager import ClientManager
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.roomlog.drains import RoomDrains
from rts_server.runtime.admission import Admission
from rts_server.views.inbox import InboxReader
from rts_server.views.snapshots import SnapshotReader
from rts_server.views.user_memberships import UserMemberships
from tests.helpers.waiting import eventually


class Out(OutgoingQueue):
    """The outgoing queue of a connection; it keeps acks, one for each id."""

    def __init__(self) -> None:
        super().__init__()
        self.acks: dict[int, dict[str, Any]] = {}
        self.bytes_of: dict[int, int] = {}

    def write(self, packet: Any) -> None:
        """Keep an ack."""
        number, _, body = packet.data.removeprefix("3/chat,").partition("[")
        assert int(number) not in self.acks
        self.acks[int(number)] = json.loads("[" + body)[0]
        self.bytes_of[int(number)] = len(packet.data)


class Line(Namespace):
    """A namespace whose `unread.get` waits for its cancellation and whose `member.add` is noted."""

    def __init__(self, settings: Settings, connections: Connections, server: Server) -> None:
        pipe = RedisPipeline(ConnectionPool())
        archive = Archive(settings)
        drains = RoomDrains(settings, "origin", pipe, archive)
        memberships = UserMemberships(archive, UserRooms(Redis(), pipe))
        inboxes = InboxReader(archive, memberships, SnapshotReader(pipe), drains)
        context = NamespaceContext(settings, server, connections, inboxes, memberships)
        super().__init__("/chat", context)
        self.began: list[str] = []
        self.deaf_to = 0
        self.adds_return = asyncio.Event()
        self.adds_return.set()
        self.out = Out()
        self.acks = self.out.acks
        self.session = Session("sid", "eio", Identity("alice", 0), {}, {}, "session", self.out)
        self.session.ready.trigger()
        self._sessions["sid"] = self.session

    def ask(self, *texts: str) -> None:
        """Send commands at one moment; their ack ids count from 0."""
        moment = asyncio.get_running_loop().time()
        arrived = partial(QueuedCommand, received_at=moment)
        with patch.object(dispatcher, "QueuedCommand", lambda frame, _: arrived(frame)):
            for number, text in enumerate(texts, len(self.acks)):
                self.receive("sid", frames.parse(f"2/chat,{number}{text}"))

    async def answered(self, count: int) -> list[str]:
        """Return `ok` or the code of each ack, once there are so many."""
        await eventually(lambda: len(self.acks) >= count)
        assert len(self.acks) == count
        answers = [self.acks[number] for number in range(count)]
        return ["ok" if one["ok"] else one["error"]["code"] for one in answers]

    @command("unread.get", commands.NothingSchema)
    async def slow(self, session: Session, payload: dict[str, Any]) -> Answer:
        """Wait, ignoring the first cancellations."""
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.deaf_to -= 1
                if self.deaf_to < 0:
                    raise

    @command("member.add", commands.MemberAddSchema)
    async def add(self, session: Session, payload: dict[str, Any]) -> Answer:
        """Return at once, or when `adds_return` is set."""
        self.began.append(payload["room_id"])
        await self.adds_return.wait()
        return {}

    @command("message.send", commands.MessageSendSchema)
    async def send(self, session: Session, payload: dict[str, Any]) -> Answer:
        """Return at once."""
        return {}

    @command("sync", commands.SyncSchema)
    async def sync(self, session: Session, payload: dict[str, Any]) -> Answer:
        """Return at once."""
        return {}


@asynccontextmanager
async def line(**given: Any) -> AsyncIterator[Line]:
    """The namespace with some settings, without Redis."""
    settings = Settings(**given)
    server, redis = Server(settings, ClientManager()), Redis()
    lease = InstanceLease(settings, redis, "origin", dict)
    archive = Archive(settings)
    revocations = Revocations(settings, redis, archive)
    online = ConnectionCounts(settings, redis, lease)
    everywhere = ControlChannel(redis)
    connections = Connections(
        settings,
        server,
        connection_counts=online,
        tokens=Tokens(settings),
        revocations=revocations,
        control_channel=everywhere,
        admission=Admission(),
    )
    one = Line(settings, connections, server)
    try:
        yield one
    finally:
        await one.close()
        await archive.close()
