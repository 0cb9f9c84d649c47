"""The servers that are compared, and running instances of one of them."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.connection import HOST
from bench.machine import cores, cpu_seconds, pinned, resident_bytes
from rts_server.tools.dev import ports
from rts_server.tools.dev.managed_process import ManagedProcess, stop_all
from rts_server.tools.dev.stack import Stack
from tests.helpers.node import ensure_modules, node
from tests.helpers.world import free_port

HERE = Path(__file__).parent
SERVER_START_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class Contender:
    """A server program.

    `only_together`: on one instance it equals another contender. `queued`: its acks wait for the
    queue.
    """

    name: str
    command: tuple[str, ...]
    only_together: bool = False
    queued: bool = False


@dataclass(frozen=True)
class Running:
    """Running instances of one contender, each on its own port."""

    ports: list[int]
    pids: list[int]

    def cpu(self) -> float:
        """Return the CPU seconds of all instances so far."""
        return sum(map(cpu_seconds, self.pids))

    async def memory(self) -> int:
        """Return the resident bytes of all instances, at rest."""
        await asyncio.sleep(1.0)
        return sum(map(resident_bytes, self.pids))


def contenders() -> list[Contender]:
    """Return this server first, then the peers that ratios refer to, then the others."""
    python = (sys.executable, "-m")
    peers = ensure_modules(HERE) / "peers"
    peer = (node(), str(peers / "node.mjs"))
    return [
        Contender("ours", (*python, "rts_server", "serve"), queued=True),
        Contender("Node", (*peer, "classic")),
        Contender("Bun", (bun(), str(peers / "bun.mjs"))),
        Contender("Node sharded", (*peer, "sharded"), only_together=True),
        Contender("stock Python", (*python, "bench.peers.stock")),
    ]


def bun() -> str:
    """Return the path of Bun, which the install script of the package moves if npm lets it run."""
    modules = ensure_modules(HERE) / "node_modules"
    unmoved = next(modules.glob("@oven/bun-*/bin/bun"), None)
    return str(unmoved or modules / ".bin" / "bun")


@asynccontextmanager
async def running(contender: Contender, instances: int, stack: Stack) -> AsyncIterator[Running]:
    """Run instances on the servers' core until the block ends. Raises RuntimeError."""
    numbers = [free_port() for _ in range(instances)]
    name = contender.name.replace(" ", "-")
    log = stack.data / "logs" / f"{name}.log"
    environment = stack.environment()
    children = [
        ManagedProcess(
            name, contender.command, log=log, environment=environment | {"RTS_PORT": str(number)}
        )
        for number in numbers
    ]
    try:
        with pinned(cores()[0]):
            for child in children:
                child.start()
        deadline = time.monotonic() + SERVER_START_TIMEOUT_SECONDS
        for number, child in zip(numbers, children, strict=True):
            while not ports.answers_ok(f"http://{HOST}:{number}/health/live"):
                if not child.alive or time.monotonic() > deadline:
                    raise RuntimeError(f"{name} does not start: {child.last_log_line()}")
                await asyncio.sleep(0.05)
        yield Running(numbers, [child.pid for child in children if child.pid])
    finally:
        stop_all(children, 3.0)
