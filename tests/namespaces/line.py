"""A namespace of its own commands, in this process, with one session whose acks are kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

from redis.asyncio import ConnectionPool, Redis

from rts_server.adapter.everywhere import Everywhere
from rts_server.adapter.manager import Manager
from rts_server.auth import Identity, Tokens
from rts_server.config import Settings
from rts_server.engine import frames
from rts_server.engine.outgoing import Outgoing
from rts_server.engine.server import Server
from rts_server.namespaces.answer import Answer, command
from rts_server.namespaces.base import Namespace
from rts_server.namespaces.connections import Connections
from rts_server.namespaces.session import Session
from rts_server.persistence.archive import Archive
from rts_server.persistence.revocations import Revocations
from rts_server.persistence.user_rooms import UserRooms
from rts_server.pipe import Pipe
from rts_server.presence.lease import Lease
from rts_server.presence.online import Online
from rts_server.protocol import commands
from rts_server.rooms.chatlist import ChatLists
from rts_server.rooms.drains import Drains
from rts_server.rooms.standing import Standings
from tests.waiting import eventually


class Out(Outgoing):
    """The way out of a connection: packets are kept. Each ack id is answered once."""

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
    """`unread.get` waits until it is cancelled so often; `member.add` notes that it began."""

    def __init__(self, settings: Settings, connections: Connections, server: Server) -> None:
        pipe = Pipe(ConnectionPool())
        archive = Archive(settings)
        drains = Drains(settings, "origin", pipe, archive)
        lists = ChatLists(archive, UserRooms(Redis(), pipe), Standings(pipe), drains)
        super().__init__("/chat", settings, server, connections, lists)
        self.began: list[str] = []
        self.deaf_to = 0
        self.out = Out()
        self.acks = self.out.acks
        self.session = Session("sid", "eio", Identity("alice", 0), {}, {}, "session", self.out)
        self.session.ready.set()
        self._sessions["sid"] = self.session

    def ask(self, *texts: str) -> None:
        """Commands that arrive at one moment; ack ids in their order from 0."""
        moment = self._now()
        with patch.object(self, "_now", lambda: moment):
            for number, text in enumerate(texts, len(self.acks)):
                self.receive("sid", frames.parse(f"2/chat,{number}{text}"))

    async def answered(self, count: int) -> list[str]:
        """`ok` or the code of each ack, when there are so many."""
        await eventually(lambda: len(self.acks) >= count)
        assert len(self.acks) == count
        answers = [self.acks[number] for number in range(count)]
        return ["ok" if one["ok"] else one["error"]["code"] for one in answers]

    @command("unread.get", commands.Nothing)
    async def slow(self, session: Session, asked: dict[str, Any]) -> Answer:
        """Never done by itself; passes over its first cancellations."""
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.deaf_to -= 1
                if self.deaf_to < 0:
                    raise

    @command("member.add", commands.MemberAdd)
    async def add(self, session: Session, asked: dict[str, Any]) -> Answer:
        """Done at once."""
        self.began.append(asked["room_id"])
        return {}

    @command("message.send", commands.MessageSend)
    async def send(self, session: Session, asked: dict[str, Any]) -> Answer:
        """Done at once."""
        return {}

    @command("sync", commands.Sync)
    async def sync(self, session: Session, asked: dict[str, Any]) -> Answer:
        """Done at once."""
        return {}


@asynccontextmanager
async def line(**given: Any) -> AsyncIterator[Line]:
    """The namespace under some settings; nothing behind it is ever asked."""
    settings = Settings(**given)
    server, redis = Server(settings, Manager()), Redis()
    lease = Lease(settings, redis, "origin", dict)
    archive = Archive(settings)
    revocations = Revocations(settings, redis, archive)
    online = Online(settings, redis, lease)
    everywhere = Everywhere(redis)
    connections = Connections(settings, server, online, Tokens(settings), revocations, everywhere)
    one = Line(settings, connections, server)
    try:
        yield one
    finally:
        await one.close()
        await archive.close()
