"""`python -m bench.background_load`: creates typing and presence load in a process of its own.

It runs only when the core is idle, so that its own work is in no figure. On Linux it is
SCHED_IDLE: a process of low priority alone would still finish its slice (sched(7)).
First line of stdin: `{ports, users: [[token, room_id, [user_id…]]…]}`. It connects the users and
prints `"ready"`. For each further line, `{typing, moves, seconds}` (rates per second), it makes the
load and prints `{starts, moves, late}`: how many it made, and their 99th percentile delay in ms.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from itertools import count
from time import monotonic_ns
from typing import Any

import uvloop

from bench.connection import Connection, ReceivedCounts
from bench.load import LoadPlan, run_plan
from bench.testbed import CONCURRENCY, User
from bench.workloads import percentile

NICENESS = 19
"""For systems without SCHED_IDLE."""


class BackgroundLoad:
    """Controls the process from the one that measures. Raises RuntimeError if it ends early."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, pairs: list[tuple[User, User]], ports: list[int]) -> BackgroundLoad:
        """Connect these pairs, who watch each other."""
        command, pipe = (sys.executable, "-m", "bench.background_load"), asyncio.subprocess.PIPE
        self = cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe))
        users = [
            (user.token, user.rooms[0], [one.user_id for one in pair])
            for pair in pairs
            for user in pair
        ]
        assert await self.request({"ports": ports, "users": users}) == "ready"
        return self

    async def request(self, request: dict[str, Any]) -> Any:
        """Send one line; return the reply."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process of the background load has ended")
        return json.loads(line)

    async def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


async def _serve() -> None:
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(NICENESS)
    lines = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    given = json.loads(await lines.readline())
    limit, ports = asyncio.Semaphore(CONCURRENCY), given["ports"]

    async def connect(number: int, token: str, friends: list[str]) -> Connection:
        async with limit:
            client = await Connection.open(ports[number % len(ports)], token, ReceivedCounts())
            await client.join("/presence")
            await client.request("presence.watch", {"user_ids": friends})
            return client

    clients = await asyncio.gather(
        *(connect(n, token, friends) for n, (token, _, friends) in enumerate(given["users"]))
    )
    rooms = [json.dumps({"room_id": room_id}) for _, room_id, _ in given["users"]]
    turns = count()
    print('"ready"', flush=True)
    while line := await lines.readline():
        print(json.dumps(await _round(clients, rooms, turns, **json.loads(line))), flush=True)


async def _round(
    clients: list[Connection],
    rooms: list[str],
    turns: count[int],
    typing: float,
    moves: float,
    seconds: float,
) -> dict[str, float]:
    late: list[int] = []

    def start_typing(client: Connection, body: str, due: int) -> None:
        late.append(monotonic_ns() - due)
        client.send_without_ack("/presence", "typing.start", body)

    def change_presence(client: Connection, due: int) -> None:
        late.append(monotonic_ns() - due)
        state = "away" if next(turns) // len(clients) % 2 == 0 else "online"
        client.send_without_ack("/presence", "presence.set", json.dumps({"state": state}))

    starts, states = LoadPlan(typing, seconds), LoadPlan(moves, seconds)
    actions: list[Callable[[int], None]] = [
        partial(start_typing, client, body) for client, body in zip(clients, rooms, strict=True)
    ]
    await asyncio.gather(
        run_plan(starts, actions), run_plan(states, [partial(change_presence, c) for c in clients])
    )
    return {"starts": starts.count, "moves": states.count, "late": percentile(late, 99)}


if __name__ == "__main__":
    uvloop.run(_serve())
