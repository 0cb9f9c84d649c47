"""Shared by all contenders: Valkey, the local AWS, the relay, and the same users and rooms."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import jwt
from redis import Redis, RedisCluster

from bench.connection import Connection, ReceivedCounts
from bench.contender import Contender, running
from bench.machine import cores, cpu_seconds, pinned
from bench.queue_stub import QueueStub
from rts_server import keys
from rts_server.persistence.user_rooms import RECHECK_MS
from rts_server.tools.dev.managed_process import ManagedProcess, stop_all
from rts_server.tools.dev.stack import Stack
from rts_server.tools.dev.valkey import Valkey

MEMBERS_PER_CALL = 100
CONCURRENCY = 16
EMULATOR_NICE = 10
"""Niceness of the local AWS, so that it does not delay the load generator on its core."""
RELAY_START_TIMEOUT_SECONDS = 20.0

Queue = Literal["stub", "emulator"]
"""What is behind the relay: a stub that accepts at once, or the local AWS emulator."""
QUEUES: tuple[Queue, ...] = ("stub", "emulator")


@dataclass(frozen=True)
class User:
    """A user, their rooms, and a token that every contender accepts."""

    user_id: str
    rooms: tuple[str, ...]
    token: str


@dataclass
class Testbed:
    """`crowd`: the members of one room; `pairs`: two users each; rooms by id."""

    stack: Stack
    relay: ManagedProcess
    stub: QueueStub
    room_id: str = ""
    crowd: list[User] = field(default_factory=list)
    pairs: list[tuple[User, User]] = field(default_factory=list)

    def shared_cpu(self) -> dict[str, float]:
        """Return the CPU seconds so far of all primaries and of the relay."""
        redis = sum(cpu_seconds(one.pid or 0) for one in self.primaries)
        return {"Valkey": redis, "relay": cpu_seconds(self.relay.pid or 0)}

    @property
    def primaries(self) -> list[Valkey]:
        """Those of the cluster, or the one server."""
        if self.stack.cluster is not None:
            return self.stack.cluster.primaries
        assert self.stack.valkey is not None
        return [self.stack.valkey]

    async def use_queue(self, queue: Queue) -> None:
        """Restart the relay in front of this queue, once it has moved what was written before.

        What the stub accepts reaches no table: rooms made behind it are in Redis alone.
        """
        await self.wait_until_idle()
        stop_all([self.relay], 2.0)
        url = {"stub": self.stub.url, "emulator": self.stack.settings.aws_endpoint_url or ""}
        self.relay.environment["AWS_ENDPOINT_URL"] = url[queue]
        with pinned(cores()[2]):
            self.relay.start()
        deadline = time.monotonic() + RELAY_START_TIMEOUT_SECONDS
        kind: Any = RedisCluster if self.stack.cluster is not None else Redis
        with kind.from_url(self.stack.settings.redis_url) as redis:
            while not redis.zcard(keys.RELAYS):
                if not self.relay.alive or time.monotonic() > deadline:
                    raise RuntimeError(f"The relay does not start: {self.relay.last_log_line()}")
                await asyncio.sleep(0.05)

    async def wait_until_idle(self, max_wait: float = 20.0) -> None:
        """Wait until persistence has caught up, at most so many seconds."""
        assert self.stack.aws is not None
        assert self.stack.aws.pid is not None
        pids = (self.stack.aws.pid, self.relay.pid or 0)
        deadline = time.monotonic() + max_wait
        while time.monotonic() < deadline:
            before = sum(map(cpu_seconds, pids))
            await asyncio.sleep(0.3)
            if sum(map(cpu_seconds, pids)) - before < 0.03:
                return


@asynccontextmanager
async def running_testbed(
    stack: Stack, ours: Contender, size: int, pairs: int, *, settled: bool = False
) -> AsyncIterator[Testbed]:
    """Run the relay on a started stack, with a room of `size` members and so many pairs.

    Its queue is the emulator's: what the testbed creates reaches the tables. `settled`: the users'
    indexes of rooms are not read from the archive any more, which takes a minute.
    """
    environment = stack.environment()
    command = [sys.executable, "-m", "rts_server", "relay"]
    log = stack.data / "logs" / "relay.log"
    relay = ManagedProcess("relay", command, log=log, environment=environment)
    stub = QueueStub(stack.data / "logs" / "queue-stub.log")
    assert stack.aws is not None
    assert stack.aws.pid is not None
    try:
        with pinned(cores()[2]):
            relay.start()
            stub.start_and_wait()
        os.setpriority(os.PRIO_PGRP, stack.aws.pid, EMULATOR_NICE)
        made = Testbed(stack, relay, stub)
        await _create_users_and_rooms(made, ours, size, pairs, settled)
        await made.wait_until_idle()
        yield made
    finally:
        stop_all([relay, stub], 2.0)


async def _create_users_and_rooms(
    made: Testbed, ours: Contender, size: int, pairs: int, settled: bool
) -> None:
    sign = _token_signer(made.stack.settings.jwt_secret)
    names = [f"u{n}" for n in range(size)]
    twos = [(f"a{n}", f"b{n}") for n in range(pairs)]
    async with running(ours, 1, made.stack) as servers:
        port = servers.ports[0]
        owner = await Connection.open(port, sign(names[0], ()), ReceivedCounts())
        group = {"type": "group", "client_room_id": "crowd", "name": "Crowd", "members": []}
        made.room_id = (await owner.request("room.create", group))["room"]["room_id"]
        for at in range(1, size, MEMBERS_PER_CALL):
            target = {"room_id": made.room_id, "user_ids": names[at : at + MEMBERS_PER_CALL]}
            await owner.request("member.add", target)
        limit = asyncio.Semaphore(CONCURRENCY)

        async def pair(a: str, b: str) -> tuple[User, User]:
            async with limit:
                client = await Connection.open(port, sign(a, ()), ReceivedCounts())
                answer = await client.request("room.create", {"type": "direct", "members": [b]})
                client.close()
            rooms = (answer["room"]["room_id"],)
            return User(a, rooms, sign(a, rooms)), User(b, rooms, sign(b, rooms))

        made.pairs = list(await asyncio.gather(*(pair(a, b) for a, b in twos)))
        owner.close()
        rooms = (made.room_id,)
        made.crowd = [User(name, rooms, sign(name, rooms)) for name in names]

        async def visit(user: User) -> None:
            async with limit:
                (await Connection.open(port, user.token, ReceivedCounts())).close()

        # a user's first connection builds their index of rooms from the archive
        all_users = (*made.crowd, *chain.from_iterable(made.pairs))
        await asyncio.gather(*map(visit, all_users))
        if settled:  # and an index that was built so is built once more after this time
            await asyncio.sleep(RECHECK_MS / 1000)
            await asyncio.gather(*map(visit, all_users))


def _token_signer(secret: str) -> Callable[[str, tuple[str, ...]], str]:
    """Return what signs tokens; their claim `rooms` is for the peers, which store no members."""
    now = int(time.time())

    def sign(user_id: str, rooms: tuple[str, ...]) -> str:
        claims = {"sub": user_id, "iat": now, "exp": now + 86_400, "rooms": rooms}
        return jwt.encode(claims, secret, algorithm="HS256")

    return sign


def without_settings(environ: dict[str, str]) -> dict[str, str]:
    """Return an environment without settings of the server."""
    return {name: v for name, v in environ.items() if not name.startswith(("RTS_", "AWS_"))}


def unstarted_stack(
    folder: Path, limits: str = "relaxed", shards: int = 1, /, **settings: str
) -> Stack:
    """Return a stack that is not started yet."""
    environ = without_settings(dict(os.environ)) | {
        "RTS_LOG_LEVEL": "WARNING",
        "RTS_PING_INTERVAL": "25",
    }
    return Stack(folder, environ=environ | settings, limits=limits, shards=shards)
