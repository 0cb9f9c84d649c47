"""`python -m bench.connections`: what rooms and connections cost a web process.

Memory is resident (RSS), at rest. Rooms are those of `Subscriptions` on a real Valkey, with a stub
for the reads of the room log: creating 100,000 rooms would take an hour. Each seat has its cursors,
and each room hears a message after its seats were taken. Idle connections are sockets of a whole
web process, of users without a room.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import orjson
import uvloop
from redis.asyncio import Redis

from bench.connection import Connection, ReceivedCounts
from bench.contender import Contender, running
from bench.machine import allow_files, describe_machine, resident_bytes
from bench.testbed import CONCURRENCY, running_testbed, unstarted_stack
from bench.workloads import FIRST_CONNECTIONS
from rts_server import auth, keys
from rts_server.config import Settings
from rts_server.domain.position import Position
from rts_server.domain.standing import MemberInRoom, Standing
from rts_server.engine.packets import Encoded
from rts_server.realtime.listener import Listener
from rts_server.realtime.subscription_handlers import SubscriptionHandlers
from rts_server.realtime.subscriptions import Subscriptions
from rts_server.runtime.garbage import keep_pauses_short
from rts_server.tools.dev.stack import Stack
from rts_server.tools.dev.valkey import Valkey
from tests.helpers.world import free_port

OURS = Contender("ours", (sys.executable, "-m", "rts_server", "serve"))
PUBLISHES_PER_PIPELINE = 500
HEARD_TIMEOUT_SECONDS = 60.0


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--rooms", type=click.IntRange(1_000, 1_000_000), default=100_000)
@click.option("--of-a-user", type=click.IntRange(1, 500), default=50, help="Rooms of each user.")
@click.option("--connections", type=click.IntRange(0, 10_000), default=2_000)
def main(rooms: int, of_a_user: int, connections: int) -> None:
    """Print bytes per room, per further seat and per connection, and the collector's pauses."""
    allow_files()
    click.echo(f"{describe_machine()}; load average {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        valkey = Valkey(Path(folder) / "valkey", free_port(), log=Path(folder) / "valkey.log")
        valkey.start_and_wait()
        try:
            uvloop.run(_measure_rooms(valkey.url, rooms, of_a_user))
        finally:
            valkey.stop()
    if connections:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            stack = unstarted_stack(Path(folder))
            stack.start()
            try:
                uvloop.run(_measure_connections(stack, connections))
            finally:
                stack.stop()


class Pauses:
    """The longest pause of the garbage collector per generation in ms, from `gc.callbacks`."""

    def __init__(self) -> None:
        self.longest = [0.0, 0.0, 0.0]
        self._began = 0.0
        gc.callbacks.append(self._report)

    def stop(self) -> None:
        """Measure no more."""
        gc.callbacks.remove(self._report)

    def __str__(self) -> str:
        young, middle, full = self.longest
        return f"young {young:.1f} ms, middle {middle:.1f} ms, full {full:.1f} ms"

    def _report(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            took = (time.perf_counter() - self._began) * 1000
            generation = info["generation"]
            self.longest[generation] = max(self.longest[generation], took)


class QuietRooms:
    """The reads of rooms whose heads are made of their ids; `messages` were sent since.

    Half of the rooms have unread messages.
    """

    messages = 0

    def head(self, room_id: str) -> tuple[int, int]:
        """Return offset and seq; the epoch is 3."""
        number = int.from_bytes(room_id[:3].encode())
        return number % 5_000 + 1_000 + self.messages, number % 3_000 + 500 + self.messages

    async def members(
        self, user_id: str, cursors: Mapping[str, Position | None]
    ) -> Mapping[str, MemberInRoom]:
        """Return new objects, as the parser of replies makes them."""
        return {room_id: MemberInRoom(self._standing(room_id), []) for room_id in cursors}

    def _standing(self, room_id: str) -> Standing:
        offset, seq = self.head(room_id)
        unread = offset % 2 * 5
        return Standing((3, offset), seq, seq - unread, seq, unread)

    async def read_many(self, asked: Sequence[tuple[str, Sequence[str]]]) -> Sequence[Any]:
        """Return nothing: a standing is read of every room."""
        return [None for _ in asked]

    async def events_since(
        self, asked: Sequence[tuple[str, Position, int]], user_id: str = "", budget: int = 0
    ) -> Sequence[Any]:
        """Never called: nothing that is published gets lost."""
        raise NotImplementedError


class Seat(NamedTuple):
    """The listener of a user, and the rooms they join."""

    listener: Listener
    room_ids: list[str]


class Process:
    """Subscriptions with their listeners, as a web process has them."""

    def __init__(self, url: str, redis: Redis) -> None:
        self._redis = redis
        self._reads = QuietRooms()
        self.heard = 0
        settings = Settings(redis_url=url)
        self.subscriptions = Subscriptions(
            settings, redis, self._reads, instance_id="bench", handlers=SubscriptionHandlers()
        )
        self.subscriptions.start()

    async def listen(self, user_id: str) -> Listener:
        """Add a listener without rooms."""
        listener = Listener(user_id, self._write, self._write)
        await self.subscriptions.add_listener(listener)
        return listener

    def _write(self, packet: Encoded) -> None:
        self.heard += 1

    async def take(self, seat: Seat) -> None:
        """Join the rooms and begin their streams, as the start of a session does."""
        listener, room_ids = seat
        own = [room_id.encode().decode() for room_id in room_ids]  # parsed for each user anew
        cursors = {r: (3, self._reads.head(r)[0]) for r in own}
        replays = await self.subscriptions.join(listener, own, cursors, whole=())
        for room_id, replay in replays.items():
            assert replay.start is not None
            self.subscriptions.go_live(
                listener, room_id, replay.start, replay.standing, is_current=True
            )
        listener.mark_ready()

    async def write_to_all(self, room_ids: Sequence[str], seats: int) -> None:
        """Publish a message in each room; wait until everybody has heard it."""
        self._reads.messages += 1
        goal = self.heard + len(room_ids) * seats
        for at in range(0, len(room_ids), PUBLISHES_PER_PIPELINE):
            async with self._redis.pipeline(transaction=False) as pipe:
                for room_id in room_ids[at : at + PUBLISHES_PER_PIPELINE]:
                    pipe.publish(keys.room_channel(room_id), self._message(room_id))
                await pipe.execute()
        async with asyncio.timeout(HEARD_TIMEOUT_SECONDS):
            while self.heard < goal:  # noqa: ASYNC110 - an event would be work of each delivery
                await asyncio.sleep(0.01)

    def _message(self, room_id: str) -> str:
        offset, seq = self._reads.head(room_id)
        message = {"seq": seq, "sender_id": "somebody", "type": "text"}
        event = orjson.dumps({"type": "message.new", "data": {"message": message}}).decode()
        return f"3 {offset} message.new {event}"


async def _measure_rooms(url: str, rooms: int, of_a_user: int) -> None:
    ids = [keys.external_room_id(f"{number}") for number in range(rooms)]
    parts = [ids[at : at + of_a_user] for at in range(0, rooms, of_a_user)]
    async with Redis.from_url(url) as redis:
        process = Process(url, redis)
        groups = [
            [Seat(await process.listen(f"{group}-{n}"), part) for n, part in enumerate(parts)]
            for group in range(2)
        ]
        keep_pauses_short()  # as a web process does when it starts
        before = resident_bytes(os.getpid())
        for what, number in (("room with one seat", 1), ("further seat", 2)):
            growing = Pauses()
            for seat in groups[number - 1]:
                await process.take(seat)
            await process.write_to_all(ids, seats=number)
            growing.stop()
            at_rest = Pauses()
            gc.collect()
            at_rest.stop()
            after = resident_bytes(os.getpid())
            click.echo(
                f"per {what}: {(after - before) / rooms:,.0f} B; the longest pauses meanwhile: "
                f"{growing}; a full collection afterwards {at_rest.longest[2]:.0f} ms"
            )
            before = after
        await process.subscriptions.close()


async def _measure_connections(stack: Stack, count: int) -> None:
    limit = asyncio.Semaphore(CONCURRENCY)
    async with running_testbed(stack, OURS, 1, 0), running(OURS, 1, stack) as servers:

        async def connect(number: int) -> Connection:
            async with limit:
                token = auth.issue(stack.settings, f"idle-{number}")
                return await Connection.open(servers.ports[0], token, ReceivedCounts())

        clients = await asyncio.gather(*map(connect, range(FIRST_CONNECTIONS)))
        before = await servers.memory()
        more = range(FIRST_CONNECTIONS, FIRST_CONNECTIONS + count)
        clients += await asyncio.gather(*map(connect, more))
        used = await servers.memory() - before
        click.echo(f"per idle connection: {used / count:,.0f} B")
        for client in clients:
            client.close()


if __name__ == "__main__":
    main()
