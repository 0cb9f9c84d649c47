"""`python -m bench.storm`: many sockets are dropped at once, and come back (R5).

Users are in crowds; each member of a crowd is in the same rooms. All connect for the first time
(their index of rooms is built from the archive), connect again after a minute, when that index is
final, and then all sockets are dropped at once. While everybody is away, messages come into some
rooms. Each client comes back at a random moment of the first second, with its cursors, and is
caught up when it has `session.ready` with every room recovered, and all that it missed.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import uvloop
from redis import Redis

from bench import frames
from bench.connection import HOST, Connection, ReceivedCounts
from bench.contender import Running, contenders, running
from bench.machine import allow_files, cores, describe_machine, pinned
from bench.primary_cost import calls_of
from bench.testbed import MEMBERS_PER_CALL, Testbed, running_testbed, unstarted_stack
from rts_server import auth
from rts_server.persistence.user_rooms import RECHECK_MS
from rts_server.tools.dev.stack import Stack

INSTANCES = 2
CONCURRENCY = 32
"""First connects at once; a storm has no bound."""
ROOMS_AT_ONCE = 4
TRIES = 20
SPREAD_SECONDS = 1.0
RETRY_SECONDS = 1.0, 5.0
QUIET_SECONDS = 5.0
STORM_TIMEOUT_SECONDS = 300.0
IDLE_TIMEOUT_SECONDS = 1800.0
SCRIPT_COMMANDS = ("evalsha", "fcall")
_READY = b'42/chat,["session.ready",'

Cursors = dict[str, list[int]]


class Device(Connection):
    """A connection that begins with cursors, and keeps what `session.ready` said."""

    def __init__(self, token: str, seen: ReceivedCounts, cursors: Cursors) -> None:
        super().__init__(token, seen)
        self._auth = json.dumps({"token": token, "cursors": cursors}).encode()
        self.recovered: dict[str, bool] = {}

    @classmethod
    async def reopen(cls, port: int, token: str, seen: ReceivedCounts, cursors: Cursors) -> Device:
        """Connect and wait for the session. Raises OSError, TimeoutError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(STORM_TIMEOUT_SECONDS):
            _, made = await loop.create_connection(lambda: cls(token, seen, cursors), HOST, port)
            await made._ready
        return made

    def drop(self) -> None:
        """Lose the socket, as when a network goes away."""
        if self._transport is not None:
            self._transport.abort()

    def _other(self, payload: bytes) -> None:
        if payload.startswith(b"0{") and self._transport is not None:
            self._transport.write(frames.text(b"40/chat," + self._auth))
            return
        if payload.startswith(_READY):
            self.recovered = json.loads(payload[len(_READY) : -1])["data"]["recovered"]
        super()._other(payload)


@dataclass
class Crowd:
    """Users who are in the same rooms; the first one made them. `cursors`: at their heads."""

    users: list[tuple[str, str]]
    rooms: list[str] = field(default_factory=list)
    cursors: Cursors = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """What was used until a moment: commands, CPU seconds, calls of the archive."""

    at: float
    commands: Counter[str]
    redis: float
    web: float
    archive: int

    def minus(self, before: Cost) -> Cost:
        """Return what was used since."""
        commands = Counter(self.commands)
        commands.subtract(before.commands)
        return Cost(
            self.at - before.at,
            commands,
            self.redis - before.redis,
            self.web - before.web,
            self.archive - before.archive,
        )

    def row(self, name: str, quiet: Cost, clients: int) -> str:
        """Return a line of the table: what one client cost beyond what goes on without it."""
        share = self.at / quiet.at

        def each(used: float, anyway: float) -> float:
            return (used - anyway * share) / clients

        scripts = each(*(sum(c.commands[n] for n in SCRIPT_COMMANDS) for c in (self, quiet)))
        return (
            f"| {name} | {self.at:.1f} | {scripts:.1f} "
            f"| {each(self.commands.total(), quiet.commands.total()):.0f} "
            f"| {each(self.redis, quiet.redis) * 1e3:.2f} | {each(self.web, quiet.web) * 1e3:.2f} "
            f"| {self.archive} |"
        )


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--sockets", type=click.IntRange(10, 5_000), default=5_000)
@click.option("--rooms", type=click.IntRange(1, 50), default=50, help="Of each user.")
@click.option("--crowd", type=click.IntRange(2, 1_000), default=1_000, help="Members of a room.")
@click.option("--missed", type=click.IntRange(0, 50), default=5, help="Rooms with a message.")
def main(sockets: int, rooms: int, crowd: int, missed: int) -> None:
    """Drop all sockets at once; print what it costs until all are back."""
    allow_files()
    gc.disable()
    _, generator, others = cores()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        stack = unstarted_stack(Path(folder))
        with pinned(others):
            stack.start()
        try:
            with pinned(generator):
                crowds = [
                    Crowd([_user(stack, n) for n in range(at, min(sockets, at + crowd))])
                    for at in range(0, sockets, crowd)
                ]
                uvloop.run(Storm(stack, crowds, min(missed, rooms)).measure(rooms))
        finally:
            stack.stop()


def _user(stack: Stack, number: int) -> tuple[str, str]:
    user_id = f"u{number}"
    return user_id, auth.issue(stack.settings, user_id)


class Storm:
    """The crowds, their sockets, and what they cost."""

    def __init__(self, stack: Stack, crowds: list[Crowd], missed: int) -> None:
        self._stack = stack
        self._crowds = crowds
        self._missed = missed
        self._count = sum(len(crowd.users) for crowd in crowds)
        self._devices: list[Device] = []
        self._lost = 0
        self._limit = asyncio.Semaphore(CONCURRENCY)
        self._creating = asyncio.Semaphore(ROOMS_AT_ONCE)

    async def measure(self, rooms: int) -> None:
        """Make the rooms, and print a table."""
        ours = contenders()[0]
        async with running_testbed(self._stack, ours, 1, 0) as made:
            async with running(ours, 1, self._stack) as servers:
                await asyncio.gather(*(self._create(c, rooms, servers) for c in self._crowds))
                _progress("rooms made")
                await made.wait_until_idle(IDLE_TIMEOUT_SECONDS)
                _progress("archive has them")
            async with running(ours, INSTANCES, self._stack) as servers:
                await self._measure(made, servers)

    async def _create(self, crowd: Crowd, rooms: int, servers: Running) -> None:
        (_, token), *others = crowd.users
        client = await Connection.open(servers.ports[0], token, ReceivedCounts())

        async def create(number: int) -> None:
            async with self._creating:
                asked = {"type": "group", "client_room_id": f"{number}", "members": []}
                room_id = (await _request(client, "room.create", asked))["room"]["room_id"]
                for at in range(0, len(others), MEMBERS_PER_CALL):
                    part = [user_id for user_id, _ in others[at : at + MEMBERS_PER_CALL]]
                    await _request(client, "member.add", {"room_id": room_id, "user_ids": part})
                crowd.rooms.append(room_id)

        await asyncio.gather(*map(create, range(rooms)))
        listed = (await client.request("room.list", {"limit": 50}))["rooms"]
        crowd.cursors = {
            one["room_id"]: [one["epoch"], one["offset"], 0, 0]
            for one in listed
            if one["room_id"] in crowd.rooms
        }
        client.close()

    async def _measure(self, made: Testbed, servers: Running) -> None:
        began = time.monotonic()
        first = await self._cost_of(made, servers, lambda: self._connect(servers))
        _progress("all connected")
        quiet = await self._cost_of(made, servers, lambda: asyncio.sleep(QUIET_SECONDS))
        left = began + first.at + RECHECK_MS / 1000 + 1 - time.monotonic()
        await asyncio.sleep(max(0.0, left))
        self._drop()
        second = await self._cost_of(made, servers, lambda: self._connect(servers))
        await made.wait_until_idle()
        _progress("all connected again")
        storm = await self._cost_of(made, servers, lambda: self._storm(servers))
        current = sum(all(device.recovered.values()) for device in self._devices)
        click.echo(
            f"{describe_machine()}; {self._count:,} users with {len(self._crowds[0].rooms)} rooms "
            f"of {len(self._crowds[0].users):,}, {INSTANCES} instances, "
            f"{self._missed} messages missed.\n\n"
            "| | seconds | scripts each | commands each | Redis ms each | web ms each "
            "| calls of the archive |\n| --- |" + " ---: |" * 6
        )
        click.echo(first.row("first connect", quiet, self._count))
        click.echo(second.row("second, a minute later", quiet, self._count))
        click.echo(storm.row("storm", quiet, self._count))
        click.echo(
            f"\nBack with every room recovered: {current:,}. Connections that failed on the way: "
            f"{self._lost}."
        )

    async def _connect(self, servers: Running) -> None:
        """Connect everybody in turn, without cursors."""

        async def connect(number: int, _: Crowd, token: str) -> Device:
            async with self._limit:
                port = servers.ports[number % len(servers.ports)]
                return await Device.reopen(port, token, ReceivedCounts(), {})

        self._devices = list(await asyncio.gather(*self._each(connect)))

    async def _storm(self, servers: Running) -> None:
        self._drop()
        await asyncio.gather(*(self._write(crowd, servers) for crowd in self._crowds))
        seen = ReceivedCounts()
        self._devices = list(
            await asyncio.gather(
                *self._each(lambda n, crowd, token: self._return(n, crowd, token, seen, servers))
            )
        )
        await seen.wait_for(self._count * self._missed, 0)

    async def _return(
        self, number: int, crowd: Crowd, token: str, seen: ReceivedCounts, servers: Running
    ) -> Device:
        """Come back, and try again as often as needed, as a client does."""
        await asyncio.sleep(random.uniform(0, SPREAD_SECONDS))
        while True:
            try:
                port = servers.ports[number % len(servers.ports)]
                return await Device.reopen(port, token, seen, crowd.cursors)
            except (OSError, TimeoutError):
                self._lost += 1
            await asyncio.sleep(random.uniform(*RETRY_SECONDS))

    async def _write(self, crowd: Crowd, servers: Running) -> None:
        """Send what the others miss."""
        client = await Connection.open(servers.ports[0], crowd.users[0][1], ReceivedCounts())
        for number, room_id in enumerate(crowd.rooms[: self._missed]):
            text = f"@{time.monotonic_ns()};missed"
            sent = {"room_id": room_id, "client_msg_id": f"missed-{number}", "text": text}
            await _request(client, "message.send", sent)
        client.close()

    def _drop(self) -> None:
        for device in self._devices:
            device.drop()

    def _each(
        self, work: Callable[[int, Crowd, str], Awaitable[Device]]
    ) -> list[Awaitable[Device]]:
        every = [(crowd, token) for crowd in self._crowds for _, token in crowd.users]
        return [work(number, crowd, token) for number, (crowd, token) in enumerate(every)]

    async def _cost_of(
        self, made: Testbed, servers: Running, work: Callable[[], Awaitable[None]]
    ) -> Cost:
        before = await self._cost(made, servers)
        await work()
        return (await self._cost(made, servers)).minus(before)

    async def _cost(self, made: Testbed, servers: Running) -> Cost:
        assert self._stack.valkey is not None
        with Redis.from_url(self._stack.valkey.url) as redis:
            calls = calls_of(redis)
        archive = sum([await asyncio.to_thread(_archive_calls, port) for port in servers.ports])
        return Cost(time.monotonic(), calls, made.shared_cpu()["Valkey"], servers.cpu(), archive)


def _progress(what: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')} {what}", err=True)


async def _request(client: Connection, name: str, payload: dict[str, Any]) -> Any:
    """Send a command until it is not refused; a machine that is busy refuses some."""
    for _ in range(TRIES):
        try:
            return await client.request(name, payload)
        except (RuntimeError, TimeoutError):
            await asyncio.sleep(1.0)
    return await client.request(name, payload)


def _archive_calls(port: int) -> int:
    """Return how often an instance has called the archive so far."""
    with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    return sum(int(float(n.split()[1])) for n in lines if n.startswith("rts_archive_calls_total"))


if __name__ == "__main__":
    main()
